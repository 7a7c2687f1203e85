//! What `config` reports.

use serde::Serialize;

use crate::config::Value;

/// The effective settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// The configuration file.
    pub file: Option<String>,
    /// Every setting.
    pub settings: Vec<Setting>,
}

/// A setting and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// The key: `retention.keep`.
    pub key: String,
    /// The value; null where there is none.
    pub value: Option<SettingValue>,
    /// `default`, `file`, `dotenv`, `environment`, `flag`, `container` or `host`.
    pub origin: &'static str,
    /// The file it stands in.
    pub file: Option<String>,
    /// The line in that file.
    pub line: Option<usize>,
    /// The variables it was made of.
    pub variables: Vec<String>,
}

/// A value of a setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// A path or a label.
    Text(String),
    /// Any other.
    Value(Value),
}

/// What the tests of a configuration found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The configuration file.
    pub file: Option<String>,
    /// The tests.
    pub checks: Vec<Check>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was tested.
    pub check: String,
    /// `ok`, `warning` or `error`.
    pub state: &'static str,
    /// The exit code of the error; 0 where there is none.
    pub code: u8,
    /// What was found.
    pub message: String,
    /// What to do about it, in the interface's words.
    pub hint: Option<String>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The file.
    pub file: String,
}
