#!/usr/bin/env python3
"""Measure heirloom with a store on a real S3 server (seaweedfs on loopback), beside rclone and restic.

  remote.py --bin target/release/heirloom --work DIR [--size 1G] [--rounds 3] [--archives 10000] [--sets 10000]
            [--parts transfer,encryption,only,archives,sets]

`transfer` and `encryption` compare whole commands in one interleaved run, as compare.py does. `only` counts the bytes that the server
sent. `archives` and `sets` print seconds, the requests that the server counted, and the largest resident set.
Run it with target/python/bin/python, which has seaweedfs (scripts/install-test-tools.sh); needs restic, rclone and age as well.
"""
import argparse
import datetime
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import compare
from compare import Row

HERE = compare.HERE
KEY, SECRET = "heirloom", "of-the-tests"
IDENTITIES = ('{"identities":[{"name":"t","credentials":[{"accessKey":"%s","secretKey":"%s"}],'
              '"actions":["Admin","Read","Write","List","Tagging"]}]}' % (KEY, SECRET))


class Server:
    """seaweedfs on free ports; ended by its process id."""

    def __init__(self, work):
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
        self.port, self.metrics, master, volume, filer = [s.getsockname()[1] for s in sockets]
        for s in sockets:
            s.close()
        folder = os.path.join(work, "server")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        open(os.path.join(folder, "s3.json"), "w").write(IDENTITIES)
        arguments = ["dir=" + folder, "ip=127.0.0.1", "ip.bind=127.0.0.1", "master.port=%d" % master, "volume.port=%d" % volume,
                     "volume.max=60", "master.volumeSizeLimitMB=1024", "master.telemetry=false", "filer", "filer.port=%d" % filer, "s3",
                     "s3.port=%d" % self.port, "s3.config=" + folder + "/s3.json", "s3.port.iceberg=0", "s3.port.lance=0",
                     "metricsPort=%d" % self.metrics, "metricsIp=127.0.0.1"]
        weed = os.path.join(os.path.dirname(sys.executable), "weed")
        self.process = subprocess.Popen([weed, "server"] + ["-" + argument for argument in arguments], cwd=folder,
                                        stdout=open(folder + "/log", "w"), stderr=subprocess.STDOUT)
        environment(self)
        for _ in range(300):
            if subprocess.run("rclone -q mkdir s:bench && echo ready | rclone -q rcat s:bench/ready", shell=True,
                              stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.2)
        sys.exit("seaweedfs does not start: see %s/log" % folder)

    def endpoint(self):
        return "http://127.0.0.1:%d" % self.port

    def url(self, prefix):
        return "s3://bench/%s?endpoint=%s" % (prefix, self.endpoint())

    def counted(self):
        """Requests by kind, and bytes sent, since the server started."""
        text = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.metrics).read().decode()
        requests, sent = {}, 0
        for name, labels, value in re.findall(r"^(\w+)\{([^}]*)\} (\S+)$", text, re.M):
            if name == "SeaweedFS_s3_request_total":
                kind = re.search(r'type="(\w*)"', labels).group(1)
                requests[kind] = requests.get(kind, 0) + int(float(value))
            elif name == "SeaweedFS_s3_bucket_traffic_sent_bytes_total":
                sent += int(float(value))
        return requests, sent

    def stop(self):
        self.process.terminate()
        self.process.wait()


def environment(server):
    os.environ.pop("AWS_CA_BUNDLE", None)            # rclone ends with an error where it is set
    os.environ.update(HEIRLOOM_HOST="bench", AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="us-east-1",
                      RESTIC_PASSWORD="x", RESTIC_REPOSITORY="s3:%s/bench/restic" % server.endpoint(), RCLONE_CONFIG_S_TYPE="s3",
                      RCLONE_CONFIG_S_PROVIDER="SeaweedFS", RCLONE_CONFIG_S_ENV_AUTH="true",
                      RCLONE_CONFIG_S_ENDPOINT=server.endpoint())


def transfer(server, h, work, rounds):
    url = server.url("transfer")
    # The state directory must remember the store, as it does in use: without it each run tries what the service refuses.
    state = "export HEIRLOOM_STATE_DIR=$PWD/state; "
    copy = "rm -f s.db s.db.zst; sqlite3 c.db '.backup s.db'; zstd -q -3 -T2 s.db; "
    none = "rclone -q purge s:bench/transfer || true; rm -rf state; " + state
    compare.compare("Backup of %s to S3" % size(work), [
        Row(".backup + zstd -3 -T2 + rclone copyto", copy + "rclone -q copyto s.db.zst s:bench/rclone.zst", "", None,
            ("sqlite3", "zstd", "rclone")),
        Row("heirloom backup --compression zstd --check none", state + h + " backup c.db --compression zstd --check none --dir '%s'" % url,
            none + h + " store check --dir '%s'" % url),
        Row("heirloom backup --compression zstd", state + h + " backup c.db --compression zstd --dir '%s'" % url,
            none + h + " store check --dir '%s'" % url),
        Row(".backup + restic", "rm -f s.db; sqlite3 c.db '.backup s.db'; restic -q backup s.db",
            "rclone -q purge s:bench/restic || true; restic -q init", None, ("sqlite3", "restic")),
    ], work, rounds)
    compare.compare("Restore of it", [
        Row("rclone copyto + zstd -d", "rclone -q copyto s:bench/rclone.zst r.zst; zstd -q -d -f r.zst -o r.db; sync r.db",
            "rm -f r.zst r.db", None, ("zstd", "rclone")),
        Row("heirloom restore", state + h + " restore --to r.db --dir '%s'" % url, "rm -f r.db*"),
        Row("restic restore", "restic -q restore latest --target restored; sync restored/*", "rm -rf restored", None, ("restic",)),
    ], work, rounds)


def encryption(server, h, work, rounds):
    if not os.path.exists(work + "/key"):
        subprocess.run([h, "key", "new", work + "/key"], check=True, stdout=subprocess.DEVNULL)
    public = subprocess.run(["age-keygen", "-y", work + "/key"], check=True, capture_output=True, text=True).stdout.strip()
    open(work + "/encrypted.toml", "w").write('[encryption]\nrecipients = ["%s"]\n' % public)
    for compression in ("gzip", "zstd"):
        plain = "HEIRLOOM_STATE_DIR=$PWD/e-state %s backup c.db --compression %s --dir " % (h, compression)
        compare.compare("Backup of %s to a local store, %s" % (size(work), compression), [
            Row("plain", plain + "e1", "rm -rf e1 e2 e-state"),
            Row("encrypted", plain + "e2 --config encrypted.toml", "rm -rf e1 e2 e-state"),
        ], work, rounds)


def size(work):
    return "%d MB" % (os.path.getsize(work + "/c.db") / 1e6)


def run(server, title, command, **more):
    """Runs a command and prints what it took."""
    before = server.counted()
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    errors = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall, after = time.monotonic() - start, server.counted()
    kinds = {kind: count - before[0].get(kind, 0) for kind, count in after[0].items() if count != before[0].get(kind, 0)}
    print("| %s | %.1f | %d (%s) | %.1f | %.0f | %d |" % (
        title, wall, sum(kinds.values()), ", ".join("%s %d" % pair for pair in sorted(kinds.items())), (after[1] - before[1]) / 1e6,
        usage.ru_maxrss / 1024, process.returncode), flush=True)
    if process.returncode not in (0, 3):
        sys.exit("%s: %s" % (" ".join(command), errors[-600:]))


def head(title):
    print("\n### %s\n\n| | s | requests | MB from the server | memory MB | exit |\n|---|---|---|---|---|---|" % title)


def only(server, h, work):
    """A database of 10 MB out of a set with one of the full size."""
    small = os.path.join(work, "small.db")
    subprocess.run([sys.executable, HERE + "/make_db.py", small, "--size", "10M", "--seed", "3"], check=True)
    os.environ["HEIRLOOM_STATE_DIR"] = os.path.join(work, "only-state")
    url = server.url("only")
    head("One database of 10 MB out of a set of %s" % size(work))
    run(server, "backup of both", [h, "backup", work + "/c.db", small, "--name", "both", "--dir", url])
    for out in ("all", "one"):
        shutil.rmtree(os.path.join(work, out), ignore_errors=True)
        os.makedirs(os.path.join(work, out))
    run(server, "restore of both", [h, "restore", "--to-dir", work + "/all", "--dir", url])
    run(server, "restore --only small", [h, "restore", "--only", "small", "--to-dir", work + "/one", "--dir", url])


def shard(h, work, number, count, first):
    """Makes archives of one database at different times in a folder of their own."""
    folder = os.path.join(work, "shards", "%03d" % number)
    env = dict(os.environ, HEIRLOOM_STATE_DIR=os.path.join(work, "shards", "state%03d" % number))
    for index in range(count):
        at = first + datetime.timedelta(hours=number * count + index)
        subprocess.run([h, "backup", os.path.join(work, "tiny.db"), "--dir", folder], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=dict(env, HEIRLOOM_NOW=at.strftime("%Y-%m-%dT%H:%M:%SZ")))


def tiny(work):
    subprocess.run(["sqlite3", work + "/tiny.db", "create table if not exists t(x); insert into t values(1)"], check=True)


def archives(server, h, work, count):
    tiny(work)
    shutil.rmtree(os.path.join(work, "shards"), ignore_errors=True)
    os.makedirs(os.path.join(work, "shards"))
    now = datetime.datetime.now(datetime.timezone.utc)
    first = now - datetime.timedelta(hours=count)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: shard(h, work, number, count // 100, first), range(100)))
    files = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(work, "shards")) for name in names
             if ".tar." in name]
    merged = os.path.join(work, "shards", "merged")
    os.makedirs(merged)
    for path in files:
        os.rename(path, os.path.join(merged, os.path.basename(path)))
    subprocess.run(["rclone", "-q", "copy", "--transfers", "16", merged, "s:bench/archives"], check=True)
    os.environ["HEIRLOOM_STATE_DIR"] = os.path.join(work, "archives-state")
    url = server.url("archives")
    head("%d archives" % len(files))
    run(server, "list, first", [h, "list", "--dir", url])
    run(server, "list, second", [h, "list", "--dir", url])
    run(server, "rotate --dry-run", [h, "rotate", "--dry-run", "--dir", url])


def sets(server, h, work, count):
    folder = os.path.join(work, "sets")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tiny(work)
    with open(folder + "/heirloom.toml", "w") as file:
        file.write('[store]\nurl = "%s"\n[retention]\ndaily = 1\nweekly = 0\nmonthly = 0\n' % server.url("sets"))
        for number in range(count):
            shutil.copy(work + "/tiny.db", folder + "/%05d.db" % number)
            file.write('[sets.s%05d.databases]\na = "%05d.db"\n' % (number, number))
    now = datetime.datetime.now(datetime.timezone.utc).replace(hour=3, minute=0, second=0)
    head("%d sets" % count)
    for night in (2, 1):
        at = (now - datetime.timedelta(days=night)).strftime("%Y-%m-%dT%H:%M:%SZ")
        env = dict(os.environ, HEIRLOOM_STATE_DIR=folder + "/state", HEIRLOOM_NOW=at)
        run(server, "backup --rotate, night %d" % (3 - night), [h, "backup", "--rotate"], cwd=folder, env=env)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--size", default="1G")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--archives", type=int, default=10000)
    parser.add_argument("--sets", type=int, default=10000)
    parser.add_argument("--parts", default="transfer,encryption,only,archives,sets")
    args = parser.parse_args()
    h, work = os.path.abspath(args.bin), os.path.abspath(args.work)
    os.makedirs(work, exist_ok=True)
    if not os.path.exists(work + "/c.db"):
        subprocess.run([sys.executable, HERE + "/make_db.py", work + "/c.db", "--size", args.size, "--seed", "1"], check=True)
    server = Server(work)
    try:
        for part in args.parts.split(","):
            if part in ("transfer", "encryption"):
                globals()[part](server, h, work, args.rounds)
            elif part == "only":
                only(server, h, work)
            else:
                globals()[part](server, h, work, getattr(args, part))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
