//! Acts in two steps: a job plans, and the digest of its plan is sent back. What is carried out must be what was shown.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::digest::Hasher;
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

/// Returns the digest of the document of a dry run; `None` if it is no document. It is not held in memory: a plan of a
/// rotation names all archives. Commands print their fields in the order of the names.
pub(super) fn digest(plan: impl Read) -> Option<String> {
    let mut document = serde_json::Deserializer::from_reader(plan);
    let mut hasher = Hasher::default();
    Hashed(&mut hasher).deserialize(&mut document).ok()?;
    document.end().ok()?;
    Some(hasher.finish().to_string())
}

/// Feeds a value to a digest, each kind with a sign of its own.
struct Hashed<'a>(&'a mut Hasher);

impl Hashed<'_> {
    fn add<E>(self, kind: &str, value: &str) -> Result<(), E> {
        self.0.update(format!("{kind}{}:{value}", value.len()).as_bytes());
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Hashed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Hashed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.add("null", "")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.add("truth", &value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.add("number", &value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.add("number", &value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.add("number", &value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.add("text", value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.update(b"[");
        while items.next_element_seed(Hashed(self.0))?.is_some() {}
        self.0.update(b"]");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.0.update(b"{");
        while let Some(name) = fields.next_key::<String>()? {
            if VOLATILE.contains(&name.as_str()) {
                fields.next_value::<IgnoredAny>()?;
            } else {
                Hashed(self.0).add::<A::Error>("field", &name)?;
                fields.next_value_seed(Hashed(self.0))?;
            }
        }
        self.0.update(b"}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn digest(plan: Value) -> String {
        super::digest(plan.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_says_something_else_is_another_plan() {
        let plans = [
            json!({}),
            json!({"a": null}),
            json!({"a": [1, 2]}),
            json!({"a": [[1], 2]}),
            json!({"a": [12]}),
            json!({"a": ["12"]}),
            json!({"a": [1.5, true]}),
            json!({"a": [-1, "true"]}),
            json!({"a": "x", "b": "y"}),
            json!({"a": "x", "b": {"y": 1}}),
            json!({"a": {"x": 1}, "b": {"y": 1}}),
            json!({"a": {"x": 1, "b": {"y": 1}}}),
        ];
        let digests: std::collections::BTreeSet<String> = plans.iter().cloned().map(digest).collect();
        assert_eq!(digests.len(), plans.len());
        for broken in ["", "{", "{} {}", "{\"a\": 1", "no"] {
            assert_eq!(super::digest(broken.as_bytes()), None, "{broken}");
        }
    }

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
