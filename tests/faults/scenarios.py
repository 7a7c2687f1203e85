"""The operations under test."""
import os

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
