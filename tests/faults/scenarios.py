"""The operations under test."""
from scenario import advance, make_database
from scenarios_restore import *
from scenarios_store import *

SCENARIOS = {s.name: s for s in (
    Backup, BackupWal, BackupIdleWal, BackupHot, BackupHotSchema, BackupPair, BackupFirst, BackupVacuum, BackupCleanup, Verify, VerifyDamaged, LegacyVerify,
    Health, HealthOfDamaged, Delete, Pin, Unpin, Accept, Rotate, Cleanup, Restore, RestoreWal, RestoreHot, RestoreMissing, RestoreStaleWal,
    RestoreTwo, RestoreHalf, RestoreThins, SendPending, RestoreOffline, RestoreOfflineHot, RestoreOfflineMissing, RestoreRights, RestoreInPlace, LegacyRestore, Undo, Guard, GuardFails, GuardReuses)}
