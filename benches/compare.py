#!/usr/bin/env python3
"""Compare heirloom with its alternatives, in one interleaved run.

  compare.py --bin target/release/heirloom --work DIR [--size 1G] [--rounds 5] [--parts backup,again,restore,verify,many]

Every row of a part runs once per round, in turn (A B C A B C ...), after a warm-up round. Wall
and CPU seconds (user + system of the whole process tree) and the largest resident set of one process come from
the operating system's own accounting. All rows end with their data on disk where the tool offers it (sync).
Before each row, a file of twice the size of the database is written and removed: under a hypervisor the first use of
memory costs seconds per GB, and a row with only unused memory would be slower than one after a row that freed some.
Prints a Markdown table per part: median, minimum and maximum, and the ratio to the first row, round by round.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

# Stores are repeatedly recreated at the same path: nothing may record them.
os.environ["HEIRLOOM_STATE_DIR"] = "/dev/null/none"

HERE = os.path.dirname(os.path.abspath(__file__))
WANTED = [""]                                        # parts of the names of rows that run; the first row of a part always does


class Row:
    def __init__(self, name, command, before="", size=None, needs=()):
        self.name, self.command, self.before, self.size, self.needs = name, command, before, size, needs
        self.wall, self.cpu, self.rss, self.bytes = [], [], [], None

    def available(self):
        return all(shutil.which(tool) for tool in self.needs)

    def run(self, work, count):
        if self.before:
            subprocess.run(["bash", "-ec", self.before], cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        warm(work)
        os.sync()
        start = time.monotonic()
        process = subprocess.Popen(["bash", "-ec", self.command], cwd=work, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = status
        if status != 0:
            sys.exit("%s failed: %s" % (self.name, errors.decode(errors="replace")[-400:]))
        if count:
            self.wall.append(wall)
            self.cpu.append(usage.ru_utime + usage.ru_stime)
            self.rss.append(usage.ru_maxrss / 1024)
            if self.size:
                self.bytes = int(subprocess.check_output(["bash", "-c", self.size], cwd=work).split()[0])


def warm(work):
    """Gives the kernel free memory that was in use a moment ago."""
    path, block = os.path.join(work, "warm"), b"x" * (1 << 20)
    with open(path, "wb") as file:
        for _ in range(2 * os.path.getsize(os.path.join(work, "c.db")) // len(block)):
            file.write(block)
    os.remove(path)


def compare(title, rows, work, rounds):
    first, rest = rows[0], rows[1:]
    rows = [row for row in [first] + [row for row in rest if any(word in row.name for word in WANTED)] if row.available()]
    for number in range(rounds + 1):
        for row in rows:
            row.run(work, number > 0)
    print("\n### %s\n" % title)
    print("| | wall s: median (min to max) | CPU s | x first row | memory MB | MB out |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        ratio = statistics.median(base / own for base, own in zip(rows[0].wall, row.wall))
        out = "%.1f" % (row.bytes / 1e6) if row.bytes else ""
        print("| %s | %.2f (%.2f to %.2f) | %.2f | %.2f | %.0f | %s |" % (
            row.name, statistics.median(row.wall), min(row.wall), max(row.wall), statistics.median(row.cpu),
            ratio, max(row.rss), out), flush=True)


COPY = "rm -f s.db; sqlite3 c.db '.backup s.db'; "
RESTIC = "export RESTIC_PASSWORD=x RESTIC_REPOSITORY=$PWD/restic; "
BORG = "export BORG_REPO=$PWD/borg BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_BASE_DIR=$PWD/borgbase; "
RUSTIC = "export RUSTIC_PASSWORD=x RUSTIC_REPOSITORY=$PWD/rustic RUSTIC_CACHE_DIR=$PWD/rusticcache; "


def backup_rows(h):
    return [
        Row(".backup + gzip -6", COPY + "gzip -6 -c s.db >o.gz; sync o.gz", "rm -f o.gz", "stat -c %s o.gz", ("sqlite3", "gzip")),
        Row("heirloom backup", h + " backup c.db --dir h1", "rm -rf h1", "du -b h1/*.tar.gz"),
        Row("heirloom backup --check none", h + " backup c.db --dir h2 --check none", "rm -rf h2", "du -b h2/*.tar.gz"),
        Row("heirloom backup --compression-level 1", h + " backup c.db --dir h3 --compression-level 1", "rm -rf h3", "du -b h3/*.tar.gz"),
        Row("heirloom backup --compression zstd", h + " backup c.db --dir z1 --compression zstd", "rm -rf z1", "du -b z1/*.tar.zst"),
        Row("heirloom backup --compression zstd --check none", h + " backup c.db --dir z2 --compression zstd --check none",
            "rm -rf z2", "du -b z2/*.tar.zst"),
        Row(".backup + pigz -6", COPY + "pigz -6 -c s.db >o.pz; sync o.pz", "rm -f o.pz", "stat -c %s o.pz", ("sqlite3", "pigz")),
        Row(".backup + zstd -3 -T2", COPY + "zstd -q -3 -T2 -f s.db -o o.zst; sync o.zst", "rm -f o.zst", "stat -c %s o.zst", ("sqlite3", "zstd")),
        Row(".backup alone", COPY + "sync s.db", "", None, ("sqlite3",)),
        Row("cp + sync", "cp c.db s.db; sync s.db", "rm -f s.db"),
        Row(".backup + restic", RESTIC + COPY + "restic -q backup s.db", RESTIC + "rm -rf restic; restic -q init",
            "du -sb restic", ("sqlite3", "restic")),
        Row(".backup + borg (lz4)", BORG + COPY + "borg create ::a s.db", BORG + "rm -rf borg; borg init -e none",
            "du -sb borg", ("sqlite3", "borg")),
        Row(".backup + rustic", RUSTIC + COPY + "rustic backup s.db", RUSTIC + "rm -rf rustic rusticcache; rustic init",
            "du -sb rustic", ("sqlite3", "rustic")),
        Row("litestream replicate -once", "litestream replicate -once l.db file://$PWD/litestream",
            "rm -rf litestream .l.db-litestream l.db; cp c.db l.db", "du -sb litestream", ("litestream",)),
    ]


def again_rows(h):
    """The same database again, unchanged, after the backups of the previous part."""
    return [
        Row(".backup + gzip -6", COPY + "gzip -6 -c s.db >o2.gz; sync o2.gz", "rm -f o2.gz", "stat -c %s o2.gz", ("sqlite3", "gzip")),
        Row("heirloom backup", h + " backup c.db --dir h2", "rm -rf h2", "du -b h2/*.tar.gz"),
        Row("heirloom backup --if-older-than 1h", h + " backup c.db --dir h1 --if-older-than 1h"),
        Row(".backup + restic", RESTIC + COPY + "restic -q backup s.db", "", None, ("sqlite3", "restic")),
        Row(".backup + rustic", RUSTIC + COPY + "rustic backup s.db", "", None, ("sqlite3", "rustic")),
        Row(".backup + borg (lz4)", BORG + COPY + "borg create ::{now:%s} s.db", "", None, ("sqlite3", "borg")),
    ]


def restore_rows(h):
    clean = "rm -rf r.db r; mkdir r"
    return [
        Row("gunzip + sync", "gunzip -c o.gz >r.db; sync r.db", clean, None, ("gunzip",)),
        Row("cp + sync", "cp c.db r.db; sync r.db", clean),
        Row("heirloom restore (gzip)", h + " restore latest --dir h1 --to r.db", clean),
        Row("heirloom restore (zstd)", h + " restore latest --dir z1 --to r.db", clean),
        Row("heirloom restore --check full (gzip)", h + " restore latest --dir h1 --to r.db --check full", clean),
        Row("heirloom restore --check full (zstd)", h + " restore latest --dir z1 --to r.db --check full", clean),
        Row("tar xzf + sync", "tar xzf h1/*.tar.gz -C r; sync r/c.db", clean),
        Row("pigz -d + sync", "pigz -dc o.gz >r.db; sync r.db", clean, None, ("pigz",)),
        Row("zstd -d + sync", "zstd -dqc o.zst >r.db; sync r.db", clean, None, ("zstd",)),
        Row("restic restore", RESTIC + "restic -q restore latest --target r; sync", clean, None, ("restic",)),
        Row("rustic restore", RUSTIC + "rustic restore latest r; sync", clean, None, ("rustic",)),
        Row("borg extract", BORG + "cd r; borg extract ::a; sync", clean, None, ("borg",)),
    ]


def verify_rows(h):
    return [
        Row("gunzip -t", "gunzip -t o.gz", "", None, ("gunzip",)),
        Row("heirloom verify --depth quick (gzip)", h + " verify latest --dir h1 --depth quick"),
        Row("heirloom verify --depth quick (zstd)", h + " verify latest --dir z1 --depth quick"),
        Row("heirloom verify (gzip)", h + " verify latest --dir h1"),
        Row("heirloom verify (zstd)", h + " verify latest --dir z1"),
        Row("zstd -t", "zstd -tq o.zst", "", None, ("zstd",)),
        Row("restic check --read-data", RESTIC + "restic -q check --read-data", "", None, ("restic",)),
        Row("rustic check --read-data", RUSTIC + "rustic check --read-data", "", None, ("rustic",)),
    ]


def many(h, work, rounds):
    """One set of 1,000 small databases, and a store of 10,000 archives."""
    script = ("import sqlite3\nfor i in range(1000):\n c = sqlite3.connect('small/%04d.db' % i)\n"
              " c.execute('create table t(x)')\n c.executemany('insert into t values(?)', [(j,) for j in range(200)])\n c.commit()\n c.close()")
    os.makedirs(os.path.join(work, "small"), exist_ok=True)
    if not os.path.exists(os.path.join(work, "small/0999.db")):
        subprocess.run([sys.executable, "-c", script], cwd=work, check=True)
    each = "rm -rf s; mkdir s; for d in small/*.db; do sqlite3 $d \".backup s/${d#small/}\"; done; "
    loop = each + "tar czf s.tgz s; sync s.tgz"
    compare("1,000 small databases in one set", [
        Row("sqlite3 .backup each + tar czf", loop, "", "stat -c %s s.tgz", ("sqlite3",)),
        Row("heirloom backup", h + " backup small/*.db --dir h1000", "rm -rf h1000", "du -b h1000/*.tar.gz"),
        Row("heirloom backup --compression zstd", h + " backup small/*.db --dir z1000 --compression zstd", "rm -rf z1000", "du -b z1000/*.tar.zst"),
        Row("sqlite3 .backup each + restic", RESTIC + each + "restic -q backup s", RESTIC + "rm -rf restic; restic -q init",
            "du -sb restic", ("sqlite3", "restic")),
        Row("sqlite3 .backup each + rustic", RUSTIC + each + "rustic backup s", RUSTIC + "rm -rf rustic rusticcache; rustic init",
            "du -sb rustic", ("sqlite3", "rustic")),
        Row("sqlite3 .backup each + borg (lz4)", BORG + each + "borg create ::a s", BORG + "rm -rf borg; borg init -e none",
            "du -sb borg", ("sqlite3", "borg")),
    ], work, rounds)
    store = os.path.join(work, "h10000")
    if not os.path.isdir(store):
        subprocess.run(["bash", "-ec", h + " backup small/0000.db --dir h10000 --name base"], cwd=work, check=True)
        base = os.path.join(store, "base.tar.gz")
        for number in range(1, 10000):
            shutil.copyfile(base, os.path.join(store, "copy-%05d.tar.gz" % number))
    compare("A store of 10,000 archives", [
        Row("heirloom list", h + " list --dir h10000"),
        Row("heirloom list --json", h + " list --dir h10000 --json"),
        Row("heirloom rotate --dry-run", h + " rotate --dir h10000 --dry-run"),
    ], work, rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--size", default="1G")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", default="backup,again,restore,verify,many")
    parser.add_argument("--rows", default="", help="only rows whose names contain one of these, and the first of each part")
    args = parser.parse_args()
    WANTED[:] = args.rows.split(",")
    binary, work, parts = os.path.abspath(args.bin), os.path.abspath(args.work), args.parts.split(",")
    os.makedirs(work, exist_ok=True)
    database = os.path.join(work, "c.db")
    if not os.path.exists(database):
        subprocess.run([sys.executable, os.path.join(HERE, "make_db.py"), "--size", args.size, "--seed", "1", database], check=True)
    print("%s, %d processors, database of %.0f MB, %d rounds, %s" % (
        time.strftime("%Y-%m-%d"), os.cpu_count(), os.path.getsize(database) / 1e6, args.rounds,
        subprocess.check_output([binary, "--version"], text=True).splitlines()[0]))
    if "backup" in parts:
        compare("Backup", backup_rows(binary), work, args.rounds)
    if "again" in parts:
        compare("The same again, unchanged", again_rows(binary), work, args.rounds)
    if "restore" in parts:
        compare("Restore", restore_rows(binary), work, args.rounds)
    if "verify" in parts:
        compare("Verify", verify_rows(binary), work, args.rounds)
    if "many" in parts:
        many(binary, work, args.rounds)


if __name__ == "__main__":
    main()
