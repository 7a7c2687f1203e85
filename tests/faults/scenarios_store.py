"""Backups, and operations that read or remove archives."""
import re

from scenario import *


class Backup(Scenario):
    name, command, grows = 'backup', ['backup', 'app.db'], True

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        # A message about an unreadable source is about the source, not about its copy.
        failed = re.search(r'read(?:64)?\(\d+<[^>]*/w/([^/>]*)>.*EIO.*INJECTED', log)
        if failed and code and failed[1].split('.db')[0] in self.databases and failed[1].encode() not in stderr and b'app.db"' not in stderr:
            bad.append(f'{failed[1]} could not be read, and the message does not name it: {said(stderr)}')
        return bad

    def done(self, world, new):
        return [] if len(new) == 1 else [f'exit 0 and {len(new)} new archives']


class BackupWal(Backup):
    """A WAL database whose application crashed with a commit in its -wal."""
    name = 'backup-wal'

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'wal', 0)
        self.archives_of(binary, world, 'app', (1, 2), ['app.db'])
        crash(f'{world}/app.db', 'wal')


class BackupIdleWal(Backup):
    """A WAL database that no process has open: SQLite creates and removes the sidecars."""
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


class BackupHotSchema(Backup):
    """A hot journal, and a header that was already written by an uncommitted schema change."""
    name = 'backup-hot-schema'

    def build(self, binary, world):
        super().build(binary, world)
        crash(f'{world}/app.db', 'schema')


class BackupPair(Backup):
    name, command = 'backup-two', ['backup', 'app.db', 'user.db', '--set', 'pair']
    databases = {'app': 'app.db', 'user': 'user.db'}

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0, 150)
        make_database(f'{world}/user.db', 'wal', 0, 150)
        self.archives_of(binary, world, 'pair', (1, 2), self.command[1:])
        for p in self.databases.values(): advance(f'{world}/{p}', 9)


class BackupVacuum(Backup):
    name, command = 'backup-vacuum', ['backup', 'app.db', '--vacuum']


class BackupCleanup(Backup):
    """Older archives are removed only after the new one exists."""
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
    """One of three archives is damaged: the exit code is never 0, and no good archive is marked."""
    name, command, codes, again_codes = 'verify-damaged', ['verify', '--all'], {13}, {13}

    def build(self, binary, world):
        self.broken = (self.archive,)
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
    command = ['delete', '--force', OLD]
    again_codes = {0, 12}

    def done(self, world, new):
        return ['exit 0 and the archive is still there'] if os.path.exists(f'{world}/backups/{self.archive}') else []

    def settled(self, world):
        return self.done(world, [])


class Pin(Scenario):
    name, command = 'pin', ['pin', OLD]

    def done(self, world, new):
        return [] if os.path.exists(f'{world}/backups/{self.archive}.keep') else ['exit 0 and no pin']

    def settled(self, world): return self.done(world, [])


class Unpin(Scenario):
    name, command = 'unpin', ['unpin', OLD]

    def build(self, binary, world):
        super().build(binary, world)
        run([binary, 'pin', self.archive], world)

    def done(self, world, new):
        return ['exit 0 and still pinned'] if os.path.exists(f'{world}/backups/{self.archive}.keep') else []

    def settled(self, world): return self.done(world, [])


class Accept(Scenario):
    """The newest archive has lost most of its rows, on purpose."""
    name, command = 'accept', ['accept', OLD]

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0, 1200)
        self.archives_of(binary, world, 'app', (1,), ['app.db'])
        c = sqlite3.connect(f'{world}/app.db', isolation_level=None)
        c.execute('delete from t where id >= 100')
        c.close()
        code, _, err = run([binary, 'backup', 'app.db'], world, environment('2026-02-21T03:00:00Z'))
        if code != 3: raise SystemExit(f'accept: the loss was not noticed (exit {code}): {err.decode()}')

    def done(self, world, new):
        return [] if os.path.exists(f'{world}/backups/{self.archive}.accepted') else ['exit 0 and not accepted']

    def settled(self, world): return self.done(world, [])


class Health(Scenario):
    """Everything is in order. An unreadable file is neither in order nor damaged."""
    name, command, again_codes = 'health', ['health', 'app.db', '--check', 'full', '--json'], {0}

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        # Archives belong to the path of their database, and each case runs in a copy of this world: the database is
        # beside all of them.
        os.makedirs(f'{world}.shared')
        make_database(f'{world}.shared/app.db', 'delete', 0)
        os.symlink(f'{world}.shared/app.db', f'{world}/app.db')
        for day in (25, 26, 27, 28):
            advance(f'{world}/app.db', day)
            run([binary, 'backup', 'app.db'], world, environment(f'2026-02-{day}T03:00:00Z'))
        run([binary, 'verify', '--all'], world, environment('2026-02-28T04:00:00Z'))

    def go(self, world, prefix=(), now=NOW, **more):
        code, out, err = super().go(world, prefix, now, **more)
        # Outside the world, for the checks.
        with open(world + '.said', 'wb') as f: f.write(out)
        return code, out, err

    def judge(self, world, code, stderr, log=''):
        with open(world + '.said', 'rb') as f: out = f.read()
        # A problem is the result, not an error.
        bad = super().judge(world, code, stderr + (out or b'(standard output is broken)') if code in (20, 21) else stderr, log)
        for word in (b'malformed', b'is damaged', b'damaged:'):
            if word in out and 21 not in self.codes: bad.append(f'a fault is reported as damage: {said(out)}')
        return bad


class HealthOfDamaged(Health):
    """The database is damaged where only a complete check finds it: whatever fails, it is never reported as sound."""
    name, codes, again_codes = 'health-damaged', {21}, {21}

    def build(self, binary, world):
        super().build(binary, world)
        # The cell count of the last page, an index page.
        with open(f'{world}/app.db', 'r+b') as f:
            f.seek(os.path.getsize(f.name) - 4096 + 3); f.write(b'\x7f\x7f')

    def contents(self, world): return {'app': 'damaged'}

    def judge_source(self, world, states=None):
        return [f'the bytes of {f} changed' for f, digest in self.files.items() if sha256(f'{world}/{f}') != digest]

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        with open(world + '.said', 'rb') as f: out = f.read()
        if code == 0 or code == 20 and b'could not be checked' not in out: bad.append(f'exit {code} although the database is damaged')
        return bad


class Rotate(Scenario):
    """Ten backups on ten days of which the policy keeps four, one of them pinned."""
    name, command = 'rotate', ['rotate', '--keep-daily', '3', '--keep-weekly', '1', '--keep-monthly', '0']

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0, 60)
        self.archives_of(binary, world, 'app', range(8), ['app.db'])
        run([binary, 'pin', self.archive], world)

    def done(self, world, new):
        left = set(archives(f'{world}/backups')) - set(self.after)
        return [f'exit 0 and not removed: {left}'] if left else []

    def settled(self, world): return self.done(world, [])


class Cleanup(Rotate):
    name, command = 'cleanup', ['cleanup', '--keep', '2']


class LegacyVerify(Scenario):
    """An archive of heirloom's predecessor: it has no digests, and its metadata comes last."""
    name, command = 'legacy-verify', ['verify', '--all']
    databases = LEGACY

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_legacy_archive(world)
