"""The operations under test."""
import os, shutil

from scenario import advance, make_database
from scenarios_identity import *
from scenarios_place import *
from scenarios_restore import *
from scenarios_store import *

SCENARIOS = {s.name: s for s in (
    Backup, BackupWal, BackupIdleWal, BackupHot, BackupHotSchema, BackupPair, BackupFirst, BackupNewStore, BackupLostId, BackupGone, BackupUnmounted,
    BackupVacuum, BackupCleanup, Verify, VerifyDamaged, LegacyVerify,
    Health, HealthOfDamaged, Delete, Pin, Unpin, Accept, Rotate, Cleanup, Restore, RestoreWal, RestoreHot, RestoreMissing, RestoreStaleWal,
    RestoreTwo, RestoreHalf, RestoreThins, SendPending, RestoreOffline, RestoreOfflineHot, RestoreOfflineMissing, RestoreRights, RestoreRecorded, RestoreInPlace,
    RestoreInPlaceWal, RestoreInPlaceOffline, RestoreInPlaceTwo, LegacyRestore, Undo, Guard, GuardFails, GuardReuses)}
# The scenarios that this user can run.
RUNNABLE = [name for name, scenario in SCENARIOS.items() if os.geteuid() == 0 or not scenario.needs_root]


def make(name, seed):
    """Creates a scenario. Every other one writes Zstandard archives, and with the next seed the others do."""
    scenario = SCENARIOS[name]()
    if (list(SCENARIOS).index(name) + seed) % 2 and shutil.which('zstd'): scenario.ending = '.tar.zst'
    return scenario
