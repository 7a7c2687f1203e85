#!/usr/bin/env python3
"""Measure `heirloom serve`: how soon it answers, what it holds in memory, and what it costs a backup beside it.

  serve.py --bin target/release/heirloom --work DIR [--counts 1000,10000] [--requests 60] [--size 1G] [--rounds 5]
           [--parts views,connections,downloads,backup]

`views`: list and overview with many archives of ten sets: at once after each other, apart (each older than what a view may be made
of), and `heirloom list --json` beside them in turn; the peak of the memory of the server, and of it and its children at a time.
`connections`: 256 of them held. `downloads`: two of one archive at a time, beside `http.server` of Python. `backup`: of a database
with a writer, with and without 50 requests a second to the page, in turn. The archives are made once and left in DIR.
"""
import argparse
import datetime
import hashlib
import http.client
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

TOKEN = "heirloom_bench-0123456789abcdef0123456789abcdef"
SERVER = "[server]\n[server.tokens.bench]\nrole = 'admin'\nsha256 = '%s'\n" % hashlib.sha256(TOKEN.encode()).hexdigest()
# Commits until its parent ends, and prints when each began and how long it took.
WRITER = """
import os, sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], timeout=120, isolation_level=None)
while os.getppid() == int(sys.argv[2]):
    start = time.monotonic()
    c.execute("INSERT INTO w VALUES (randomblob(100))")
    print(start, time.monotonic() - start, flush=True)
    time.sleep(0.002)
"""


def cell(values, digits=0):
    return "%.*f (%.*f to %.*f)" % (digits, statistics.median(values), digits, min(values), digits, max(values))


def percentiles(seconds):
    ordered = sorted(seconds)
    return "%.0f / %.0f" % (ordered[len(ordered) // 2] * 1e3, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3)


def run(h, folder, *words, **more):
    """Runs a command. Codes of `health` and of a backup with notes are no failures."""
    environment = dict(os.environ, HEIRLOOM_STATE_DIR=folder + "/state", HEIRLOOM_HOST="bench", **more)
    done = subprocess.run([h, *words, "--config", "heirloom.toml"], cwd=folder, env=environment, capture_output=True)
    if done.returncode not in (0, 3):
        sys.exit("%s: %s" % (" ".join(words), done.stderr.decode()[-600:]))
    return done.stdout


class Server:
    """A server of a folder; ended by its process id."""

    def __init__(self, h, folder):
        environment = dict(os.environ, HEIRLOOM_STATE_DIR=folder + "/state", HEIRLOOM_HOST="bench")
        self.process = subprocess.Popen([h, "serve", "--config", "heirloom.toml", "--listen", "127.0.0.1:0", "--as-root"],
                                        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in self.process.stdout:
            if b"listening on http://" in line:
                self.port = int(line.split(b"http://")[1].split(b"/")[0].rsplit(b":", 1)[1])
                break
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.cookie = self.sum = 0
        self.highest = {}
        self.is_watched = True
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        origin = "http://localhost:%d" % self.port
        connection.request("POST", "/sign-in", "token=" + TOKEN, {"Host": origin[7:], "Origin": origin})
        self.cookie = connection.getresponse().getheader("Set-Cookie").split(";")[0]

    def watch(self):
        """Reads the memory of the server and its children, again and again."""
        while self.is_watched:
            resident, own = 0, open("/proc/%d/cmdline" % self.process.pid).read()
            for process in [self.process.pid] + self.children():
                try:
                    # A child that was forked and is no other program yet has the memory of the server.
                    if process != self.process.pid and open("/proc/%d/cmdline" % process).read() == own:
                        continue
                    fields = dict(line.split(":", 1) for line in open("/proc/%d/status" % process) if line.startswith("Vm"))
                except OSError:
                    continue
                if fields:
                    kind = "server" if process == self.process.pid else "child"
                    self.highest[kind] = max(self.highest.get(kind, 0), int(fields["VmHWM"].split()[0]) / 1024)
                    resident += int(fields["VmRSS"].split()[0]) / 1024
            self.sum = max(self.sum, resident)
            time.sleep(0.002)

    def children(self):
        found = []
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            try:
                found += map(int, open("/proc/%d/task/%s/children" % (self.process.pid, task)).read().split())
            except OSError:
                pass
        return found

    def memory(self):
        return "%.0f | %.0f | %.0f" % (self.highest["server"], self.highest.get("child", 0), self.sum)

    def get(self, path, connection=None):
        """Returns the status of the answer, its body and the seconds that it took."""
        start = time.monotonic()
        connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        page = {"Host": "localhost:%d" % self.port, "Cookie": self.cookie}
        connection.request("GET", path, headers={"Authorization": "Bearer " + TOKEN} if path.startswith("/api") else page)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, body, time.monotonic() - start

    def stop(self):
        self.is_watched = False
        self.watcher.join()
        self.process.terminate()
        self.process.wait()


def archives(h, work, count):
    """Makes archives of ten small sets, 8 hours apart, once."""
    folder = "%s/archives-%d" % (work, count)
    if not os.path.exists(folder + "/complete"):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        with open(folder + "/heirloom.toml", "w") as config:
            for number in range(10):
                database(folder + "/s%d.db" % number, 0)
                config.write("[sets.s%d.databases]\na = 's%d.db'\n" % (number, number))
        now = datetime.datetime.now(datetime.timezone.utc)
        for number in range(count // 10, 0, -1):
            at = now - datetime.timedelta(hours=8 * number)
            run(h, folder, "backup", HEIRLOOM_NOW=at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        open(folder + "/complete", "w").close()
    text = open(folder + "/heirloom.toml").read()
    if SERVER not in text:
        open(folder + "/heirloom.toml", "a").write(SERVER)
    return folder


def database(path, size):
    """Makes a WAL database of about `size` random bytes: an archive of it is as large."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE w(a)")
    connection.execute("CREATE TABLE t(a)")
    connection.execute("BEGIN")
    for _ in range(size // 1_000_000):
        connection.execute("INSERT INTO t VALUES (randomblob(1000000))")
    connection.execute("COMMIT")
    connection.close()


def views(h, work, arguments):
    paths = (("GET /api/v1/backups", "/api/v1/backups"), ("page of the list", "/backups"), ("overview", "/"))
    print("\n| archives | | p50 / p99 ms | apart | KB |\n|---|---|---|---|---|")
    memory = []
    for count in map(int, arguments.counts.split(",")):
        folder = archives(h, work, count)
        found, sizes = {}, {}
        server = Server(h, folder)
        for name, path in paths:
            server.get(path)
        for _ in range(arguments.requests):
            # A view is not older than 1 s: after it, all documents are read anew.
            for name, path in paths:
                time.sleep(1.1)
                found.setdefault(name, []).append(server.get(path)[2])
            start = time.monotonic()
            run(h, folder, "list", "--json")
            found.setdefault("heirloom list --json", []).append(time.monotonic() - start)
        for name, path in paths:
            for _ in range(3 * arguments.requests):
                status, body, took = server.get(path)
                assert status == 200, (status, body[:300])
                found.setdefault(name + " again", []).append(took)
                sizes[name] = len(body) / 1e3
            print("| %d | %s | %s | %s | %.0f |" % (count, name, percentiles(found[name + " again"]), percentiles(found[name]), sizes[name]))
        print("| %d | heirloom list --json | | %s | |" % (count, percentiles(found["heirloom list --json"])), flush=True)
        # Several of everything at a time.
        threads = [threading.Thread(target=lambda path=path: [server.get(path) for _ in range(5)]) for _, path in paths * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        memory.append("| %d archives | %s |" % (count, server.memory()))
        server.stop()
    print("\n| MB at most | server | largest child | all at a time |\n|---|---|---|---|\n" + "\n".join(memory), flush=True)


def connections(h, work, arguments):
    """Holds as many connections as are allowed but one, and asks over the last one."""
    server = Server(h, archives(h, work, int(arguments.counts.split(",")[0])))
    alone = [server.get("/livez")[2] for _ in range(200)]
    held = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(255)]
    for connection in held:
        assert server.get("/livez", connection)[0] == 200
    beside = [server.get("/livez")[2] for _ in range(200)]
    late = socket.create_connection(("127.0.0.1", server.port))
    over = [server.get("/livez", connection)[2] for connection in held]
    late.close()
    print("\n| connections | p50 / p99 ms of /livez |\n|---|---|")
    print("| 1 | %s |\n| 256, over a new one | %s |" % (percentiles(alone), percentiles(beside)))
    print("| 256, over each of them | %s |\n\nMB at most: server %.0f" % (percentiles(over), server.highest["server"]), flush=True)
    server.stop()


def large(h, work, size):
    """A folder with a live database of this size and its configuration."""
    folder = "%s/size-%d" % (work, size)
    if not os.path.exists(folder + "/complete"):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        open(folder + "/heirloom.toml", "w").write("[sets.app.databases]\na = 'app.db'\n" + SERVER)
        database(folder + "/app.db", size)
        run(h, folder, "backup", "--check", "none")
        open(folder + "/complete", "w").close()
    return folder


def fetch(port, path, headers, found):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    buffer = memoryview(bytearray(1 << 20))
    found.append(0)
    while count := answer.readinto(buffer):
        found[-1] += count
    assert found[-1] == int(answer.getheader("Content-Length"))


def two(port, path, headers=None):
    """Downloads the same twice at a time; returns MB/s of both together."""
    found = [[], []]
    start = time.monotonic()
    threads = [threading.Thread(target=fetch, args=(port, path, headers or {}, each)) for each in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(sum, found)) / 1e6 / (time.monotonic() - start)


def downloads(h, work, arguments):
    folder = large(h, work, arguments.bytes)
    name = sorted(name for name in os.listdir(folder + "/backups") if ".tar" in name)[0]
    server = Server(h, folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    other = subprocess.Popen([sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", folder + "/backups", str(port)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        theirs.append(two(port, "/" + name))
        ours.append(two(server.port, "/api/v1/backups/%s/download" % name, {"Authorization": "Bearer " + TOKEN}))
    other.terminate()
    other.wait()
    ratios = [a / b for a, b in zip(ours, theirs)]
    print("\n| two downloads of %.0f MB at a time | MB/s of both | ratio, round by round |\n|---|---|---|" %
          (os.path.getsize(folder + "/backups/" + name) / 1e6))
    print("| python -m http.server | %s | |\n| heirloom serve | %s | %s |" % (cell(theirs), cell(ours), cell(ratios, 2)))
    print("\nMB at most: server %.0f, all at a time %.0f" % (server.highest["server"], server.sum), flush=True)
    server.stop()


def ask(server, paths, until, took):
    """Sends 50 requests a second, whether or not the ones before were answered."""
    def one(path):
        status, _, seconds = server.get(path)
        took.append((status, seconds))
    threads, start, count = [], time.monotonic(), 0
    while not until.is_set():
        threads.append(threading.Thread(target=one, args=(paths[count % len(paths)],)))
        threads[-1].start()
        count += 1
        time.sleep(max(0, start + count / 50 - time.monotonic()))
    for thread in threads:
        thread.join()


def backup(h, work, arguments):
    folder = large(h, work, arguments.bytes // 2)
    name = sorted(name for name in os.listdir(folder + "/backups") if ".tar" in name)[0]
    server = Server(h, folder)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, folder + "/app.db", str(os.getpid())], stdout=subprocess.PIPE)
    waits, rows, took = [], {False: [], True: []}, []
    threading.Thread(target=lambda: [waits.append(tuple(map(float, line.split()))) for line in writer.stdout], daemon=True).start()
    for number in range(2 * arguments.rounds + 2):
        is_asked = number % 2 == 1
        until = threading.Event()
        load = threading.Thread(target=ask, args=(server, ("/", "/backups", "/backups/" + name), until, took))
        if is_asked:
            load.start()
        time.sleep(0.5)
        begun = time.monotonic()
        run(h, folder, "backup", "--note", str(number))
        ended = time.monotonic()
        until.set()
        if is_asked:
            load.join()
        longest = [seconds for start, seconds in list(waits) if begun <= start <= ended]
        if number >= 2:              # the first round warms
            rows[is_asked].append((ended - begun, max(longest) * 1e3, sorted(longest)[len(longest) * 99 // 100] * 1e3))
        for made in os.listdir(folder + "/backups"):
            if ".tar" in made and made != name:
                os.remove(folder + "/backups/" + made)
    writer.terminate()
    writer.wait()
    print("\n| backup of %.0f MB with a writer | s | longest wait ms | 99 %% within ms |\n|---|---|---|---|" % (arguments.bytes / 2e6))
    for title, is_asked in (("no requests", False), ("50 requests a second", True)):
        print("| %s | %s |" % (title, " | ".join(cell(column, 2 - min(at, 1)) for at, column in enumerate(zip(*rows[is_asked])))))
    ratios = [[b / a for a, b in zip(*pair)] for pair in zip(rows[False], rows[True])]
    print("| ratio, round by round | %s |" % " | ".join(cell(column, 2) for column in zip(*ratios)))
    statuses = {status: sum(1 for one, _ in took if one == status) for status in sorted({one for one, _ in took})}
    print("\nAnswers: %s; p50 / p99 %s ms" % (statuses, percentiles([seconds for _, seconds in took])), flush=True)
    server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--counts", default="1000,10000")
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--size", default="1G")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", default="views,connections,downloads,backup")
    arguments = parser.parse_args()
    arguments.bytes = int(arguments.size[:-1]) * {"M": 1_000_000, "G": 1_000_000_000}[arguments.size[-1]]
    h, work = os.path.abspath(arguments.bin), os.path.abspath(arguments.work)
    os.makedirs(work, exist_ok=True)
    for part in arguments.parts.split(","):
        globals()[part](h, work, arguments)


main()
