"""The id of a store: its first commit writes it, and a known store without it gets no archive."""
import json

from scenarios_store import *

IDENTITY = 'heirloom-store.json'


def identity_of(store):
    """The id of a store; None without one. Raises ValueError if its file is incomplete."""
    if not os.path.exists(f'{store}/{IDENTITY}'): return None
    with open(f'{store}/{IDENTITY}') as f: return json.load(f)['id']


def remembered(world):
    """The ids recorded for the path of the world's store."""
    if not os.path.exists(memory_of(world)): return []
    with open(memory_of(world)) as f: return json.load(f)['ids']


def is_said(words, stderr, log):
    """Returns whether a message was printed, or could not be printed."""
    return words in stderr or re.search(r'write\(2.*INJECTED', log)


class BackupFirst(Backup):
    """The very first backup: the store is created, gets its id before its first archive, and is recorded."""
    name, grows = 'backup-first', False

    def build(self, binary, world):
        os.makedirs(f'{world}/tmp')
        make_database(f'{world}/app.db', 'delete', 0)

    def evidence(self, world):
        try: found, known = identity_of(f'{world}/backups'), remembered(world)
        except ValueError as error: return [f'the id of the store or its memory is not whole: {error}']
        bad = ['A STORE WITH ARCHIVES HAS NO ID'] if archives(f'{world}/backups') and not found else []
        return bad + (['an id is remembered that the store does not have'] if known and found not in known else [])

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        if code == 0 and not remembered(world) and not is_said(b'cannot remember this store', stderr, log): bad.append('exit 0, and the store is not remembered')
        return bad

    def settled(self, world): return [] if identity_of(f'{world}/backups') in remembered(world) else ['the store is not remembered']


class BackupNewStore(BackupFirst):
    """Another store at the path of a known one, on request: it gets a new id, and both are known."""
    name, command = 'backup-new-store', ['backup', 'app.db', '--new-store']

    def build(self, binary, world):
        super().build(binary, world)
        self.archives_of(binary, world, 'app', (1,), ['app.db'])
        os.rename(f'{world}/backups', f'{world}/first')
        self.first = identity_of(f'{world}/first')

    def evidence(self, world):
        # Between the first commit and the end of the run, only the earlier one is known.
        bad = [line for line in super().evidence(world) if 'is remembered' not in line]
        if self.first not in remembered(world): bad.append('the earlier store was forgotten')
        return bad + (['the new store has the id of the earlier one'] if identity_of(f'{world}/backups') == self.first else [])

    def judge(self, world, code, stderr, log=''):
        bad = super().judge(world, code, stderr, log)
        is_known = identity_of(f'{world}/backups') in remembered(world)
        is_known = is_known or is_said(b'cannot remember this store', stderr, log)
        return bad + (['exit 0, and the new store is not remembered'] if code == 0 and not is_known else [])


class BackupLostId(Backup):
    """A known store that lost its id, as an older copy of a disk has: nothing is written to it, whatever fails."""
    name, codes, again_codes, grows = 'backup-lost-id', {16}, {16}, False

    def build(self, binary, world):
        super().build(binary, world)
        self.take(world)
        self.excused = set()

    def take(self, world): os.unlink(f'{world}/backups/{IDENTITY}')

    def evidence(self, world):
        bad = ['AN ARCHIVE WAS ADDED'] if set(archives(f'{world}/backups')) - set(self.before) or pending(f'{world}/backups') else []
        return bad + (['IT WAS GIVEN AN ID'] if os.path.exists(f'{world}/backups/{IDENTITY}') else [])

    def done(self, world, new): return ['exit 0 although the store is not the one that is known']

    def verified(self, world): return []

    def judge(self, world, code, stderr, log=''):
        # If this user may not read the record, nothing can have been recorded: there is only a warning.
        if is_said(b'cannot read which store was used before', stderr, log) and re.search(r'state/stores/.*EACCES.*INJECTED', log):
            self.excused.add(world)
            return []
        return super().judge(world, code, stderr, log)

    def settle(self, world, states=None):
        return [] if world in self.excused else super().settle(world, states)


class BackupGone(BackupLostId):
    """A known store whose folder is missing: no new one is created at its path."""
    name = 'backup-gone'

    def take(self, world): os.rename(f'{world}/backups', f'{world}/away')

    def evidence(self, world): return ['ANOTHER STORE WAS MADE'] if os.path.lexists(f'{world}/backups') else []


class BackupUnmounted(BackupLostId):
    """The empty folder of a mount point, where a disk with a known store was mounted."""
    name = 'backup-unmounted'

    def take(self, world):
        os.rename(f'{world}/backups', f'{world}/away')
        os.makedirs(f'{world}/backups')

    def evidence(self, world): return [f'{n} WAS WRITTEN BENEATH THE MOUNT POINT' for n in os.listdir(f'{world}/backups')]
