//! The numbers of the checks. Their names are a stable interface: dashboards and alerts depend on them.

use serde::Serialize;

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    /// The name, with its unit at the end: `backup_age_seconds`.
    pub name: &'static str,
    /// What it is, for people who read metrics.
    pub help: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Which side of a limit is bad.
    pub bad: Bad,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A span of time.
    Seconds,
    /// A point in time, in seconds since 1970.
    Timestamp,
    /// A size.
    Bytes,
    /// A count.
    Count,
}

/// Which side of a limit is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// What is more than the limit.
    Above,
    /// What is less than the limit.
    Below,
}

/// A number that was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measure {
    /// What it means.
    #[serde(skip)]
    pub quantity: Quantity,
    /// The number.
    pub value: f64,
    /// The warning limit, if any.
    pub warning: Option<f64>,
    /// The limit beyond which it is critical.
    pub critical: Option<f64>,
}

const fn quantity(name: &'static str, unit: Unit, help: &'static str) -> Quantity {
    Quantity { name, help, unit, bad: Bad::Above }
}

pub(crate) const DATABASE_BYTES: Quantity =
    quantity("database_size_bytes", Unit::Bytes, "Size of the live database, with what is only in its WAL yet.");
pub(crate) const DATABASE_FREE_BYTES: Quantity =
    quantity("database_free_bytes", Unit::Bytes, "Bytes in pages of the live database that hold nothing.");
pub(crate) const DATABASE_WAL_BYTES: Quantity =
    quantity("database_wal_bytes", Unit::Bytes, "Size of the WAL of the live database.");
pub(crate) const DATABASE_TABLES: Quantity = quantity("database_tables", Unit::Count, "Tables of the live database.");
pub(crate) const DATABASE_ROWS: Quantity =
    quantity("database_rows", Unit::Count, "Rows of all tables of the live database.");
pub(crate) const FOREIGN_KEY_VIOLATIONS: Quantity =
    quantity("database_foreign_key_violations", Unit::Count, "Rows of the live database that break a foreign key.");
pub(crate) const BACKUP_AGE: Quantity = quantity(
    "backup_age_seconds",
    Unit::Seconds,
    "Age of the newest good backup, or of the last run that found nothing changed since, at the time of the check.",
);
/// When the newest good backup was made, in seconds since 1970.
pub const BACKUP_TIME: Quantity = quantity(
    "backup_newest_timestamp_seconds",
    Unit::Timestamp,
    "Time of the newest good backup, in seconds since 1970.",
);
/// When the newest good backup was made or last found to hold the current state, in seconds since 1970.
pub const CONFIRMED_TIME: Quantity = quantity(
    "backup_confirmed_timestamp_seconds",
    Unit::Timestamp,
    "Time at which the newest good backup was made, or last found to hold the current state, in seconds since 1970.",
);
/// When an archive of the set was verified last, in seconds since 1970.
pub const VERIFIED_TIME: Quantity = quantity(
    "backup_verified_timestamp_seconds",
    Unit::Timestamp,
    "Time of the last clean verify of an archive, in seconds since 1970.",
);
pub(crate) const BACKUP_ARCHIVES: Quantity = quantity("backup_archives", Unit::Count, "Archives of the set.");
pub(crate) const BACKUP_BYTES: Quantity =
    quantity("backup_size_bytes", Unit::Bytes, "Size of all archives of the set.");
pub(crate) const DAMAGED_ARCHIVES: Quantity =
    quantity("backup_damaged_archives", Unit::Count, "Damaged archives of the set.");
pub(crate) const COPIES_MISSING: Quantity =
    quantity("copy_missing_archives", Unit::Count, "Archives that a further store lacks, as far as is known.");
pub(crate) const COPY_VERIFIED_TIME: Quantity = quantity(
    "copy_verified_timestamp_seconds",
    Unit::Timestamp,
    "Time of the last verify in a further store, in seconds since 1970.",
);
pub(crate) const COPY_TIME: Quantity = quantity(
    "copy_newest_timestamp_seconds",
    Unit::Timestamp,
    "Time of the newest archive in a further store, in seconds since 1970.",
);
pub(crate) const FREE_BYTES: Quantity = Quantity {
    bad: Bad::Below,
    ..quantity("store_free_bytes", Unit::Bytes, "Free space on the file system of the store.")
};
pub(crate) const NEEDED_BYTES: Quantity = quantity(
    "store_needed_bytes",
    Unit::Bytes,
    "Space that the next two backups need, with the copies they are made of.",
);
