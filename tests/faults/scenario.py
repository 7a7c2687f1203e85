"""The parts of an operation under test: how its world is created, the command, and what must be true afterwards."""
import hashlib, os, shutil, sqlite3, subprocess, sys

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


LEGACY = {'arrow': 'arrow_database.db', 'user': 'user_data.db'}


def make_legacy_archive(world):
    """Leaves the databases of the old tool with newer contents, and an archive of the older ones as it made them."""
    import io, json, tarfile
    for n, path in enumerate(LEGACY.values()): make_database(f'{world}/{path}', 'wal' if n else 'delete', 7, 120)
    os.makedirs(f'{world}/backups', 0o700)
    name = 'archerytools_backup_20260220_030000'
    metadata = {'backup_name': name, 'created_at': '2026-02-20T03:00:00.123456', 'version': '1.0',
                'includes': {'arrow_database': True, 'user_database': True}, 'arrow_db_stats': {'table_count': 1, 'tables': {'t': 120}}}
    with tarfile.open(f'{world}/backups/{name}.tar.gz', 'w:gz') as t:
        for path in LEGACY.values(): t.add(f'{world}/{path}', path)
        text = json.dumps(metadata, indent=2).encode()
        entry = tarfile.TarInfo('backup_metadata.json'); entry.size = len(text)
        t.addfile(entry, io.BytesIO(text))
    os.chmod(f'{world}/backups/{name}.tar.gz', 0o600)
    for path in LEGACY.values(): advance(f'{world}/{path}', 8)


CRASH = r'''
import os, resource, signal, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
if sys.argv[2] == 'wal':
    c.execute('pragma wal_autocheckpoint=0'); c.execute('update t set generation = 77')
elif sys.argv[2] == 'schema':
    # Killed at the first page beyond the end of the file: the header is written by then.
    size = os.path.getsize(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    c.execute('begin'); c.execute('create table more(x)'); c.execute('insert into more values(zeroblob(300000))'); c.execute('commit')
else:
    c.execute('pragma cache_size=4'); c.execute('begin'); c.execute('update t set generation = 99, pad = zeroblob(300)')
os.kill(os.getpid(), signal.SIGKILL)
'''


def crash(path, mode):
    """Leaves the sidecars of an application that crashed: a -wal with a commit, or a hot -journal (`schema`: of a change of the schema)."""
    subprocess.run([sys.executable, '-c', CRASH, path, mode])
    if not os.path.getsize(path + ('-wal' if mode == 'wal' else '-journal')): raise SystemExit(f'{mode}: it did not die in time')


def memory_of(world):
    """The file in which this user's record of the stores is kept, at the path of the world's store (src/workspace/known.rs)."""
    return f"{world}/state/stores/{hashlib.sha256(os.path.realpath(f'{world}/backups').encode()).hexdigest()[:32]}.json"


OLD = 'app_20260221T030000Z.tar.gz'


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
    repeats = True                # a second run does what the first did; an undo of an undo does not
    grows = False                 # each run adds an archive of what there is then
    broken = ()                   # archives that are damaged on purpose
    between = {}                  # contents that a database has for a time only: {name: digests}
    needs_root = False
    ending = '.tar.gz'            # of the archives that backups write
    inside = []                   # what the command runs in: a mount namespace, for example
    tracing = ['--seccomp-bpf']    # what strace gets besides the faults

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
        """Creates the template and records its state."""
        self.binary = binary
        if self.ending == '.tar.zst':
            with open(f'{template}/heirloom.toml', 'w') as f: f.write('[backup]\ncompression = "zstd"\n')
        self.build(binary, template)
        store = f'{template}/backups'
        self.before = archives(store)
        self.old = self.contents(template)
        self.files = {f: sha256(f'{template}/{f}') for p in self.databases.values() for f in (p, p + '-wal', p + '-journal') if os.path.exists(f'{template}/{f}')}
        # The archives that a run without a fault removes may be missing.
        world = template + '.clean'
        self.copy(template, world)
        code, out, err = self.go(world)
        if code not in self.codes: raise SystemExit(f'{self.name}: exit {code} without a fault: {err.decode()}')
        self.after = archives(store.replace(template, world))
        self.may_go = set(self.before) - set(self.after)
        self.new = self.contents(world)
        bad = self.judge(world, code, err) + self.settle(world)
        if bad: raise SystemExit(f'{self.name}: the invariants do not hold without a fault: {bad}')
        shutil.rmtree(world)

    def copy(self, template, world):
        """Creates a new world from the template."""
        shutil.copytree(template, world, symlinks=True)
        # The record of a store belongs to its path.
        memory = f'{world}/state/stores'
        if os.path.isdir(memory):
            for name in os.listdir(memory): os.rename(f'{memory}/{name}', memory_of(world))

    def is_of_database(self, path):
        """Returns whether a file of the world is a database or a sidecar of one."""
        return any(path == p + ending for p in self.databases.values() for ending in ('', '-wal', '-journal'))

    def look(self, world, path):
        """The content of a database. Raises ValueError if it is damaged."""
        return contents_of_live(f'{world}/{path}')

    def contents(self, world):
        return {n: self.look(world, p) for n, p in self.databases.items()}

    def states(self):
        """The contents that each database may have at any time."""
        return {n: {self.old[n], self.new[n], *self.between.get(n, ())} for n in self.databases}

    @property
    def archive(self):
        """The second archive of most worlds."""
        return OLD.replace('.tar.gz', self.ending)

    def words(self, command):
        """A command that may name that archive."""
        return [self.archive if word == OLD else word for word in command]

    def args(self): return [self.binary, *self.words(self.command)]

    def env(self, world, now=NOW): return environment(now, TMPDIR=f'{world}/tmp')

    def go(self, world, prefix=(), now=NOW, **more):
        return run([*self.inside, *prefix, *self.args()], world, self.env(world, now), **more)

    def go_again(self, world, now):
        return run([*self.inside, self.binary, *self.words(self.again or self.command)], world, self.env(world, now))

    def done(self, world, new):
        """Checks what exit code 0 guarantees. `new` lists the archives that appeared."""
        return []

    def judge_source(self, world, states=None):
        """Checks the databases in place. `states` replaces the two possible states, if there were more."""
        bad = []
        for name, path in self.databases.items():
            try: found = self.look(world, path)
            except ValueError as error:
                bad.append(f'{path} IS DAMAGED: {error}'); continue
            if states:
                if found not in states[name]: bad.append(f'{path} holds a state that never was')
            elif self.keeps_source:
                if found != self.old[name]: bad.append(f'the content of {path} CHANGED')
            elif found not in self.states()[name]: bad.append(f'{path} is NEITHER OLD NOR NEW')
        if self.keeps_source:
            for f, digest in self.files.items():
                if not os.path.exists(f'{world}/{f}'): bad.append(f'{f} IS GONE')
                elif sha256(f'{world}/{f}') != digest: bad.append(f'the bytes of {f} changed')
        return bad + self.evidence(world)

    def evidence(self, world):
        """Other conditions that hold at any time, even after a power cut."""
        return []

    def judge(self, world, code, stderr, log=''):
        """Checks right after the fault."""
        bad = judge_exit(code, stderr, log)
        # A disk that does not respond is not evidence of damage.
        if code == 13 and 13 not in self.codes: bad.append(f'A FAULT IS CALLED DAMAGE: {said(stderr)}')
        found, new = judge_store(f'{world}/backups', self.before, self.may_go, self.states(), self.broken)
        bad += found + self.judge_source(world)
        if code == 0: bad += self.done(world, new)
        return bad

    def settle(self, world, states=None):
        """Checks that the next run works, leaves no scratch, and that everything verifies."""
        code, out, err = self.go_again(world, self.now)
        bad = [f'the next run exits {code}: {said(err)}'] if code not in self.again_codes else []
        allowed = states or self.states()
        found, _ = judge_store(f'{world}/backups', self.before, self.may_go, allowed, self.broken)
        bad += found + self.judge_source(world, states) + self.settled(world)
        bad += self.verified(world) + judge_modes(world)
        return bad + [f'scratch stays: {os.path.relpath(s, world)}' for s in scratch(world)]

    def settled(self, world): return []

    def judge_mixture(self, world):
        """The exit codes and messages allowed when only some of several databases are new."""
        return []

    def verified(self, world): return verifies(self.binary, world, broken=self.broken)
