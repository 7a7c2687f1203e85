#!/usr/bin/env python3
"""How long a writer waits while its database is restored: from a local store, and from S3 over a slow line, in one run.

  slow_restore.py --bin target/release/heirloom [--rate 1000000] [--megabytes 10] [--rounds 3] [--moto target/python/bin/moto_server]

A WAL database of random rows is backed up to both. Then one process commits a row every 2 ms while the database is restored. S3 is
moto behind a proxy that passes on --rate bytes per second, also of the safety backup, which is sent when no lock is held. Prints a Markdown table.
"""
import argparse
import os
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

from writers import beside


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Line:
    """A line to a port that passes on so many bytes per second, in both directions together."""

    def __init__(self, port, rate):
        self.to, self.rate, self.free, self.lock = port, rate, time.monotonic(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.to))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self.move, args=(source, target), daemon=True).start()

    def move(self, source, target):
        try:
            while block := source.recv(16384):
                with self.lock:
                    self.free = max(self.free, time.monotonic()) + len(block) / self.rate
                    wait = self.free - time.monotonic()
                time.sleep(max(0, wait))
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--rate", type=int, default=1_000_000)
    parser.add_argument("--megabytes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--moto", default="target/python/bin/moto_server")
    args = parser.parse_args()
    heirloom, port = os.path.abspath(args.bin), free_port()
    with tempfile.TemporaryDirectory() as work:
        os.environ.update(HEIRLOOM_STATE_DIR=os.path.join(work, "state"), HEIRLOOM_HOST="bench", AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench")
        moto = subprocess.Popen([args.moto, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:%d/bench" % port, method="PUT"))
                    break
                except OSError:
                    time.sleep(0.1)
            line = Line(port, args.rate)
            connection = sqlite3.connect(os.path.join(work, "w.db"), isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE bench_writes(id INTEGER PRIMARY KEY, text TEXT)")
            connection.execute("CREATE TABLE load(x)")
            connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                               "INSERT INTO load SELECT randomblob(1000) FROM n", (args.megabytes * 1000,))
            connection.close()
            remote = "s3://bench/store?endpoint=http://127.0.0.1:%d"
            rows = [("a local store", "local"), ("S3 at %.1f MB/s" % (args.rate / 1e6), remote % line.port)]
            for store in ("local", remote % port):
                subprocess.run([heirloom, "backup", "w.db", "--dir", store, "--name", "saved"], cwd=work, check=True, stdout=subprocess.DEVNULL)
            found = {name: [] for name, _ in rows}
            for _ in range(args.rounds):
                for name, store in rows:
                    took, waits = beside(work, "%s restore saved --dir '%s' --to w.db --force" % (heirloom, store), 0)
                    waits.sort()
                    found[name].append((len(waits) / took, waits[int(len(waits) * 0.99)] * 1e3, waits[-1] * 1e3, took))
        finally:
            moto.terminate()
            moto.wait()
    print("| restore from | commits/s | 99 % within ms | longest ms | s |\n|---|---|---|---|---|")
    for name, _ in rows:
        cells = ["%.1f (%.1f to %.1f)" % (statistics.median(v), min(v), max(v)) for v in zip(*found[name])]
        print("| %s | %s |" % (name, " | ".join(cells)))


if __name__ == "__main__":
    main()
