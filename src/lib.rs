//! Backs up, verifies, rotates and restores SQLite databases.
//!
//! There are five layers. A file may use the layers below its own, never those above, and an adapter never uses another
//! adapter; `tests/layers/` checks this from the `use` lines.
//!
//! ```text
//! faces        main.rs  cli/ server/    talk to users and machines: clap, indicatif, printing, clock, environment
//! operations   ops/                     backup restore verify cleanup rotate health: plan, then act through adapters
//! adapters     database/ archive/ store/ workspace/     one external thing each
//! platform     platform/ net/           operating system: files, rights, processes; the HTTP client
//! pure         metadata.rs snapshot.rs retention/ report/ failure.rs streams.rs latest/ digest.rs names.rs ...
//!              no files, no clock, no environment
//! ```
//!
//! Where to find what:
//!
//! | question | file |
//! |---|---|
//! | how is a live database copied? | `database/snapshot/` |
//! | is a copy sound? | `database/check/integrity.rs` |
//! | how is a live database replaced? | `database/replace/live_database.rs` |
//! | what do the bytes of an archive mean? | `archive/format.rs`, `man/heirloom-archive.5` |
//! | did a database change since its last backup? | `look.rs`, `database/look.rs`, `ops/changed.rs` |
//! | when does an archive count? | `ops/backup.rs` (commit point), `store/local.rs` (`commit`) |
//! | how does a URL name a store? | `store_url.rs`, `store/remote.rs` |
//! | what does the answer of an object store mean? | `store/object/answer.rs` |
//! | is this still the same store? | `ops/reach.rs`, `workspace/known.rs` |
//! | to which database does an archive belong? | `streams.rs`, `lineage.rs` |
//! | which archive is the latest? | `latest/` |
//! | what does a job decide? | `ops/jobs/` |
//! | what may be removed? | `retention/` |
//! | when is a job due? | `schedule/` |
//! | what does a request to the admin server do? | `server/api.rs` |
//! | what does exit code 13 mean? | `failure.rs`, `ops/explain.rs` |
//! | what does a hint say? | `cli/remedy.rs` |
//! | what does the page of the admin server show? | `server/pages/` |
//! | what is in the JSON of a command? | `report/`, made in `ops/reports/` |

pub mod archive;
pub mod cli;
pub mod clock;
pub mod compression;
pub mod config;
pub mod database;
pub mod digest;
pub mod failure;
pub mod groups;
pub mod identity;
pub mod label;
pub mod latest;
pub mod lineage;
pub mod look;
pub mod metadata;
pub mod names;
#[cfg(feature = "remote")]
pub mod net;
pub mod notices;
pub mod notify;
pub mod ops;
pub mod platform;
pub mod processors;
pub mod progress;
pub mod report;
pub mod retention;
pub mod schedule;
pub mod schema_diff;
#[cfg(feature = "server")]
pub mod server;
pub mod serving;
pub mod shelf;
pub mod snapshot;
pub mod store;
pub mod store_url;
pub mod streams;
pub mod text;
pub mod workspace;
