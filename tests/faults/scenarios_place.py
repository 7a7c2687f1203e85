"""Files that a restore puts in place: with their original rights, and on mount points, which cannot be renamed."""
import struct

from scenarios_restore import *


def acl_of(*entries):
    """The attribute of an ACL: (tag, rights, id)."""
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in entries)


OWNER, USER, GROUP, MASK, OTHER, NOBODY = 1, 2, 4, 16, 32, 2**32 - 1
ATTRIBUTE = 'system.posix_acl_access'


class RestoreRights(RestoreOffline):
    """The file is replaced, and has an ACL and an attribute: the file with the name never allows more."""
    name, mode = 'restore-rights', 'delete'
    acl = acl_of((OWNER, 6, NOBODY), (USER, 6, 10001), (GROUP, 4, NOBODY), (MASK, 6, NOBODY), (OTHER, 0, NOBODY))
    narrowed = acl_of((OWNER, 6, NOBODY), (USER, 6, 10001), (GROUP, 0, NOBODY), (MASK, 6, NOBODY), (OTHER, 0, NOBODY))
    # Only root can give a file to another user.
    accounts = (1234, 5678) if os.geteuid() == 0 else (os.geteuid(), os.getegid())

    def break_target(self, world):
        Restore.break_target(self, world)
        os.setxattr(f'{world}/app.db', 'user.owner', b'accounting')
        os.chown(f'{world}/app.db', *self.accounts)
        os.setxattr(f'{world}/app.db', ATTRIBUTE, self.acl)

    def copy(self, template, world):
        super().copy(template, world)
        if os.path.exists(f'{world}/app.db'): os.chown(f'{world}/app.db', *self.accounts)

    def done(self, world, new):
        # With an ACL, the group bits are its mask.
        return [line for line in super().done(world, new) if 'another mode' not in line]

    def rights(self, world):
        path = f'{world}/app.db'
        found, names = os.stat(path), os.listxattr(path)
        return (found.st_uid, found.st_gid), found.st_mode & 0o777, os.getxattr(path, ATTRIBUTE) if ATTRIBUTE in names else None, names

    def evidence(self, world):
        if not os.path.exists(f'{world}/app.db'): return []
        (owner, group), mode, acl, _ = self.rights(world)
        bad = [f'THE ACL IS GONE AND THE MODE IS {mode:o}'] if acl is None and mode & (0o037 if group == self.accounts[1] else 0o077) else []
        if acl not in (None, self.acl, self.narrowed): bad.append('IT HAS ANOTHER ACL')
        if acl == self.acl and group != self.accounts[1]: bad.append('ANOTHER GROUP HAS THE RIGHTS OF ITS OWN')
        if owner not in (self.accounts[0], os.geteuid()): bad.append('IT HAS ANOTHER OWNER')
        # A finished file waits for its name in a folder that only the owner can enter.
        for n in os.listdir(world):
            if n.startswith('.heirloom-') and os.path.isdir(f'{world}/{n}') and os.stat(f'{world}/{n}').st_mode & 0o077: bad.append(f'{n} IS OPEN TO OTHERS')
        return bad

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        if code or b'could not be set' in stderr: return bad
        accounts, _, acl, names = self.rights(world)
        if acl != self.acl or accounts != self.accounts or self.keeps_attributes and 'user.owner' not in names: bad.append('exit 0, and not all rights are as before')
        return bad

    keeps_attributes = True       # a record has none


class RestoreRecorded(RestoreRights):
    """The file is missing: the new one gets the recorded rights of the old one, and never more."""
    name, replaces, in_a_row, keeps_attributes = 'restore-recorded', False, {14}, False
    command, again = RestoreMissing.command, Restore.command

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', self.mode, 0)
        super().break_target(world)
        self.archives_of(binary, world, 'app', (1, 2, 3), ['app.db'])
        os.unlink(f'{world}/app.db')


class RestoreInPlace(Restore):
    """A damaged file that is a mount point: its content is replaced. A crash leaves no database, never a mixture; the next run completes it."""
    name, replaces, databases = 'restore-in-place', False, {'host': 'host.db'}
    inside = ['unshare', '-m', 'sh', '-c', 'mount --bind host.db app.db && exec "$@"', 'sh']
    needs_root = True

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/host.db', self.mode, 0)
        self.archives_of(binary, world, 'app', (1, 2, 3), ['host.db', '--set', 'app'])
        self.break_host(world)
        self.mount_point(world)

    def mount_point(self, world):
        open(f'{world}/app.db', 'w').close()
        os.chmod(f'{world}/host.db', 0o640)

    def break_host(self, world):
        with open(f'{world}/host.db', 'r+b') as f: f.write(b'\x55' * 4096)
        self.damaged = sha256(f'{world}/host.db')

    def look(self, world, path):
        # The application finds the sidecars beside the mount point.
        d = tempfile.mkdtemp(prefix='look-')
        try:
            shutil.copyfile(f'{world}/{path}', f'{d}/x.db')
            for suffix in ('-wal', '-journal') if path == 'host.db' else ():
                if os.path.exists(f'{world}/app.db{suffix}'): shutil.copyfile(f'{world}/app.db{suffix}', f'{d}/x.db{suffix}')
            if path != 'host.db': return super().look(world, path)
            # A mount point is emptied where another file would be removed.
            if not os.path.getsize(f'{d}/x.db'): return 'no database'
            with open(f'{d}/x.db', 'rb') as f: has_header = f.read(16) == b'SQLite format 3\0'
            try: return contents_of_live(f'{d}/x.db')
            except ValueError:
                if has_header: raise
                return 'no database'
        finally: shutil.rmtree(d, ignore_errors=True)

    def kept(self, world):
        """The possible locations of the old file."""
        return [f'{world}/host.db'] + [f'{world}/{f}/app.db' for f in os.listdir(world) if f.startswith('app.db.replaced-')]

    def evidence(self, world):
        return [] if any(os.path.exists(p) and sha256(p) == self.damaged for p in self.kept(world)) else ['THE EVIDENCE IS GONE']

    def done(self, world, new):
        return super().done(world, new) + ([] if os.stat(f'{world}/host.db').st_mode & 0o777 == 0o640 else ['host.db has another mode'])


class RestoreInPlaceWal(RestoreInPlace):
    """The -wal of the damaged file is beside the mount point: replaying it into the new content would create a mixture."""
    name, mode, between = 'restore-in-place-wal', 'wal', {'host': {'no database'}}

    def break_host(self, world):
        crash(f'{world}/host.db', 'wal')
        for ending in ('-wal', '-shm'): os.rename(f'{world}/host.db{ending}', f'{world}/app.db{ending}')
        self.wal = sha256(f'{world}/app.db-wal')
        super().break_host(world)

    def evidence(self, world):
        places = [f'{world}/app.db-wal'] + [f'{p}-wal' for p in self.kept(world)[1:]]
        is_kept = any(os.path.exists(p) and sha256(p) == self.wal for p in places)
        return super().evidence(world) + ([] if is_kept else ['ITS -wal IS GONE'])


class RestoreInPlaceOffline(RestoreInPlace, RestoreOffline):
    """A sound database that is a mount point: while its content is not a database, the old one is beside it."""
    name, mode, replaces, between = 'restore-in-place-offline', 'delete', True, {'host': {'no database'}}
    command = RestoreOffline.command

    def break_host(self, world): advance(f'{world}/host.db', 4)

    def has_no_database(self, world):
        try: return self.look(world, 'host.db') == 'no database'
        except ValueError: return False

    def evidence(self, world):
        if not self.is_prepared or not self.has_no_database(world): return []
        for path in self.kept(world)[1:]:
            try:
                if contents_of_live(path) in self.states()['host']: return []
            except ValueError: pass
        return ['THE OLD CONTENT IS GONE']

    is_prepared = False

    def prepare(self, binary, template):
        super().prepare(binary, template)
        self.is_prepared = True

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        # A single failure loses nothing; if the disk keeps failing, rolling back may be left to the next run.
        if code != 137 and log.count('INJECTED') == 1 and self.has_no_database(world): bad.append(f'exit {code} and there is no database')
        return bad


class RestoreInPlaceTwo(RestoreInPlace, RestoreTwo):
    """Two databases, of which one is a damaged mount point: both or none are restored, or the next command reports the interruption."""
    name, databases, between = 'restore-in-place-two', {'app': 'host.db', 'user': 'user.db'}, {'app': {'no database'}}
    command = RestoreTwo.command

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0, 150)
        make_database(f'{world}/user.db', 'wal', 0, 150)
        for day, generation in enumerate((1, 2)):
            for path in ('app.db', 'user.db'): advance(f'{world}/{path}', generation)
            code, _, err = run([binary, 'backup', 'app.db', 'user.db', '--set', 'pair'], world, environment(f'2026-02-{20 + day:02}T03:00:00Z'))
            if code: raise SystemExit(f'{self.name}: cannot prepare: {said(err)}')
        os.rename(f'{world}/app.db', f'{world}/host.db')
        advance(f'{world}/user.db', 9)
        self.break_host(world)
        self.mount_point(world)
