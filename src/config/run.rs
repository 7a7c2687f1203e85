//! The section `[run]`: how `run` starts, saves and ends an application.

use std::time::Duration;

use super::value::{age, age_text, not, switch};
use super::{Key, Value};

/// What `run` does around an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSettings {
    /// Whether missing databases are restored; unset, if there is a command.
    pub restore: Option<RestoreAtStart>,
    /// How long a store that does not answer is asked again before the start.
    pub restore_wait: Duration,
    /// How long the application waits until the databases are pinned for the backup at its start.
    pub start_timeout: Duration,
    /// Whether the application starts without a database of its own although the store holds archives of others.
    pub first_deployment: bool,
    /// Whether the application starts without its data if no store answers in time.
    pub start_without_restore: bool,
    /// How long to wait for another run with the same store.
    pub lease_wait: Duration,
    /// The time from a stop signal until the platform kills everything; unset, what is usual on the platform.
    pub grace: Option<Duration>,
    /// Whether signals go to the process group of the application.
    pub signal_group: bool,
    /// Variables that the application gets although they are secrets of the backups; `*` at the end for any rest.
    pub pass_env: Vec<String>,
}

/// Which databases are restored before the application starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreAtStart {
    /// Those that are missing or empty.
    IfMissing,
    /// All whose state is not that of their newest backup.
    Newest,
    /// None.
    Never,
}

impl Default for RunSettings {
    fn default() -> Self {
        Self {
            restore: None,
            restore_wait: Duration::from_secs(120),
            start_timeout: Duration::from_secs(10),
            first_deployment: false,
            start_without_restore: false,
            lease_wait: Duration::from_secs(120),
            grace: None,
            signal_group: false,
            pass_env: Vec::new(),
        }
    }
}

impl RunSettings {
    pub(super) fn set(&mut self, key: Key, value: &Value) -> Result<(), String> {
        match key {
            Key::RunRestore => {
                self.restore = match value {
                    Value::Text(text) if text == "if-missing" => Some(RestoreAtStart::IfMissing),
                    Value::Text(text) if text == "newest" => Some(RestoreAtStart::Newest),
                    Value::Text(text) if text == "never" => Some(RestoreAtStart::Never),
                    _ => return Err(not("\"if-missing\", \"newest\" or \"never\"", value)),
                }
            }
            Key::RestoreWait => self.restore_wait = age(value)?,
            Key::StartTimeout => self.start_timeout = age(value)?,
            Key::FirstDeployment => self.first_deployment = switch(value)?,
            Key::StartWithoutRestore => self.start_without_restore = switch(value)?,
            Key::LeaseWait => self.lease_wait = age(value)?,
            Key::Grace => self.grace = Some(age(value)?),
            Key::SignalGroup => self.signal_group = switch(value)?,
            Key::PassEnv => {
                self.pass_env = match value {
                    Value::Texts(names) => names.clone(),
                    _ => return Err(not("a list of variables", value)),
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn get(&self, key: Key) -> Option<Value> {
        let time = |time: Duration| Some(Value::Text(age_text(time)));
        match key {
            Key::RunRestore => self.restore.map(|restore| {
                Value::Text(match restore {
                    RestoreAtStart::IfMissing => "if-missing".into(),
                    RestoreAtStart::Newest => "newest".into(),
                    RestoreAtStart::Never => "never".into(),
                })
            }),
            Key::RestoreWait => time(self.restore_wait),
            Key::StartTimeout => time(self.start_timeout),
            Key::FirstDeployment => Some(Value::Switch(self.first_deployment)),
            Key::StartWithoutRestore => Some(Value::Switch(self.start_without_restore)),
            Key::LeaseWait => time(self.lease_wait),
            Key::Grace => self.grace.and_then(time),
            Key::SignalGroup => Some(Value::Switch(self.signal_group)),
            Key::PassEnv => Some(&self.pass_env).filter(|names| !names.is_empty()).cloned().map(Value::Texts),
            _ => None,
        }
    }
}
