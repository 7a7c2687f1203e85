//! The digest of a plan: what is carried out must be what was shown.

use serde_json::Value;

use crate::digest::Sha256;

/// What changes all the time while an application works, and is no part of the decision. `undo_of` says how long ago
/// the restore was; the safety backup that is restored is `archive`.
const VOLATILE: [&str; 3] = ["in_use_by", "rows_before", "undo_of"];

/// Returns the digest of the document of a dry run.
pub(super) fn digest(plan: &Value) -> String {
    let mut plan = plan.clone();
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
        assert_eq!(digest(&plan), digest(&later));
        assert_ne!(digest(&plan), digest(&other));
    }

    #[test]
    fn an_undo_that_is_confirmed_a_second_later_is_no_other_plan() {
        let plan = |archive, undo_of| digest(&json!({"archive": archive, "undo_of": undo_of}));
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
