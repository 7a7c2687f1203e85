"""The operations under test: for each how its world is made, the command, and what must be true afterwards."""
import os, re, shutil, signal, sqlite3, subprocess, sys

from invariants import *


def make_database(path, mode, generation, rows=400):
    c = sqlite3.connect(path, isolation_level=None)
    c.execute(f'pragma journal_mode={mode}')
    c.execute('create table t(id integer primary key, generation integer, pad blob)')
    c.execute('create index by_generation on t(generation, pad)')
    c.execute('begin')
    for i in range(rows): c.execute('insert into t values(?, ?, ?)', (i, generation, bytes((i * 7 + generation + k * k) % 251 for k in range(300))))
    c.execute('commit')
    c.close()


def advance(path, generation):
    """Changes every row in one transaction, so that a mixture of two states shows."""
    c = sqlite3.connect(path, isolation_level=None)
    c.execute('update t set generation = ?', (generation,))
    c.close()


CRASH = r'''
import os, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
if sys.argv[2] == 'wal':
    c.execute('pragma wal_autocheckpoint=0'); c.execute('update t set generation = 77')
else:
    c.execute('pragma cache_size=4'); c.execute('begin'); c.execute('update t set generation = 99, pad = zeroblob(300)')
os.kill(os.getpid(), signal.SIGKILL)
'''


def crash(path, mode):
    """Leaves the sidecars of an application that died: a -wal with a commit, or a hot -journal."""
    subprocess.run([sys.executable, '-c', CRASH, path, mode])


class Scenario:
    name = ''
    command = []
    again = None                  # the next run, where it is not the same command
    databases = {'app': 'app.db'}
    codes = {0}                   # exit codes of the command without a fault
    again_codes = {0}
    keeps_source = True           # the databases stay as they are, byte for byte
    now = LATER                   # when the next run takes place
    in_a_row = set()              # further exit codes of a run after others
    grows = False                 # each run adds an archive of what there is then
    broken = ()                   # archives that are damaged on purpose

    def archives_of(self, binary, world, name, generations, args, hour=3):
        for day, generation in enumerate(generations):
            for path in self.databases.values(): advance(f'{world}/{path}', generation)
            code, _, err = run([binary, 'backup', *args], world, environment(f'2026-02-{20 + day:02}T{hour:02}:00:00Z'))
            if code: raise SystemExit(f'{self.name}: cannot prepare: {err.decode()}')

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0)
        self.archives_of(binary, world, 'app', (1, 2, 3), ['app.db'])
        advance(f'{world}/app.db', 4)

    def prepare(self, binary, template):
        """Makes the template and remembers it."""
        self.binary = binary
        self.build(binary, template)
        store = f'{template}/backups'
        self.before = archives(store)
        self.old = {n: contents_of_live(f'{template}/{p}') for n, p in self.databases.items()}
        self.files = {f: sha256(f'{template}/{f}') for p in self.databases.values() for f in (p, p + '-wal', p + '-journal') if os.path.exists(f'{template}/{f}')}
        # What a run without a fault removes is what the policy allows to be missing.
        world = template + '.clean'
        shutil.copytree(template, world, symlinks=True)
        code, out, err = self.go(world)
        if code not in self.codes: raise SystemExit(f'{self.name}: exit {code} without a fault: {err.decode()}')
        self.after = archives(store.replace(template, world))
        self.may_go = set(self.before) - set(self.after)
        self.new = {n: contents_of_live(f'{world}/{p}') for n, p in self.databases.items()}
        bad = self.judge(world, code, err) + self.settle(world)
        if bad: raise SystemExit(f'{self.name}: the invariants do not hold without a fault: {bad}')
        shutil.rmtree(world)

    def is_of_database(self, path):
        """Says whether a file of the world is a database or a sidecar of one."""
        return any(path == p + ending for p in self.databases.values() for ending in ('', '-wal', '-journal'))

    def args(self): return [self.binary, *self.command]

    def env(self, world, now=NOW): return environment(now, TMPDIR=f'{world}/tmp')

    def go(self, world, prefix=(), now=NOW, **more):
        return run([*prefix, *self.args()], world, self.env(world, now), **more)

    def done(self, world, new):
        """What exit 0 promises. `new` names the archives that appeared."""
        return []

    def judge_source(self, world, states=None):
        """The databases as they lie. `states` replaces the two states that there are, where there were more."""
        bad = []
        for name, path in self.databases.items():
            try: found = contents_of_live(f'{world}/{path}')
            except ValueError as error:
                bad.append(f'{path} IS DAMAGED: {error}'); continue
            if states:
                if found not in states[name]: bad.append(f'{path} holds a state that never was')
            elif self.keeps_source:
                if found != self.old[name]: bad.append(f'the content of {path} CHANGED')
            elif found not in (self.old[name], self.new[name]): bad.append(f'{path} is NEITHER OLD NOR NEW')
        if self.keeps_source:
            for f, digest in self.files.items():
                if not os.path.exists(f'{world}/{f}'): bad.append(f'{f} IS GONE')
                elif sha256(f'{world}/{f}') != digest: bad.append(f'the bytes of {f} changed')
        return bad

    def judge(self, world, code, stderr, log=''):
        """Right after the fault."""
        bad = judge_exit(code, stderr, log)
        # A disk that does not answer is no evidence against anybody's bytes.
        if code == 13 and 13 not in self.codes: bad.append(f'A FAULT IS CALLED DAMAGE: {said(stderr)}')
        allowed = {n: {self.old[n], self.new[n]} for n in self.databases}
        found, new = judge_store(f'{world}/backups', self.before, self.may_go, allowed, self.broken)
        bad += found + self.judge_source(world)
        if code == 0: bad += self.done(world, new)
        return bad

    def settle(self, world, states=None):
        """The next run works, and after it there is no scratch and everything verifies."""
        code, out, err = run([self.binary, *(self.again or self.command)], world, self.env(world, self.now))
        bad = [f'the next run exits {code}: {said(err)}'] if code not in self.again_codes else []
        allowed = states or {n: {self.old[n], self.new[n]} for n in self.databases}
        found, _ = judge_store(f'{world}/backups', self.before, self.may_go, allowed, self.broken)
        bad += found + self.judge_source(world, states) + self.settled(world)
        bad += self.verified(world) + judge_modes(world)
        return bad + [f'scratch stays: {os.path.relpath(s, world)}' for s in scratch(world)]

    def settled(self, world): return []

    def verified(self, world): return verifies(self.binary, world, broken=self.broken)


class Backup(Scenario):
    name, command, grows = 'backup', ['backup', 'app.db'], True

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        # A source that cannot be read is what the message is about, not the copy that was to be made of it.
        failed = re.search(r'read(?:64)?\(\d+<[^>]*/w/([^/>]*)>.*EIO.*INJECTED', log)
        if failed and code and failed[1].split('.db')[0] in self.databases and failed[1].encode() not in stderr and b'app.db"' not in stderr:
            bad.append(f'{failed[1]} could not be read, and the message does not name it: {said(stderr)}')
        return bad

    def done(self, world, new):
        return [] if len(new) == 1 else [f'exit 0 and {len(new)} new archives']


class BackupWal(Backup):
    """A WAL database whose application died with a commit in its -wal."""
    name = 'backup-wal'

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'wal', 0)
        self.archives_of(binary, world, 'app', (1, 2), ['app.db'])
        crash(f'{world}/app.db', 'wal')


class BackupIdleWal(Backup):
    """A WAL database that nobody has open: SQLite makes and removes the sidecars."""
    name = 'backup-idle-wal'

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'wal', 0)
        self.archives_of(binary, world, 'app', (1,), ['app.db'])


class BackupHot(Backup):
    """A database with a hot journal, which is never rolled back in place."""
    name = 'backup-hot'

    def build(self, binary, world):
        super().build(binary, world)
        crash(f'{world}/app.db', 'delete')


class BackupPair(Backup):
    name, command = 'backup-two', ['backup', 'app.db', 'user.db', '--set', 'pair']
    databases = {'app': 'app.db', 'user': 'user.db'}

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0, 150)
        make_database(f'{world}/user.db', 'wal', 0, 150)
        self.archives_of(binary, world, 'pair', (1, 2), self.command[1:])
        for p in self.databases.values(): advance(f'{world}/{p}', 9)


class BackupFirst(Backup):
    """The first backup of all: the store is made, too."""
    name = 'backup-first'

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0)


class BackupVacuum(Backup):
    name, command = 'backup-vacuum', ['backup', 'app.db', '--vacuum']


class BackupCleanup(Backup):
    """Older archives are removed after the new one is there, and never before."""
    name, command = 'backup-cleanup', ['backup', 'app.db', '--cleanup', '--keep', '1']

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        now = archives(f'{world}/backups')
        gone = set(self.before) - set(now)
        if gone and not set(now) - set(self.before): bad.append(f'REMOVED BEFORE THERE WAS A NEW ONE: {sorted(gone)}')
        return bad


class Verify(Scenario):
    name, command = 'verify', ['verify', '--all']


class VerifyDamaged(Scenario):
    """One of three archives is damaged: exit 0 is never right, and no good one is marked."""
    name, command, codes, again_codes = 'verify-damaged', ['verify', '--all'], {13}, {13}
    broken = ('app_20260221T030000Z.tar.gz',)

    def build(self, binary, world):
        super().build(binary, world)
        with open(f'{world}/backups/{self.broken[0]}', 'r+b') as f:
            middle = os.path.getsize(f.name) // 2
            f.seek(middle); byte = f.read(1)[0]
            f.seek(middle); f.write(bytes([byte ^ 4]))

    def judge(self, world, code, stderr, log=''):
        return ['exit 0 although one archive is damaged'] if code == 0 else super().judge(world, code, stderr, log)

    def settled(self, world):
        return [] if os.path.exists(f'{world}/backups/{self.broken[0]}.damaged') else ['the damaged archive has no mark']


class Delete(Scenario):
    name = 'delete'
    command = ['delete', '--force', 'app_20260221T030000Z.tar.gz']
    again_codes = {0, 12}

    def done(self, world, new):
        return ['exit 0 and the archive is still there'] if os.path.exists(f'{world}/backups/app_20260221T030000Z.tar.gz') else []

    def settled(self, world):
        return self.done(world, [])


class Pin(Scenario):
    name, command = 'pin', ['pin', 'app_20260221T030000Z.tar.gz']

    def done(self, world, new):
        return [] if os.path.exists(f'{world}/backups/app_20260221T030000Z.tar.gz.keep') else ['exit 0 and no pin']

    def settled(self, world): return self.done(world, [])


class Rotate(Scenario):
    """Ten backups on ten days of which the policy keeps four, one of them pinned."""
    name, command = 'rotate', ['rotate', '--keep-daily', '3', '--keep-weekly', '1', '--keep-monthly', '0']

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0, 60)
        self.archives_of(binary, world, 'app', range(8), ['app.db'])
        run([binary, 'pin', 'app_20260221T030000Z.tar.gz'], world)

    def done(self, world, new):
        left = set(archives(f'{world}/backups')) - set(self.after)
        return [f'exit 0 and not removed: {left}'] if left else []

    def settled(self, world): return self.done(world, [])


class Cleanup(Rotate):
    name, command = 'cleanup', ['cleanup', '--keep', '2']


class Restore(Scenario):
    """A database in rollback mode is replaced from inside."""
    name, keeps_source = 'restore', False
    command = ['restore', 'latest', '--to', 'app.db', '--force', '--busy-timeout', '1s']
    mode = 'delete'
    replaces = True               # so that exit 0 promises a safety backup, too

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', self.mode, 0)
        self.archives_of(binary, world, 'app', (1, 2, 3), ['app.db'])
        advance(f'{world}/app.db', 4)
        self.break_target(world)

    def break_target(self, world): os.chmod(f'{world}/app.db', 0o640)

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        # A checkpoint that fails when SQLite closes leaves the -wal, which the commit has synced: nothing is lost by it.
        kept = [p for p in self.databases.values() if os.path.exists(f'{world}/{p}-wal') and os.path.getsize(f'{world}/{p}-wal')]
        checkpoint = lambda line: 'a sync failed' in line and any(f'/{p}>' in line or f'/{p}-wal>' in line for p in kept)
        return [line for line in bad if not checkpoint(line)]

    def done(self, world, new):
        bad = [f'exit 0 and {p} is not what was to be restored' for n, p in self.databases.items() if contents_of_live(f'{world}/{p}') != self.new[n]]
        if self.replaces and len(new) != 1: bad.append(f'exit 0 and {len(new)} safety backups')
        for p in self.databases.values():
            if self.replaces and os.stat(f'{world}/{p}').st_mode & 0o777 != 0o640: bad.append(f'{p} has another mode')
        return bad

    def settled(self, world):
        return [f'{p} is not what was to be restored' for n, p in self.databases.items() if contents_of_live(f'{world}/{p}') != self.new[n]]


class RestoreWal(Restore):
    """A WAL database whose application died with a commit in its -wal."""
    name, mode = 'restore-wal', 'wal'

    def break_target(self, world):
        super().break_target(world)
        crash(f'{world}/app.db', 'wal')


class RestoreHot(Restore):
    """A database with a hot journal."""
    name = 'restore-hot'

    def break_target(self, world):
        super().break_target(world)
        crash(f'{world}/app.db', 'delete')


class RestoreMissing(Restore):
    name, replaces, in_a_row = 'restore-missing', False, {14}
    command = ['restore', 'latest', '--to', 'app.db']
    again = Restore.command

    def break_target(self, world): os.unlink(f'{world}/app.db')


class RestoreStaleWal(RestoreMissing):
    """The database is gone and its -wal is not: replayed into the new file it would make a mixture that looks sound."""
    name, mode = 'restore-stale-wal', 'wal'

    def break_target(self, world):
        crash(f'{world}/app.db', 'wal')
        os.unlink(f'{world}/app.db')

    def prepare(self, binary, template):
        super().prepare(binary, template)
        self.files = {}


class RestoreTwo(Restore):
    """Two databases, one in each mode: both or none, or the next command says that it was interrupted."""
    name = 'restore-two'
    command = ['restore', 'latest', '--to-dir', '.', '--force', '--busy-timeout', '1s']
    databases = {'app': 'app.db', 'user': 'user.db'}

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0, 150)
        make_database(f'{world}/user.db', 'wal', 0, 150)
        self.archives_of(binary, world, 'pair', (1, 2), ['app.db', 'user.db', '--set', 'pair'])
        for p in self.databases.values():
            advance(f'{world}/{p}', 9)
            os.chmod(f'{world}/{p}', 0o640)

    def is_mixed(self, world):
        now = {n: contents_of_live(f'{world}/{p}') for n, p in self.databases.items()}
        return now != self.old and now != self.new

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        if not bad and self.is_mixed(world):
            _, _, said_next = run([self.binary, 'list'], world, self.env(world))
            if b'interrupted' not in said_next: bad.append(f'one old, one new, and the next command does not say so: {said(said_next)}')
            # Every other time the way back is taken first.
            elif os.stat(world).st_ino % 2:
                code, _, err = run([self.binary, 'restore', '--undo', '--force', '--to-dir', '.'], world, self.env(world))
                if code or {n: contents_of_live(f'{world}/{p}') for n, p in self.databases.items()} != self.old:
                    bad.append(f'the undo exits {code} and does not bring both back: {said(err)}')
        return bad


class Undo(Restore):
    name = 'undo'
    command = ['restore', '--undo', '--to', 'app.db', '--force', '--busy-timeout', '1s']

    def break_target(self, world):
        super().break_target(world)
        code, _, err = run([self.binary, *Restore.command], world, environment('2026-02-27T00:00:00Z'))
        if code: raise SystemExit(f'undo: cannot prepare: {said(err)}')

    def settled(self, world): return []


SCENARIOS = {s.name: s for s in (Backup, BackupWal, BackupIdleWal, BackupHot, BackupPair, BackupFirst, BackupVacuum, BackupCleanup, Verify, VerifyDamaged, Delete, Pin, Rotate, Cleanup,
    Restore, RestoreWal, RestoreHot, RestoreMissing, RestoreStaleWal, RestoreTwo, Undo)}
