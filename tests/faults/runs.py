#!/usr/bin/env python3
"""Concurrent runs, writers that hammer and crash, clocks that jump.

  runs.py --bin BIN [--only together,hammer,online,swap,clock] [--rounds 10] [--seconds 10] [--seed 1]

together: six backups at once; backups against rotate, cleanup and delete; verify and restore while rotate removes.
hammer: writers that commit and get SIGKILLed while backups run; each archive is checked for torn transactions,
gaps and lost commits. online: restores under readers, none of which may see a mixture. swap: names that become links. clock: jumps back and forth, both daylight
saving changes, February 29: retention never removes the newest good archive.
"""
import argparse, datetime, os, random, shutil, sqlite3, subprocess, sys, tarfile, tempfile, time

from invariants import *
from scenarios import advance, make_database

# Each transaction keeps sum(acc.v) = 0 and adds one row to log(w, n), with n increasing by one for each writer.
WRITER = r'''
import os, random, sqlite3, sys
db, w, ack = sys.argv[1], int(sys.argv[2]), sys.argv[3]
c = sqlite3.connect(db, isolation_level=None, timeout=30); r = random.Random(os.getpid())
c.execute('pragma cache_size=10'); c.execute('pragma wal_autocheckpoint=50')
n = c.execute('select coalesce(max(n),0) from log where w=?', (w,)).fetchone()[0]
f = os.open(ack, os.O_WRONLY | os.O_CREAT, 0o600)
while True:
    n += 1; x = r.randrange(100)
    c.execute('begin immediate')
    for i in r.sample(range(200), 20): c.execute('update acc set v=v+?, pad=randomblob(300) where id=?', (x, i)); c.execute('update acc set v=v-? where id=?', (x, (i * 7 + 3) % 200))
    c.execute('insert into log values(?,?)', (w, n)); c.execute('commit'); os.pwrite(f, b'%12d' % n, 0)
'''

READER = r"""
import sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
while True:
    seen = c.execute('select count(distinct generation), count(*) from t').fetchone()
    if seen[0] != 1 or seen[1] not in (200, 250): print('MIXED', seen, flush=True)
    print('.', end='', flush=True)
"""


SWAPPER = r"""
import os, sys
name, to = sys.argv[1:]
while True:
    # The real one, a link to somewhere else, the real one again.
    try: os.rename(name, name + '.real')
    except OSError: pass
    try: os.symlink(to, name + '.link'); os.rename(name + '.link', name)
    except OSError: pass
    try:
        if os.path.lexists(name + '.real'): os.unlink(name); os.rename(name + '.real', name)
        elif os.path.islink(name): os.unlink(name)
    except OSError: pass
"""


class Runs:
    def __init__(self, a):
        self.a, self.bin, self.rnd, self.bad = a, a.bin, random.Random(a.seed), 0
        self.work = tempfile.mkdtemp(prefix='runs-', dir='/dev/shm' if os.access('/dev/shm', os.W_OK) else None)

    def world(self):
        d = f'{self.work}/w'
        shutil.rmtree(d, ignore_errors=True)
        os.makedirs(f'{d}/tmp')
        return d

    def start(self, d, *args, now=NOW):
        return subprocess.Popen([self.bin, *args], cwd=d, env=environment(now, TMPDIR=f'{d}/tmp'), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def must(self, d, *args, now=NOW):
        code, out, err = run([self.bin, *args], d, environment(now, TMPDIR=f'{d}/tmp'))
        if code: raise SystemExit(f'{args}: {said(err)}')

    def report(self, what, problems):
        if problems:
            self.bad += 1
            print(f'FAIL {what}: {"; ".join(problems)}', flush=True)

    def together(self):
        done = {0: 0}
        for n in range(self.a.rounds):
            d = self.world()
            make_database(f'{d}/app.db', 'wal' if n % 2 else 'delete', 1)
            for day in range(6): self.must(d, 'backup', 'app.db', now=f'2026-02-{10 + day:02}T03:00:00Z')
            before, state = archives(f'{d}/backups'), contents_of_live(f'{d}/app.db')
            rotate = ['rotate', '--keep-daily', '2', '--keep-weekly', '0', '--keep-monthly', '0']
            kinds = [[['backup', 'app.db']] * 6,
                     [['backup', 'app.db'], rotate, ['backup', 'app.db'], ['cleanup', '--keep', '3'], ['delete', '--force', sorted(before)[0]], rotate],
                     [rotate, ['verify', '--all'], ['restore', sorted(before)[1], '--to', 'a.db'], ['verify', '--all'], ['restore', 'latest', '--to', 'b.db'], ['list']]]
            for kind, commands in enumerate(kinds):
                ps = []
                for c in commands:
                    ps.append(self.start(d, *c))
                    time.sleep(self.rnd.random() * .01)
                problems, ended = [], []
                for p, c in zip(ps, commands):
                    out, err = p.communicate(timeout=120)
                    ended.append(p.returncode)
                    done[p.returncode] = done.get(p.returncode, 0) + 1
                    problems += judge_exit(p.returncode, err)
                    # Removed in the meantime means "no such backup"; locked means "try again".
                    if p.returncode not in ((0, 11, 12) if c[0] in ('delete', 'restore') else (0, 11)): problems.append(f'{c[0]} exits {p.returncode}: {said(err)}')
                allowed = {'app': {state}}
                found, new = judge_store(f'{d}/backups', before, set(before), allowed)
                problems += found
                if kind == 0 and len(new) != ended.count(0): problems.append(f'{ended.count(0)} said done, {len(new)} new archives')
                newest = max(n[4:20] for n in before)
                if not [n for n in archives(f'{d}/backups') if n[4:20] >= newest]: problems.append('no newer archive, and the newest is gone')
                for t in ('a.db', 'b.db'):
                    if os.path.exists(f'{d}/{t}') and contents(f'{d}/{t}') != state: problems.append(f'{t} holds something else')
                problems += verifies(self.bin, d) + [f'scratch stays: {x}' for x in scratch(d)]
                if contents_of_live(f'{d}/app.db') != state: problems.append('the database changed')
                before = archives(f'{d}/backups')
                self.report(f'{[c[0] for c in commands]} at once', problems)
        print(f'# together: {3 * self.a.rounds} rounds of six, exit codes {dict(sorted(done.items()))}', flush=True)

    def hammer(self):
        for mode in ('wal', 'delete'):
            d = self.world()
            c = sqlite3.connect(f'{d}/live.db', isolation_level=None)
            c.execute(f'pragma journal_mode={mode}')
            c.execute('create table acc(id integer primary key, v, pad)'); c.execute('create table log(w, n, primary key(w, n)) without rowid')
            c.execute('begin'); c.executemany('insert into acc values(?, 0, randomblob(300))', [(i,) for i in range(200)]); c.execute('commit'); c.close()
            spawn = lambda w: subprocess.Popen([sys.executable, '-c', WRITER, 'live.db', str(w), f'ack{w}'], cwd=d, stderr=subprocess.DEVNULL)
            acked = lambda w: int(open(f'{d}/ack{w}').read() or 0) if os.path.exists(f'{d}/ack{w}') else 0
            writers = [spawn(w) for w in range(4)]
            backups = kills = busy = 0
            end = time.time() + self.a.seconds
            try:
                while time.time() < end:
                    floor = [acked(w) for w in range(4)]
                    p = self.start(d, 'backup', 'live.db', '--name', f'n{backups + busy}')
                    while p.poll() is None:
                        if time.time() > end + 20: p.kill(); self.report(f'backup under fire, {mode}', ['it does not end'])
                        time.sleep(self.rnd.random() * .2)
                        w = self.rnd.randrange(4); writers[w].kill(); writers[w].wait(); kills += 1; writers[w] = spawn(w)
                    out, err = p.communicate()
                    if p.returncode in (11, -9): busy += 1; continue
                    problems = judge_exit(p.returncode, err)
                    if p.returncode: self.report(f'backup under fire, {mode}', problems + [said(err)]); busy += 1; continue
                    backups += 1
                    newest = max((os.path.getmtime(f'{d}/backups/{n}'), n) for n in os.listdir(f'{d}/backups') if ARCHIVE.match(n))[1]
                    with tarfile.open(f'{d}/backups/{newest}') as t, open(f'{d}/copy.db', 'wb') as f: f.write(t.extractfile('live.db').read())
                    c = sqlite3.connect(f'{d}/copy.db')
                    if c.execute('pragma integrity_check').fetchone()[0] != 'ok': problems.append('corrupt')
                    if c.execute('select sum(v) from acc').fetchone()[0] != 0: problems.append('TORN TRANSACTION')
                    for w in range(4):
                        count, most = c.execute('select count(*), coalesce(max(n), 0) from log where w=?', (w,)).fetchone()
                        if count != most: problems.append(f'gap of writer {w}')
                        if most < floor[w]: problems.append(f'ACKNOWLEDGED COMMIT MISSING: {most} < {floor[w]}')
                    c.close()
                    for n in os.listdir(d):
                        if n.startswith('copy.db'): os.unlink(f'{d}/{n}')
                    self.report(f'backup under fire, {mode}', problems)
            finally:
                for w in writers: w.kill(); w.wait()
            c = sqlite3.connect(f'{d}/live.db')
            sound, transactions = c.execute('pragma integrity_check').fetchone()[0], c.execute('select count(*) from log').fetchone()[0]; c.close()
            self.report(f'source, {mode}', [] if sound == 'ok' and backups else [f'{sound}, {backups} backups'])
            print(f'# hammer, {mode}: {backups} backups, {busy} busy, {kills} writers killed, {transactions} transactions', flush=True)

    def online(self):
        for mode in ('wal', 'delete'):
            d = self.world()
            make_database(f'{d}/app.db', mode, 1, 250)
            self.must(d, 'backup', 'app.db', '--name', 'one')
            c = sqlite3.connect(f'{d}/app.db', isolation_level=None); c.execute('delete from t where id >= 200'); c.close()
            advance(f'{d}/app.db', 2)
            self.must(d, 'backup', 'app.db', '--name', 'two')
            # Into files: a pipe that nobody reads is full after 65,536 reads, and its reader stands still.
            said_by = [tempfile.TemporaryFile(dir=self.work) for _ in range(3)]
            readers = [subprocess.Popen([sys.executable, '-c', READER, 'app.db'], cwd=d, stdout=f, stderr=subprocess.PIPE) for f in said_by]
            restores = busy = killed = 0
            end = time.time() + self.a.seconds
            while time.time() < end:
                restores += 1
                p = self.start(d, 'restore', ('one', 'two')[restores % 2] + '.tar.gz', '--to', 'app.db', '--force')
                if self.rnd.random() < .3: time.sleep(self.rnd.random() * .1); p.kill()
                out, err = p.communicate(timeout=60)
                killed += p.returncode == -9; busy += p.returncode == 11
                if p.returncode not in (0, 11, -9): self.report(f'restore under readers, {mode}', [said(err)])
            seen, problems = 0, []
            for r, f in zip(readers, said_by):
                r.kill(); _, err = r.communicate(); f.seek(0); out = f.read(); seen += out.count(b'.')
                if b'MIXED' in out: problems.append('A READER SAW A MIXTURE')
                if err.strip(): problems.append(said(err))
            self.report(f'readers, {mode}', problems)
            print(f'# online, {mode}: {restores} restores ({busy} busy, {killed} killed), {seen} reads', flush=True)

    def swap(self):
        """A process replaces names with links as fast as it can. Files elsewhere are neither written nor removed; a database that a link
        at the target names is the target then, and holds all of one state."""
        done = {}
        for n in range(self.a.rounds * 4):
            what = ('archive', 'store', 'target', 'missing')[n % 4]
            d = self.world()
            make_database(f'{d}/app.db', 'wal' if n % 8 < 4 else 'delete', 1, 60)
            for day in range(3): self.must(d, 'backup', 'app.db', now=f'2026-02-{10 + day:02}T03:00:00Z')
            state, kept = contents_of_live(f'{d}/app.db'), archives(f'{d}/backups')
            advance(f'{d}/app.db', 2)
            newer = contents_of_live(f'{d}/app.db')
            # Must not be touched: a database, a file that looks like an archive, a folder full of them.
            shutil.copytree(f'{d}/backups', f'{d}/outside/backups')
            make_database(f'{d}/outside/victim.db', 'delete', 9, 60)
            shutil.copyfile(f'{d}/backups/{min(kept)}', f'{d}/outside/victim.tar.gz')
            outside = {os.path.join(f, x): sha256(os.path.join(f, x)) for f, _, xs in os.walk(f'{d}/outside') for x in xs}
            name, to = {'archive': (f'backups/{min(kept)}', 'outside/victim.tar.gz'), 'store': ('backups', 'outside/backups'),
                        'target': ('app.db', 'outside/victim.db'), 'missing': ('new.db', 'outside/victim.db')}[what]
            swapper = subprocess.Popen([sys.executable, '-c', SWAPPER, f'{d}/{name}', f'{d}/{to}'], stderr=subprocess.PIPE)
            problems = []
            try:
                commands = [['backup', 'app.db'], ['verify', '--all'], ['restore', max(kept), '--to', 'new.db' if what == 'missing' else 'app.db', '--force', '--busy-timeout', '200ms'],
                            ['rotate', '--keep-last', '2', '--keep-daily', '0', '--keep-weekly', '0', '--keep-monthly', '0'], ['restore', 'latest', '--to', 'b.db']]
                for command in commands * 2:
                    p = self.start(d, *command, now=f'2026-03-01T03:00:{self.rnd.randrange(60):02}Z')
                    out, err = p.communicate(timeout=60)
                    done[p.returncode] = done.get(p.returncode, 0) + 1
                    problems += judge_exit(p.returncode, err)
                    if os.path.exists(f'{d}/b.db'): os.unlink(f'{d}/b.db')
            finally: swapper.kill(); swapper.wait()
            now = {os.path.join(f, x): sha256(os.path.join(f, x)) for f, _, xs in os.walk(f'{d}/outside') for x in xs}
            # A link to a store is a valid store, so new archives, pins and the log may be written to where the
            # swapper's link points.
            gone = [x for x in outside if x not in now or now[x] != outside[x]]
            if what == 'store': gone = [x for x in gone if '/backups/' not in x]
            if what in ('target', 'missing'): gone = [x for x in gone if not self.is_of(x, {state, newer})]
            problems += [f'{os.path.relpath(x, d)} outside WAS ' + ('CHANGED' if x in now else 'REMOVED') for x in gone]
            self.report(f'{what} swapped for a link', problems)
        print(f'# swap: {self.a.rounds * 4} worlds, exit codes {dict(sorted(done.items()))}', flush=True)

    def is_of(self, path, states):
        try: return path.endswith('victim.db') and contents_of_live(path) in states
        except ValueError: return False

    def clock(self):
        d = self.world()
        make_database(f'{d}/app.db', 'delete', 1, 40)
        at = datetime.datetime(2025, 10, 20, 1, 30, tzinfo=datetime.timezone.utc)
        steps = [datetime.timedelta(minutes=30)] * 20 + [datetime.timedelta(days=1)] * 14 + [datetime.timedelta(days=-15)] + [datetime.timedelta(hours=7)] * 12
        runs = 0
        # Around both clock changes in Berlin, a leap day, and the turn of a year, with a clock that is set back in
        # between.
        for begin in ('2025-10-25T22:10:00', '2026-03-28T22:10:00', '2024-02-28T20:00:00', '2025-12-30T10:00:00'):
            at = datetime.datetime.fromisoformat(begin + '+00:00')
            for step in self.rnd.sample(steps, 25):
                now = at.strftime('%Y-%m-%dT%H:%M:%SZ')
                runs += 1
                before = archives(f'{d}/backups')
                env = environment(now, TMPDIR=f'{d}/tmp', TZ='Europe/Berlin')
                code, out, err = run([self.bin, 'backup', 'app.db'], d, env)
                new = set(archives(f'{d}/backups')) - set(before)
                # More than an hour before the newest archive: reported with exit code 3.
                newest = max((datetime.datetime.strptime(n[4:20], '%Y%m%dT%H%M%SZ') for n in before), default=None)
                behind = newest is not None and newest - at.replace(tzinfo=None) > datetime.timedelta(hours=1)
                problems = judge_exit(code, err) + ([] if code == (3 if behind else 0) and len(new) == 1 else [f'backup exits {code}: {said(err)}'])
                there = archives(f'{d}/backups')
                code, out, err = run([self.bin, 'rotate', '--keep-daily', '3', '--keep-weekly', '2', '--keep-monthly', '2', '--time-zone', 'Europe/Berlin'], d, env)
                left = archives(f'{d}/backups')
                problems += judge_exit(code, err) + ([] if code == 0 else [f'rotate exits {code}: {said(err)}'])
                stamp = at.strftime('%Y%m%dT%H%M%SZ')
                if not [n for n in left if n[4:20] == max(x[4:20] for x in there)]: problems.append(f'the newest archive {max(there)} was removed at {now}')
                if [n for n in there if n not in left and n[4:20] > stamp]: problems.append('an archive of the future was removed')
                past = [n for n in there if n[4:20] <= stamp]
                if past and not [n for n in left if n[4:20] == max(x[4:20] for x in past)]: problems.append(f'the newest archive of the past {max(past)} was removed at {now}')
                self.report(f'clock at {now}', problems)
                at += step
        self.report('after all clocks', verifies(self.bin, d, '2030-01-01T00:00:00Z'))
        print(f'# clock: {runs} backups and rotations', flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--bin', required=True)
    p.add_argument('--only', default='together,hammer,online,swap,clock')
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--seconds', type=float, default=8)
    p.add_argument('--seed', type=int, default=1)
    a = p.parse_args(); a.bin = os.path.abspath(a.bin)
    runs = Runs(a)
    try:
        for name in a.only.split(','):
            before = runs.bad
            getattr(runs, name)()
            print(f'# {name}: findings {runs.bad - before}', flush=True)
        print(f'# runs: findings {runs.bad}, seed {a.seed}')
    finally: shutil.rmtree(runs.work, ignore_errors=True)
    return 1 if runs.bad else 0


if __name__ == '__main__': sys.exit(main())
