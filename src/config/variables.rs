//! Variables: of the environment and of a `.env` file, and paths that mention them.

use std::cell::Cell;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{DotEnv, Origin};

/// Where variables are looked up: the environment first, the `.env` file where it has none. Empty values count as
/// unset.
pub struct Variables<'a> {
    pub(super) environment: &'a dyn Fn(&str) -> Option<OsString>,
    pub(super) dotenv: DotEnv,
    from_dotenv: Cell<bool>,
}

impl<'a> Variables<'a> {
    /// Takes the lookup of environment variables, and the `.env` file of the working directory.
    pub fn new(environment: &'a dyn Fn(&str) -> Option<OsString>, dotenv: DotEnv) -> Self {
        Self { environment, dotenv, from_dotenv: Cell::new(false) }
    }

    /// Returns whether any variable so far came from the `.env` file.
    pub fn used_dotenv(&self) -> bool {
        self.from_dotenv.get()
    }

    /// Looks up one variable.
    pub fn get(&self, name: &str) -> Option<(OsString, Origin)> {
        self.first(&[name])
    }

    /// Looks up several variables with one meaning, the strongest first. The environment beats all of `.env`.
    pub fn first(&self, names: &[&str]) -> Option<(OsString, Origin)> {
        let real = names.iter().find_map(|name| {
            let value = (self.environment)(name).filter(|value| !value.is_empty())?;
            Some((value, Origin::Environment { variable: (*name).to_owned() }))
        });
        real.or_else(|| {
            names.iter().find_map(|name| {
                let (value, line) = self.dotenv.get(name)?;
                self.from_dotenv.set(true);
                Some((value.into(), Origin::DotEnv { line, variable: (*name).to_owned() }))
            })
        })
    }
}

/// The result of expanding a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expanded {
    /// A path, and the variables that were expanded into it.
    Path(PathBuf, Vec<String>),
    /// This variable is not set.
    Unset(String),
}

/// Replaces `$NAME` and `${NAME}` in the text of a path; `$$` is a dollar sign. Fails if a dollar sign is followed by
/// anything else.
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Expanded, String> {
    if text.is_empty() {
        return Err("must be a path, not an empty string".into());
    }
    if text == "~" || text.starts_with("~/") {
        return Err("must not start with \"~\", which is not expanded here: write \"$HOME/…\"".into());
    }
    if text.contains('\0') {
        return Err("must not contain a zero byte".into());
    }
    let mut path = OsString::with_capacity(text.len());
    let mut used = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        path.push(before);
        if let Some(after) = after.strip_prefix('$') {
            path.push("$");
            rest = after;
            continue;
        }
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("has an unclosed \"${\"")?,
            None => after.split_at(
                after.len() - after.trim_start_matches(|char: char| char.is_ascii_alphanumeric() || char == '_').len(),
            ),
        };
        let fits = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        if !fits {
            return Err("has a \"$\" without a variable name: write $NAME or ${NAME}, and $$ for a dollar sign".into());
        }
        match lookup(name).filter(|value| !value.is_empty()) {
            Some(value) => path.push(value),
            None => return Ok(Expanded::Unset(name.to_owned())),
        }
        used.push(name.to_owned());
        rest = after;
    }
    path.push(rest);
    Ok(Expanded::Path(path.into(), used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<OsString> {
        match name {
            "DIR" => Some("/data".into()),
            "APP_1" => Some("app".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_in_paths_are_replaced() {
        for (text, path) in [
            ("/plain.db", "/plain.db"),
            ("$DIR", "/data"),
            ("$DIR/$APP_1.db", "/data/app.db"),
            ("${DIR}x/${APP_1}_2.db", "/datax/app_2.db"),
            ("a$$b", "a$b"),
            ("a~", "a~"),
        ] {
            assert!(
                matches!(expand(text, lookup), Ok(Expanded::Path(found, _)) if found == *std::path::Path::new(path)),
                "{text}"
            );
        }
        assert_eq!(expand("$NOPE/x", lookup), Ok(Expanded::Unset("NOPE".into())));
        assert_eq!(expand("${EMPTY}", lookup), Ok(Expanded::Unset("EMPTY".into())));
        for wrong in ["", "$", "$/x", "${", "${DIR", "${}", "${A B}", "$1", "~/x", "~", "a\0b"] {
            assert!(expand(wrong, lookup).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_environment_beats_the_dotenv_file_and_empty_is_unset() {
        let environment = |name: &str| match name {
            "BACKUP_DIR" => Some("/real".into()),
            "DATABASE_PATH" => Some("".into()),
            _ => None,
        };
        let variables =
            Variables::new(&environment, DotEnv::parse("BACKUP_DIR=/dot\nHEIRLOOM_DIR=/strong\nDATABASE_PATH=a.db"));
        assert_eq!(
            variables.get("BACKUP_DIR"),
            Some(("/real".into(), Origin::Environment { variable: "BACKUP_DIR".into() }))
        );
        assert_eq!(variables.first(&["HEIRLOOM_DIR", "BACKUP_DIR"]).map(|(value, _)| value), Some("/real".into()));
        assert_eq!(
            variables.get("DATABASE_PATH"),
            Some(("a.db".into(), Origin::DotEnv { line: 3, variable: "DATABASE_PATH".into() }))
        );
    }
}
