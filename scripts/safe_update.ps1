<#
.SYNOPSIS
Updates an application without losing its data: backs up, updates, checks health, and rolls the data back if the update fails.

.DESCRIPTION
For Windows hosts. heirloom runs inside the compose service that holds the databases, and this script calls it through
docker. Volumes are never removed. The archives of the state before the update are pinned until the update has succeeded
or was rolled back, so that no rotation removes them. If the update fails, the service is stopped before its data is
restored, and stays stopped, because the new version would change the data again; start the old version afterwards. A
rollback discards what others wrote since the backup. The failed state is kept as a safety backup.

In the service set HEIRLOOM_HOST, or `host` in the configuration of heirloom, if several applications share a store.

Exit codes: 0 updated; the code of the update if it failed; 1 not healthy afterwards; 2 configuration;
125 the backup or the rollback failed, and the message describes the state of the data; 127 no docker.

.PARAMETER Service
The compose service that holds the databases and has heirloom in its image.

.PARAMETER HealthUrl
Must answer with success after the update.

.PARAMETER HealthTimeout
How many seconds the application may take to become healthy.

.PARAMETER Set
Only this set of the configuration.

.PARAMETER NoRollback
Do not roll the data back; print the command that does.

.PARAMETER NoPrune
Do not remove dangling images.

.EXAMPLE
./safe_update.ps1 -Service api -HealthUrl http://localhost:8080/health
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)][string]$Service,
    [string]$HealthUrl = '',
    [ValidateRange(1, 3600)][int]$HealthTimeout = 60,
    [ValidatePattern('^[A-Za-z0-9_][A-Za-z0-9._-]*$')][string]$Set = '',
    [switch]$NoRollback,
    [switch]$NoPrune
)

$ErrorActionPreference = 'Stop'
# A failing program is recognized by its exit code, also in PowerShell 7.4 and later.
$PSNativeCommandUseErrorActionPreference = $false

function Write-Step([string]$Text) {
    Write-Host "==> $Text" -ForegroundColor Cyan
}

function Stop-Update([int]$Code, [string]$Text) {
    Write-Host "error: $Text" -ForegroundColor Red
    exit $Code
}

# Not `exec`: the service may be down, in particular after a failed update.
function Invoke-Heirloom([string[]]$Arguments) {
    & docker compose run --rm --no-deps -T --entrypoint heirloom $Service @Arguments | Out-Host
    return $LASTEXITCODE
}

# Checks once a second until the application is healthy or the time is over.
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
if ($LASTEXITCODE -ne 0) { Stop-Update 2 'the compose file is not valid' }
if ((Invoke-Heirloom @('config', 'check')) -ne 0) {
    Stop-Update 2 'the configuration of heirloom is not valid; nothing was updated'
}

# One archive a set. They are used by name: "latest" could be a backup made by somebody else during the update.
$setOption = @()
if ($Set -ne '') { $setOption = @("--set=$Set") }
Write-Step "backing up service $Service"
$report = & docker compose run --rm --no-deps -T --entrypoint heirloom $Service backup --kind pre-update --json @setOption
if ($LASTEXITCODE -ne 0) { Stop-Update 125 'the backup failed; nothing was updated' }
$document = ($report -join "`n") | ConvertFrom-Json
if ($document.PSObject.Properties['backups']) { $backups = @($document.backups) } else { $backups = @($document) }
$archives = @($backups | Where-Object { $_.archive } | ForEach-Object { ($_.archive -split '/')[-1] })
if ($archives.Count -eq 0) { Stop-Update 125 'heirloom reported no archive; nothing was updated' }
# A rotation during the update must not remove them. If this process dies, they stay pinned: nothing is lost.
foreach ($archive in $archives) {
    if ((Invoke-Heirloom @('pin', $archive)) -ne 0) {
        Stop-Update 125 "the archive $archive could not be pinned; nothing was updated"
    }
}
$commands = $archives | ForEach-Object {
    "docker compose run --rm --no-deps --entrypoint heirloom $Service restore $_ --to-original --force"
}
$wayBack = $commands -join '; '

function Remove-Pins {
    foreach ($archive in $archives) {
        if ((Invoke-Heirloom @('unpin', $archive)) -ne 0) {
            Write-Host "warning: the archive $archive is still pinned; run heirloom unpin $archive" -ForegroundColor Yellow
        }
    }
}

Write-Step 'updating: docker compose up -d --build'
& docker compose up -d --build
$code = $LASTEXITCODE
if ($code -eq 0) {
    Write-Step 'checking health'
    if (-not (Test-Health)) { $code = 1 }
}

if ($code -ne 0) {
    if ($NoRollback) {
        Stop-Update $code "the update failed; the data was not rolled back, and the archive from before the update is pinned (heirloom unpin). Restore it with: $wayBack"
    }
    Write-Step "the update failed: stopping service $Service and restoring its data"
    & docker compose stop $Service
    foreach ($archive in $archives) {
        if ((Invoke-Heirloom @('restore', $archive, '--to-original', '--force')) -ne 0) {
            Stop-Update 125 "the update failed, and so did the rollback: some data may be as the update left it. Restore it with: $wayBack"
        }
    }
    # A backup of the failed state, made during the update, must not be the newest one.
    if ((Invoke-Heirloom (@('backup', '--note', 'after the rollback of a failed update') + $setOption)) -ne 0) {
        Write-Host 'warning: no backup of the restored state; heirloom restore latest may restore the failed one' -ForegroundColor Yellow
    }
    Remove-Pins
    Stop-Update $code "the data is as it was before the update, and service $Service is stopped: start the old version"
}
Remove-Pins

Write-Step 'health of databases and backups'
if ((Invoke-Heirloom (@('health') + $setOption)) -ne 0) {
    Write-Host 'warning: updated, but heirloom health found problems, see above' -ForegroundColor Yellow
}
if (-not $NoPrune) {
    Write-Step 'removing dangling images'
    # Dangling images only: never volumes, never images with a name.
    & docker image prune --force | Out-Null
}
Write-Host 'updated' -ForegroundColor Green
exit 0
