#!/usr/bin/env python3
"""The cost of a backup for a process that keeps writing: commits per second and how long each took, alone, beside `cp`, and beside heirloom.

  writers.py --bin target/release/heirloom --work DIR [--rounds 3]

DIR holds c.db, as compare.py leaves it. One process commits a row, waits 2 ms, and commits again; only commits that started while the
other command ran are counted. The rows of a mode run in turn. `cp` is repeated for the duration of a backup. Memory is warmed
before each as in compare.py. Prints a Markdown table for WAL and for rollback mode, and how long the raw copy takes, which is
the bound for the longest wait in rollback mode.
"""
import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time

# Stores are repeatedly recreated at the same path: nothing may record them.
os.environ["HEIRLOOM_STATE_DIR"] = "/dev/null/none"

from compare import warm

WRITER = """
import os, sqlite3, sys, time
parent = os.getppid()
c = sqlite3.connect(sys.argv[1], timeout=120, isolation_level=None)
out = open(sys.argv[2], "w")
i = 0
while os.getppid() == parent:
    i += 1
    start = time.monotonic()
    c.execute("BEGIN IMMEDIATE")
    c.execute("INSERT INTO bench_writes(text) VALUES (?)", ("x" * 100,))
    c.execute("COMMIT")
    print(start, time.monotonic() - start, file=out, flush=True)
    time.sleep(0.002)
"""


def beside(work, command, seconds):
    """Runs the command next to a writer; returns its duration, and that of every commit."""
    log = os.path.join(work, "writes.log")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, os.path.join(work, "w.db"), log])
    try:
        time.sleep(0.5)
        start = time.monotonic()
        while True:
            if command:
                subprocess.run(["bash", "-ec", command], cwd=work, check=True, stdout=subprocess.DEVNULL)
            else:
                time.sleep(0.1)
            end = time.monotonic()
            if end - start >= seconds:
                break
        time.sleep(0.2)
    finally:
        writer.kill()
        writer.wait()
    with open(log) as lines:
        writes = [tuple(map(float, line.split())) for line in lines if line.endswith("\n")]
    return end - start, [took for began, took in writes if start <= began <= end]


def remove(work):
    """Removes the files of a killed writer: a new w.db must not be combined with the -wal of an old one."""
    for name in ("w.db", "w.db-wal", "w.db-shm", "w.db-journal", "w.copy", "writes.log"):
        if os.path.exists(os.path.join(work, name)):
            os.remove(os.path.join(work, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    heirloom, work = os.path.abspath(args.bin), os.path.abspath(args.work)
    for mode in ("wal", "delete"):
        remove(work)
        shutil.copyfile(os.path.join(work, "c.db"), os.path.join(work, "w.db"))
        connection = sqlite3.connect(os.path.join(work, "w.db"), isolation_level=None)
        connection.execute("PRAGMA journal_mode=" + mode)
        connection.execute("CREATE TABLE bench_writes(id INTEGER PRIMARY KEY, text TEXT)")
        connection.close()
        rows = [("nothing", ""), ("`cp`, again and again", "cp w.db w.copy"),
                ("`heirloom backup`", heirloom + " backup w.db --dir hw"),
                ("`heirloom backup --check none`", heirloom + " backup w.db --dir hw --check none")]
        found = {name: [] for name, _ in rows}
        copies, seconds = [], 10.0
        for _ in range(args.rounds):
            for name, command in rows:
                once = "heirloom" in command
                warm(work)
                took, waits = beside(work, command, 0 if once else seconds)
                if name == "`heirloom backup`":
                    seconds = took
                waits.sort()
                found[name].append((len(waits) / took, waits[len(waits) // 2] * 1e3, waits[int(len(waits) * 0.99)] * 1e3, waits[-1] * 1e3, took))
                shutil.rmtree(os.path.join(work, "hw"), ignore_errors=True)
            os.remove(os.path.join(work, "w.copy"))
            warm(work)
            start = time.monotonic()
            source, copy = sqlite3.connect(os.path.join(work, "w.db")), sqlite3.connect(os.path.join(work, "w.copy"))
            copy.execute("PRAGMA journal_mode=OFF")
            copy.execute("PRAGMA synchronous=OFF")
            source.backup(copy)
            copies.append(time.monotonic() - start)
            source.close()
            copy.close()
        remove(work)
        print("\n### A writer in %s mode, %d rounds; each cell: median (min to max)\n" % ("WAL" if mode == "wal" else "rollback", args.rounds))
        print("| beside | commits/s | half of them within ms | 99 % within ms | longest ms | s |\n|---|---|---|---|---|---|")
        for name, _ in rows:
            columns = ["%.*f (%.*f to %.*f)" % (d, statistics.median(v), d, min(v), d, max(v)) for d, v in zip((0, 1, 1, 0, 1), zip(*found[name]))]
            print("| %s | %s |" % (name, " | ".join(columns)))
        print("\nThe raw copy by SQLite's backup API, with no writer: %.2f s (%.2f to %.2f)" % (
            statistics.median(copies), min(copies), max(copies)), flush=True)


if __name__ == "__main__":
    main()
