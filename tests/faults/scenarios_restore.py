"""Operations that write databases: restores of every kind, and guarded commands."""
import fcntl

from scenario import *


class Restore(Scenario):
    """A database in rollback mode is replaced in place."""
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
        # A failed checkpoint when SQLite closes leaves the -wal, which the commit has synced: nothing is lost.
        kept = [p for p in self.databases.values() if os.path.exists(f'{world}/{p}-wal') and os.path.getsize(f'{world}/{p}-wal')]
        checkpoint = lambda line: 'a sync failed' in line and any(f'/{p}>' in line or f'/{p}-wal>' in line for p in kept)
        return [line for line in bad if not checkpoint(line)]

    def done(self, world, new):
        bad = [f'exit 0 and {p} is not what was to be restored' for n, p in self.databases.items() if self.look(world, p) != self.new[n]]
        if self.replaces and len(new) != 1: bad.append(f'exit 0 and {len(new)} safety backups')
        for p in self.databases.values():
            if self.replaces and os.stat(f'{world}/{p}').st_mode & 0o777 != 0o640: bad.append(f'{p} has another mode')
        return bad

    def settled(self, world):
        return [f'{p} is not what was to be restored' for n, p in self.databases.items() if self.look(world, p) != self.new[n]]


class RestoreWal(Restore):
    """A WAL database whose application crashed with a commit in its -wal."""
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
    """The database is missing but its -wal exists: replaying it into the new file would create a mixture that looks sound."""
    name, mode = 'restore-stale-wal', 'wal'

    def break_target(self, world):
        crash(f'{world}/app.db', 'wal')
        os.unlink(f'{world}/app.db')

    def prepare(self, binary, template):
        super().prepare(binary, template)
        self.files = {}


class RestoreTwo(Restore):
    """Two databases, one in each mode: both or none are restored, or the next command reports the interruption."""
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
        now = self.contents(world)
        return now != self.old and now != self.new

    def judge(self, world, code, stderr, log=''):
        return super().judge(world, code, stderr, log) or self.judge_mixture(world)

    def judge_mixture(self, world):
        if not self.is_mixed(world): return []
        _, _, said_next = run([*self.inside, self.binary, 'list'], world, self.env(world))
        if b'interrupted' not in said_next: return [f'one old, one new, and the next command does not say so: {said(said_next)}']
        # Every other time, it is undone first.
        if os.stat(world).st_ino % 2: return []
        code, _, err = run([*self.inside, self.binary, 'restore', '--undo', '--force', '--to-dir', '.'], world, self.env(world))
        back = self.contents(world)
        # A file that did not exist before is moved aside.
        if code or any(d != self.old[n] for n, d in back.items()): return [f'the undo exits {code} and does not bring back what there was: {said(err)}']
        return []


class Undo(Restore):
    name, repeats = 'undo', False
    # Named explicitly, because the world is a copy: its database has another path than the one that was restored.
    command = ['restore', '--undo', 'app_20260227T000000Z.tar.gz', '--to', 'app.db', '--force', '--busy-timeout', '1s']

    def break_target(self, world):
        super().break_target(world)
        code, _, err = run([self.binary, *Restore.command], world, environment('2026-02-27T00:00:00Z'))
        if code: raise SystemExit(f'undo: cannot prepare: {said(err)}')

    def settled(self, world): return []


class RestoreHalf(RestoreTwo):
    """Two databases, of which one is missing: it is created, the other is replaced."""
    name = 'restore-two-half'
    again = RestoreTwo.command

    def build(self, binary, world):
        super().build(binary, world)
        os.unlink(f'{world}/user.db')

    def done(self, world, new):
        bad = [f'exit 0 and {p} is not what was to be restored' for n, p in self.databases.items() if self.look(world, p) != self.new[n]]
        return bad + ([] if len(new) == 1 else [f'exit 0 and {len(new)} safety backups'])


class SendPending(Scenario):
    """A safety backup waits in the workspace, and a backup uploads it: it is always in at least one place."""
    name, command = 'send-pending', ['backup', 'app.db']

    def build(self, binary, world):
        super().build(binary, world)
        with open(f'{world}/backups/.heirloom/lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command = [binary, 'restore', 'latest', '--to', 'app.db', '--force', '--busy-timeout', '100ms']
            code, _, err = run(command, world, environment('2026-02-27T00:00:00Z'))
            if code != 3: raise SystemExit(f'{self.name}: cannot prepare: exit {code} {said(err)}')
        self.waiting = set(pending(f'{world}/backups').values())
        if len(self.waiting) != 1: raise SystemExit(f'{self.name}: nothing is pending')
        # Its contents existed before the restore.
        shutil.copyfile(f'{world}/app.db', f'{world}/x.db')
        advance(f'{world}/x.db', 4)
        self.between = {'app': {contents_of_live(f'{world}/x.db')}}
        os.unlink(f'{world}/x.db')

    def evidence(self, world):
        store = f'{world}/backups'
        lost = self.waiting - set(archives(store).values()) - set(pending(store).values())
        return ['THE PENDING ARCHIVE IS LOST' for _ in lost]

    def done(self, world, new): return ['exit 0 and it is still pending'] if pending(f'{world}/backups') else []

    def settled(self, world):
        return [] if self.waiting <= set(archives(f'{world}/backups').values()) else ['the pending archive did not reach the store']


class RestoreThins(Restore):
    """One more restore in a night of restores: it removes the safety backups that it makes superfluous, and no others."""
    name = 'restore-thins'

    def break_target(self, world):
        super().break_target(world)
        with open(f'{world}/heirloom.toml', 'a') as f: f.write('[retention]\nsafety = 2\n')
        os.chmod(f'{world}/heirloom.toml', 0o600)
        for minute in range(4):
            advance(f'{world}/app.db', 10 + minute)
            code, _, err = run([self.binary, *Restore.command], world, environment(f'2026-03-01T02:{minute:02}:00Z'))
            if code: raise SystemExit(f'{self.name}: cannot prepare: {said(err)}')
        advance(f'{world}/app.db', 20)


class RestoreOffline(Restore):
    """The file is replaced: the contents of its -wal are in the safety backup, and not beside the new file."""
    name, mode = 'restore-offline', 'wal'
    # If not every process is visible, as in a container, this must be reported.
    command = [*Restore.command, '--offline', '--assume-unused']

    def break_target(self, world):
        super().break_target(world)
        crash(f'{world}/app.db', 'wal')

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        # The journal left by the lock is removed, and its folder synced, before the new file is put in place: none of
        # its own syncs matters.
        return [line for line in bad if not (line.startswith('exit 0 although a sync failed') and '/app.db-journal>' in line)]


class RestoreOfflineHot(RestoreOffline):
    """The file is replaced, and there is a hot journal beside the old one."""
    name, mode = 'restore-offline-hot', 'delete'

    def break_target(self, world):
        Restore.break_target(self, world)
        crash(f'{world}/app.db', 'delete')


class RestoreOfflineMissing(RestoreMissing):
    name = 'restore-offline-missing'
    command = [*RestoreMissing.command, '--offline', '--assume-unused']
    again = RestoreOffline.command


class LegacyRestore(Restore):
    """Both databases are restored from an archive of heirloom's predecessor, over newer ones."""
    name, databases = 'legacy-restore', LEGACY
    command = ['restore', 'archerytools_backup_20260220_030000.tar.gz', '--to-dir', '.', '--force', '--busy-timeout', '1s']

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_legacy_archive(world)
        for path in self.databases.values(): os.chmod(f'{world}/{path}', 0o640)


class Guard(Scenario):
    """A command that succeeds: its changes stay, and there is a backup of the earlier state."""
    name, keeps_source, grows = 'guard', False, True
    # The command itself is not under test, and its disk works.
    tracing = ['-b', 'execve']
    change = "import sqlite3; c = sqlite3.connect('app.db', isolation_level=None); c.execute('update t set generation = 55')"
    command = ['guard', 'app.db', '--busy-timeout', '1s', '--', sys.executable, '-c', change]

    def done(self, world, new):
        bad = [] if len(new) == 1 else [f'exit 0 and {len(new)} new archives']
        return bad + ([] if self.contents(world) == self.new else ['exit 0 and what the command did is not there'])


class GuardFails(Guard):
    """A command that changes everything and fails: exit code 9 means that everything was rolled back."""
    name, codes, again_codes = 'guard-fails', {9}, {9}
    command = [*Guard.command[:-1], Guard.change + '; raise SystemExit(9)']

    def build(self, binary, world):
        self.was = {}
        super().build(binary, world)
        shutil.copyfile(f'{world}/app.db', f'{world}/x.db')
        advance(f'{world}/x.db', 55)
        self.between = {'app': {contents_of_live(f'{world}/x.db')}}
        os.unlink(f'{world}/x.db')

    def go(self, world, prefix=(), now=NOW, **more):
        # An earlier failed run may have left the changes of its command.
        self.was[world] = self.contents(world)
        return super().go(world, prefix, now, **more)

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        if code == 9 and self.contents(world) != self.was[world]: bad.append(f'exit 9, AND WHAT THE COMMAND DID IS STILL THERE: {said(stderr)}')
        if code == 0: bad.append('exit 0 although the command failed')
        return bad


class GuardReuses(GuardFails):
    """The newest archive equals the database: guard rolls back to that archive, and holds it."""
    name = 'guard-reuses'

    def build(self, binary, world):
        super().build(binary, world)
        code, _, err = run([binary, 'backup', 'app.db'], world, environment('2026-02-27T00:00:00Z'))
        if code: raise SystemExit(f'{self.name}: cannot prepare: {said(err)}')
