#!/usr/bin/env python3
"""Measure what `heirloom run` costs the application that it is around.

  run.py --bin target/release/heirloom --work DIR [--size 1G] [--databases 10000] [--idle 60] [--rounds 3]
         [--parts start,idle,latency,look,many]

`start`: how long after the command the application runs, beside the application alone, in WAL and rollback mode.
`idle`: memory, processor time and wake-ups of a run in which nothing happens, and of one look at an unchanged database.
`latency`: how long commits of an application take, alone and under a run that backs up every 2 seconds, in turn.
`look`: `backup --if-changed` of an unchanged database. `many`: the same for thousands of small ones, from one pattern.
"""
import argparse
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
STARTED = "import sys, time; print(time.clock_gettime(time.CLOCK_MONOTONIC), flush=True)"
# Commits for some seconds, and prints how long each took in milliseconds: median, 99th percentile, longest.
WRITER = """
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
c.execute("pragma synchronous=full")
c.execute("create table if not exists w(a)")
took, end = [], time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    start = time.monotonic()
    c.execute("insert into w values(randomblob(200))")
    took.append((time.monotonic() - start) * 1000)
    time.sleep(0.002)
took.sort()
print(len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1], flush=True)
"""


def database(path, size, mode):
    """Makes a database of about `size` bytes."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode=" + mode)
    connection.execute("create table t(a integer primary key, b)")
    connection.execute("begin")
    for _ in range(size // 100_000):
        connection.execute("insert into t(b) values(randomblob(99000))")
    connection.execute("commit")
    connection.close()


class Bench:
    def __init__(self, arguments):
        self.bin, self.work, self.arguments = os.path.abspath(arguments.bin), os.path.abspath(arguments.work), arguments
        os.makedirs(self.work, exist_ok=True)
        self.environment = dict(os.environ, HEIRLOOM_STATE_DIR=self.work + "/state", HEIRLOOM_HOST="bench")

    def anew(self, config=""):
        for name in os.listdir(self.work):
            path = os.path.join(self.work, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
        with open(self.work + "/heirloom.toml", "w") as out:
            out.write(config)

    def command(self, *words):
        return subprocess.run([self.bin, *words], cwd=self.work, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def timed(self, *words):
        """Returns seconds, processor seconds and the largest resident set in MB of a command that succeeds."""
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        process = subprocess.Popen([self.bin, *words], cwd=self.work, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit("%s: %s" % (words, errors.decode()))
        return time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def start(self):
        for mode in ("wal", "delete"):
            self.anew("[sets.app.databases]\napp = 'app.db'\n")
            database(self.work + "/app.db", self.arguments.bytes, mode)
            self.command("backup")
            under = [self.bin, "run", "--"]
            for name, front in (("alone", []), ("under run, unchanged", under), ("under run, changed", under)):
                waits = []
                for _ in range(5):
                    if name.endswith(", changed"):
                        connection = sqlite3.connect(self.work + "/app.db", isolation_level=None)
                        connection.execute("insert into t(b) values(1)")
                        connection.close()
                    begin = time.clock_gettime(time.CLOCK_MONOTONIC)
                    done = subprocess.run(front + [sys.executable, "-c", STARTED], cwd=self.work, env=self.environment,
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                    waits.append(float(done.stdout) - begin)
                waits.sort()
                print("| start, %s, %s | %.0f ms (%.0f to %.0f) |" % (mode, name, waits[2] * 1e3, waits[0] * 1e3, waits[4] * 1e3), flush=True)

    def idle(self):
        self.anew("[sets.app.databases]\napp = 'app.db'\n")
        database(self.work + "/app.db", 10_000_000, "wal")
        process = subprocess.Popen([self.bin, "run", "--", "sleep", "100000"], cwd=self.work, env=self.environment, stderr=subprocess.DEVNULL)
        time.sleep(5)
        first = self.usage(process.pid)
        time.sleep(self.arguments.idle)
        last = self.usage(process.pid)
        process.terminate()
        process.wait()
        day = 86400 / self.arguments.idle
        print("| idle | %.1f MB, %.2f CPU s and %.0f wake-ups a day without the looks |"
              % (last[2], (last[0] - first[0]) * day, (last[1] - first[1]) * day), flush=True)
        took, cpu, memory = self.timed("backup", "--if-changed", "--kind", "scheduled")
        print("| a look of its child | %.0f ms, %.0f ms CPU, %.1f MB |" % (took * 1e3, cpu * 1e3, memory), flush=True)

    @staticmethod
    def usage(pid):
        cpu = switches = 0
        for task in os.listdir("/proc/%d/task" % pid):
            fields = open("/proc/%d/task/%s/stat" % (pid, task)).read().rsplit(")", 1)[1].split()
            cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            for line in open("/proc/%d/task/%s/status" % (pid, task)):
                if "ctxt_switches" in line:
                    switches += int(line.split()[1])
        memory = next(int(line.split()[1]) / 1024 for line in open("/proc/%d/status" % pid) if line.startswith("VmHWM"))
        return cpu, switches, memory

    def latency(self):
        for mode in ("wal", "delete"):
            self.anew("[sets.app.databases]\napp = 'app.db'\n")
            database(self.work + "/app.db", 100_000_000, mode)
            for _ in range(self.arguments.rounds):
                for name, front in (("alone", []), ("under run", [self.bin, "run", "--every", "2s", "--"])):
                    done = subprocess.run(front + [sys.executable, "-c", WRITER, "app.db", "12"], cwd=self.work, env=self.environment,
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                    count, p50, p99, longest = done.stdout.split()
                    print("| commits, %s, %s | %s: p50 %.2f ms, p99 %.2f ms, longest %.0f ms |"
                          % (mode, name, count.decode(), float(p50), float(p99), float(longest)), flush=True)

    def look(self):
        self.anew("[sets.app.databases]\napp = 'app.db'\n")
        database(self.work + "/app.db", self.arguments.bytes, "wal")
        os.utime(self.work + "/app.db", (1, time.time() - 60))
        print("| first backup, %s | %.2f s, %.1f MB |" % (self.arguments.size, *self.timed("backup", "--if-changed")[::2]), flush=True)
        looks = sorted(self.timed("backup", "--if-changed")[0] for _ in range(9))
        print("| look, %s | %.1f ms (%.1f to %.1f) |" % (self.arguments.size, looks[4] * 1e3, looks[0] * 1e3, looks[8] * 1e3), flush=True)

    def many(self):
        self.anew("[sets.tenants]\neach = 'data/*.db'\n")
        os.makedirs(self.work + "/data")
        database(self.work + "/one", 0, "delete")
        for number in range(self.arguments.databases):
            shutil.copy(self.work + "/one", self.work + "/data/t%05d.db" % number)
        rows = (("first backup", ["backup"]), ("look", ["backup", "--if-changed"]), ("second backup, rotated", ["backup", "--rotate"]))
        for name, words in rows:
            took, cpu, memory = self.timed(*words)
            print("| %s, %d databases | %.1f s, %.1f CPU s, %.0f MB |" % (name, self.arguments.databases, took, cpu, memory), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--size", default="1G")
    parser.add_argument("--databases", type=int, default=10000)
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default="start,idle,latency,look,many")
    arguments = parser.parse_args()
    arguments.bytes = int(arguments.size[:-1]) * {"M": 1_000_000, "G": 1_000_000_000}[arguments.size[-1]]
    bench = Bench(arguments)
    for part in arguments.parts.split(","):
        getattr(bench, part)()


main()
