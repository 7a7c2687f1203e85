<#
.SYNOPSIS
Updates an application so that its data survives: backup, update, health check, and the old data back where it failed.

.DESCRIPTION
For Windows hosts. heirloom runs inside the compose service that holds the databases, this script drives it through
docker. Volumes are never removed. Where the update failed, the service is stopped before its data is put back, and stays
stopped, or the new version would change the data again; then start the old one. What others write between the backup and
the rollback is lost with the rollback; the state that failed is kept as a safety backup.

Exit codes: 0 updated; the code of the update where it failed; 1 not healthy afterwards; 2 configuration;
125 the backup or the rollback failed, and the message says what state things are in; 127 no docker.

.PARAMETER Service
The compose service that holds the databases and has heirloom in its image.

.PARAMETER HealthUrl
Must answer with success after the update.

.PARAMETER HealthTimeout
How many seconds the application may take until it is healthy.

.PARAMETER NoRollback
Do not put the data back; say how to.

.PARAMETER NoPrune
Leave old images that nothing uses.

.EXAMPLE
./safe_update.ps1 -Service api -HealthUrl http://localhost:8080/health
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)][string]$Service,
    [string]$HealthUrl = '',
    [ValidateRange(1, 3600)][int]$HealthTimeout = 60,
    [switch]$NoRollback,
    [switch]$NoPrune
)

$ErrorActionPreference = 'Stop'
# A program that fails is looked at through its exit code, also in PowerShell 7.4 and later.
$PSNativeCommandUseErrorActionPreference = $false

function Write-Step([string]$Text) {
    Write-Host "==> $Text" -ForegroundColor Cyan
}

function Stop-Update([int]$Code, [string]$Text) {
    Write-Host "error: $Text" -ForegroundColor Red
    exit $Code
}

# Not `exec`: the service need not be running, least of all after an update that failed.
function Invoke-Heirloom([string[]]$Arguments) {
    & docker compose run --rm --no-deps -T --entrypoint heirloom $Service @Arguments | Out-Host
    return $LASTEXITCODE
}

# Asks once a second until the application is healthy or time is up.
function Test-Health {
    if ($HealthUrl -eq '') { return $true }
    for ($second = 0; $second -lt $HealthTimeout; $second++) {
        try {
            Invoke-WebRequest -Uri $HealthUrl -UseBasicParsing -TimeoutSec 10 | Out-Null
            return $true
        }
        catch {
            Start-Sleep -Seconds 1
        }
    }
    return $false
}

if (-not (Get-Command docker -ErrorAction SilentlyContinue)) { Stop-Update 127 'docker is not installed' }

Write-Step 'checking the configuration'
& docker compose config --quiet
if ($LASTEXITCODE -ne 0) { Stop-Update 2 'the compose file is not usable' }
if ((Invoke-Heirloom @('config', 'check')) -ne 0) {
    Stop-Update 2 'the configuration of heirloom is not usable; nothing was updated'
}

# The time makes the name, and the name makes the way back sure: "latest" could be somebody else's.
$archive = 'pre-update_' + (Get-Date).ToUniversalTime().ToString('yyyyMMddTHHmmssZ')
Write-Step "backing up service $Service"
if ((Invoke-Heirloom @('backup', '--kind', 'pre-update', '--name', $archive)) -ne 0) {
    Stop-Update 125 'the backup failed; nothing was updated'
}

Write-Step 'updating: docker compose up -d --build'
& docker compose up -d --build
$code = $LASTEXITCODE
if ($code -eq 0) {
    Write-Step 'checking health'
    if (-not (Test-Health)) { $code = 1 }
}

if ($code -ne 0) {
    $wayBack = "docker compose run --rm --no-deps --entrypoint heirloom $Service restore $archive --force"
    if ($NoRollback) {
        Stop-Update $code "the update failed; the data was left as it is. To put it back: $wayBack"
    }
    Write-Step "the update failed: stopping service $Service and putting its data back"
    & docker compose stop $Service
    if ((Invoke-Heirloom @('restore', $archive, '--force')) -ne 0) {
        Stop-Update 125 "the update failed, and so did the rollback: the data is as the update left it. To put it back: $wayBack"
    }
    Stop-Update $code "the data is as it was before the update, and service $Service is stopped: start the old version"
}

Write-Step 'health of databases and backups'
if ((Invoke-Heirloom @('health')) -ne 0) {
    Write-Host 'warning: updated, but heirloom health is not content: see above' -ForegroundColor Yellow
}
if (-not $NoPrune) {
    Write-Step 'removing images that nothing uses'
    # Dangling images only: never volumes, never images with a name.
    & docker image prune --force | Out-Null
}
Write-Host 'updated' -ForegroundColor Green
exit 0
