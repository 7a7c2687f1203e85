//! Reads the tables `[copies.NAME]`, and expands what they name.

use toml::Spanned;
use toml::de::DeValue;

use super::copies::{CopySettings, FileCopy};
use super::file::{Reader, in_order, kind, scalar, shown, unknown};
use super::value::{limit, not_a_url, parsed, url};
use super::variables::expand;
use super::{Expanded, Key, Layers, Origin, Problem, RetentionSettings, Settings, Value};
use crate::store_url::Location;

/// The keys of such a table.
const KEYS: [&str; 5] = ["dir", "url", "required", "retention", "limit_upload"];
/// The rules and limits that a copy may have of its own.
const RULES: [Key; 9] =
    [Key::Keep, Key::MaxAge, Key::MaxSize, Key::Last, Key::Hourly, Key::Daily, Key::Weekly, Key::Monthly, Key::Yearly];

impl Reader {
    pub(super) fn copies(&mut self, value: &Spanned<DeValue<'_>>) {
        let mut names = std::collections::HashMap::new();
        for (name, value) in in_order(self.entries(value, "copies")) {
            let Some(copy) = self.name(name, "copies", &mut names) else { continue };
            let key = format!("copies.{copy}");
            if matches!(copy.as_str(), "main" | "all") {
                self.problem(
                    name.span(),
                    key,
                    "must have another name: \"main\" is the store itself, \"all\" every one".into(),
                );
                continue;
            }
            let mut read = FileCopy {
                name: copy,
                location: (String::new(), false),
                line: self.line(name.span()),
                required: false,
                retention: None,
                limit_upload: None,
            };
            for (inner, value) in self.entries(value, &key) {
                let text: &str = inner.get_ref();
                let result = match text {
                    "dir" | "url" => self.copy_location(&mut read, text == "url", inner, value),
                    "required" => match value.get_ref() {
                        DeValue::Boolean(required) => {
                            read.required = *required;
                            Ok(())
                        }
                        other => Err(format!("must be true or false, not {}", kind(other))),
                    },
                    "retention" => {
                        read.retention = Some(self.copy_retention(&key, value));
                        Ok(())
                    }
                    "limit_upload" => scalar(value.get_ref()).and_then(|value| limit(&value)).map(|limit| {
                        read.limit_upload = Some(limit);
                    }),
                    _ => Err(unknown("is not a setting of a copy", text, KEYS.into_iter(), |_| false)),
                };
                if let Err(message) = result {
                    self.problem(value.span(), format!("{key}.{}", shown(text)), message);
                }
            }
            if read.location.0.is_empty() {
                if matches!(value.get_ref(), DeValue::Table(_)) {
                    self.problem(name.span(), key, "names no store: set url or dir".into());
                }
            } else {
                self.layer.copies.push(read);
            }
        }
    }

    fn copy_location(
        &mut self,
        read: &mut FileCopy,
        is_url: bool,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), String> {
        let DeValue::String(text) = value.get_ref() else {
            return Err(format!("must be a string, not {}", kind(value.get_ref())));
        };
        if !read.location.0.is_empty() {
            return Err("names a second store: keep dir or url".into());
        }
        expand(text, |_| Some("x".into()))?;
        if is_url != parsed(text).is_some() {
            return Err(if is_url { not_a_url(text) } else { "is a URL: write it as url".into() });
        }
        read.location = (text.to_string(), is_url);
        read.line = self.line(name.span());
        Ok(())
    }

    fn copy_retention(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> RetentionSettings {
        let mut settings = Settings { retention: RetentionSettings::nothing(), ..Settings::default() };
        let key = format!("{key}.retention");
        for (name, value) in self.entries(value, &key) {
            let text: &str = name.get_ref();
            let Some(rule) = RULES.into_iter().find(|rule| rule.name() == text) else {
                let message = unknown("is not a rule of a copy", text, RULES.iter().map(|rule| rule.name()), |_| false);
                self.problem(name.span(), format!("{key}.{}", shown(text)), message);
                continue;
            };
            if let Err(message) = scalar(value.get_ref()).and_then(|value| rule.set(&value, &mut settings)) {
                self.problem(value.span(), format!("{key}.{text}"), message);
            }
        }
        if settings.retention.is_nothing() {
            self.problem(
                value.span(),
                key,
                "keeps nothing: set a rule, or leave it out to keep what the store keeps".into(),
            );
        }
        settings.retention
    }
}

impl Layers<'_> {
    /// Takes a copy of the file over, with its variables expanded.
    pub(super) fn copy(&self, copy: &FileCopy) -> Result<(CopySettings, Origin), Problem> {
        let Some(file) = self.file else { unreachable!("a copy comes from a file") };
        let problem = |message: String| Problem {
            place: Some(file.origin(copy.line, Vec::new()).into()),
            key: format!("copies.{}", copy.name),
            message,
            remedy: None,
        };
        let (text, is_url) = &copy.location;
        match expand(text, |name| self.lookup(name)).map_err(problem)? {
            Expanded::Unset(variable) => Err(Problem {
                remedy: Some(format!("set {variable}").into()),
                ..problem(format!("the variable {variable} is not set"))
            }),
            Expanded::Path(path, mut variables) => {
                let location = if *is_url {
                    let (value, used) = self.completed(Value::Path(path)).map_err(problem)?;
                    variables.extend(used);
                    Location::Remote(url(&value).map_err(problem)?)
                } else {
                    Location::Folder(file.folder().join(path))
                };
                let settings = CopySettings {
                    name: copy.name.clone(),
                    location,
                    required: copy.required,
                    retention: copy.retention.clone(),
                    limit_upload: copy.limit_upload,
                };
                Ok((settings, file.origin(copy.line, variables)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use std::num::NonZeroU64;

    use crate::config::FileLayer;

    fn problems(text: &str) -> Vec<String> {
        FileLayer::parse(Path::new("h.toml"), text).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_mistake_in_a_copy_is_named_with_its_line() {
        for (text, found) in [
            (
                "[copies.off]\nurl = 's3://b/p'\nrequired = 'yes'",
                "h.toml:3: copies.off.required: must be true or false",
            ),
            ("[copies.off]\nurl = 'backups'", "h.toml:2: copies.off.url: must be the URL of a store"),
            ("[copies.off]\ndir = 's3://b'", "h.toml:2: copies.off.dir: is a URL: write it as url"),
            ("[copies.off]\nurl = 's3://b'\ndir = '/x'", "names a second store"),
            ("[copies.off]\nrequired = true", "h.toml:1: copies.off: names no store"),
            ("[copies.off]\nurl = 's3://b'\nretantion = {}", "did you mean \"retention\"?"),
            ("[copies.off]\nurl = 's3://b'\nretention = {}", "h.toml:3: copies.off.retention: keeps nothing"),
            (
                "[copies.off]\nurl = 's3://b'\nretention = {dayly = 3}",
                "copies.off.retention.dayly: is not a rule of a copy",
            ),
            (
                "[copies.off]\nurl = 's3://b'\nretention = {safety = 3}",
                "copies.off.retention.safety: is not a rule of a copy",
            ),
            (
                "[copies.off]\nurl = 's3://b'\nlimit_upload = 'fast'",
                "h.toml:3: copies.off.limit_upload: must be a size",
            ),
            ("[copies.all]\nurl = 's3://b'", "must have another name"),
            ("[copies.a]\nurl = 's3://b'\n[copies.A]\nurl = 's3://c'", "only in upper and lower case"),
            ("copies = 1", "h.toml:1: copies: must be a table, not a number"),
            ("[store]\nurl = 'ftp://h/x'", "store.url: no store speaks \"ftp://\""),
            ("[store]\ndir = 's3://b'", "store.dir: is a URL: write it as url"),
        ] {
            let all = problems(text).join("\n");
            assert!(all.contains(found), "{text}: {all}");
        }
    }

    #[test]
    fn a_copy_without_mistakes_has_rules_of_its_own() {
        let text = "[copies.off]\nurl = 's3://b/{host}?region=eu'\nrequired = true\nlimit_upload = '2MB'\n\
                    retention = { daily = 30 }\n[copies.usb]\ndir = '/mnt'";
        let (layer, problems) = FileLayer::parse(Path::new("h.toml"), text);
        assert_eq!(problems, []);
        let [off, usb] = &layer.copies[..] else { panic!("{:?}", layer.copies) };
        assert!(off.required && !usb.required);
        let rules = off.retention.clone().unwrap();
        assert_eq!((rules.daily, rules.weekly, rules.keep), (Some(30), None, None), "no rule is taken from the store");
        assert_eq!(usb.retention, None);
        assert_eq!(off.limit_upload.map(NonZeroU64::get), Some(2_000_000));
    }
}
