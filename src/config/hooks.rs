//! The section `[hooks]`: programs that run before and after backups and restores.

use std::time::Duration;

use super::value::{age, age_text, not};
use super::{Key, Value};

/// The programs and what applies to all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookSettings {
    /// Runs before each backup, which fails if it fails.
    pub before_backup: Option<Vec<String>>,
    /// Runs after each backup.
    pub after_backup: Option<Vec<String>>,
    /// Runs after each restore.
    pub after_restore: Option<Vec<String>>,
    /// Runs after a backup, restore or other job that failed.
    pub on_failure: Option<Vec<String>>,
    /// How long each may run.
    pub timeout: Duration,
    /// Variables that they get although they are secrets of the backups; `*` at the end for any rest.
    pub pass_env: Vec<String>,
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            before_backup: None,
            after_backup: None,
            after_restore: None,
            on_failure: None,
            timeout: Duration::from_secs(300),
            pass_env: Vec::new(),
        }
    }
}

impl HookSettings {
    pub(super) fn set(&mut self, key: Key, value: &Value) -> Result<(), String> {
        match key {
            Key::BeforeBackup => self.before_backup = Some(words(value)?),
            Key::AfterBackup => self.after_backup = Some(words(value)?),
            Key::AfterRestore => self.after_restore = Some(words(value)?),
            Key::OnFailure => self.on_failure = Some(words(value)?),
            Key::HookTimeout => self.timeout = age(value)?,
            Key::HookPassEnv => {
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
        match key {
            Key::BeforeBackup => self.before_backup.clone().map(Value::Texts),
            Key::AfterBackup => self.after_backup.clone().map(Value::Texts),
            Key::AfterRestore => self.after_restore.clone().map(Value::Texts),
            Key::OnFailure => self.on_failure.clone().map(Value::Texts),
            Key::HookTimeout => Some(Value::Text(age_text(self.timeout))),
            Key::HookPassEnv => Some(&self.pass_env).filter(|names| !names.is_empty()).cloned().map(Value::Texts),
            _ => None,
        }
    }
}

/// Reads a program and its arguments. It is not a line for a shell.
fn words(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Texts(words) if words.first().is_some_and(|program| !program.is_empty()) => {
            if words.iter().any(|word| word.contains('\0')) {
                return Err("must not contain a zero byte".into());
            }
            Ok(words.clone())
        }
        Value::Texts(_) => Err("must begin with a program".into()),
        other => Err(not("a program and its arguments, such as [\"/usr/local/bin/alert\", \"backup\"]", other)),
    }
}
