//! Restores databases: a plan that can be shown, then exactly that.
//!
//! Everything that can be prepared is prepared while the targets are untouched: unpacked beside each target, hashed,
//! checked unless the hash proves it, compared with the metadata. Then all targets are locked in a fixed order, what
//! they hold is committed in the workspace as a safety backup, all are written, and only then each is committed.
//! Several databases are replaced all or none.

mod damage;
mod error;
mod examine;
mod execute;
mod keep;
mod look_for_damage;
mod options;
mod plan;
mod proof;
mod replace;
mod room;
mod schema;
mod targets;
pub mod undo;

pub use crate::workspace::intents::{InterruptedRestore, Note, beside, forget, interrupted};
pub use damage::Damage;
pub use error::RestoreError;
pub use execute::{Report, Restored, execute};
pub use look_for_damage::look_for_damage;
pub use options::{Options, Safety};
pub use plan::{Method, Plan, Removal, Step, choose, plan, plan_removals};
pub use proof::{CheckPolicy, ProvedBy};
pub use schema::{compare_schemas, schema_changed};
pub use targets::{Known, Where, targets};

pub use crate::text::shell_word;
