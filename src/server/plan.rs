//! Acts in two steps: a job plans, and the digest of its plan is sent back. What is carried out must be what was shown.

use serde_json::Value;

use crate::digest::Sha256;
use crate::names::{ArchiveName, Name};

/// What is planned before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// Of these databases, or of all of them.
    Restore(ArchiveName, Vec<Name>),
    /// Of the last restore of this set, or of the only set.
    Undo(Option<Name>),
    Rotate,
    Delete(ArchiveName),
}

impl Act {
    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::Restore(..) => "restore",
            Self::Undo(_) => "undo",
            Self::Rotate => "rotate",
            Self::Delete(_) => "delete",
        }
    }

    pub(super) fn words(&self) -> Vec<String> {
        let (command, options): (&[&str], Vec<[&str; 2]>) = match self {
            Self::Restore(name, only) => {
                (&["restore", name.as_str()], only.iter().map(|database| ["--only", database.as_str()]).collect())
            }
            Self::Undo(set) => (&["restore", "--undo"], set.iter().map(|set| ["--set", set.as_str()]).collect()),
            Self::Rotate => (&["rotate"], Vec::new()),
            Self::Delete(name) => (&["delete", name.as_str()], Vec::new()),
        };
        command.iter().chain(options.as_flattened()).map(|&word| word.to_owned()).collect()
    }
}

/// What changes all the time while an application works, and is no part of the decision. `undo_of` says how long ago
/// the restore was; the safety backup that is restored is `archive`.
const VOLATILE: [&str; 3] = ["in_use_by", "rows_before", "undo_of"];

/// Returns the digest of the document of a dry run.
pub(super) fn digest(mut plan: Value) -> String {
    strip(&mut plan);
    Sha256::of(plan.to_string().as_bytes()).to_string()
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !VOLATILE.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_application_writes_meanwhile_is_no_other_plan() {
        let plan =
            json!({"archive": "a", "databases": [{"name": "app", "rows": 3, "rows_before": 7, "in_use_by": []}]});
        let later =
            json!({"archive": "a", "databases": [{"name": "app", "rows": 3, "rows_before": 9, "in_use_by": ["x"]}]});
        let other =
            json!({"archive": "b", "databases": [{"name": "app", "rows": 3, "rows_before": 7, "in_use_by": []}]});
        let plan = digest(plan);
        assert_eq!(plan, digest(later));
        assert_ne!(plan, digest(other));
    }

    #[test]
    fn an_undo_that_is_confirmed_a_second_later_is_no_other_plan() {
        let plan = |archive, undo_of| digest(json!({"archive": archive, "undo_of": undo_of}));
        assert_eq!(
            plan("a", "undo the restore of app, 0 seconds ago"),
            plan("a", "undo the restore of app, 1 second ago")
        );
        assert_ne!(
            plan("a", "undo the restore of app, 0 seconds ago"),
            plan("b", "undo the restore of app, 0 seconds ago")
        );
    }
}
