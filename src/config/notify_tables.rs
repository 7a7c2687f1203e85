//! Reads the tables `[notify]` and `[notify.NAME]`, and expands what they name.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::file::{Reader, in_order, kind, scalar, shown, unknown};
use super::notify::{Detail, Event, FileReceiver, Hidden, MailServer, Receiver, Secret, Way, check_address};
use super::value::not;
use super::variables::expand;
use super::{Expanded, Layers, Origin, Problem, Value};
use crate::names::Name;

/// The ways, of which a receiver has exactly one.
const WAYS: [&str; 5] = ["ntfy", "webhook", "healthchecks", "smtp", "command"];
/// What a way takes besides itself.
const EXTRAS: [(&str, &[&str]); 5] = [
    ("ntfy", &["token", "priority"]),
    ("webhook", &["secret", "token"]),
    ("healthchecks", &[]),
    ("smtp", &["password", "to", "from"]),
    ("command", &[]),
];
/// Values that grant access. Each can come from a file or from a program instead.
const SECRETS: [&str; 6] = ["ntfy", "webhook", "healthchecks", "token", "secret", "password"];
/// Those that never stand in the file itself.
const NEVER_WRITTEN: [&str; 3] = ["token", "secret", "password"];
const KEYS: [&str; 24] = [
    "on",
    "detail",
    "ntfy",
    "ntfy_file",
    "ntfy_command",
    "webhook",
    "webhook_file",
    "webhook_command",
    "healthchecks",
    "healthchecks_file",
    "healthchecks_command",
    "smtp",
    "command",
    "token",
    "token_file",
    "token_command",
    "secret",
    "secret_file",
    "secret_command",
    "password",
    "password_file",
    "password_command",
    "to",
    "from",
];

impl FileReceiver {
    fn has(&self, key: &str) -> bool {
        self.texts.contains_key(key) || self.lists.contains_key(key)
    }

    /// Returns the key that a value is set by, if it is: itself, its file, or its program.
    fn source_of(&self, key: &str) -> Option<String> {
        let forms = [key.to_owned(), format!("{key}_file"), format!("{key}_command")];
        let forms = if SECRETS.contains(&key) { &forms[..] } else { &forms[..1] };
        forms.iter().find(|form| self.has(form)).cloned()
    }
}

impl Reader {
    pub(super) fn notify(&mut self, value: &Spanned<DeValue<'_>>) {
        let mut names = std::collections::HashMap::new();
        for (name, value) in in_order(self.entries(value, "notify")) {
            let text: &str = name.get_ref();
            if text == "on" {
                match events(value) {
                    Ok(on) => self.layer.notify_on = Some(on),
                    Err(message) => self.problem(value.span(), "notify.on".into(), message),
                }
                continue;
            }
            if !matches!(value.get_ref(), DeValue::Table(_)) {
                let message = format!("must be a table with a receiver, not {}", kind(value.get_ref()));
                self.problem(name.span(), format!("notify.{}", shown(text)), message);
                continue;
            }
            let Some(receiver) = self.name(name, "notify", &mut names) else { continue };
            self.receiver(receiver, name, value);
        }
    }

    fn receiver(&mut self, name: Name, span: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let key = format!("notify.{name}");
        let mut read = FileReceiver {
            name,
            line: self.line(span.span()),
            on: None,
            detail: Detail::Full,
            priority: None,
            texts: BTreeMap::new(),
            lists: BTreeMap::new(),
        };
        let mut is_sound = true;
        for (inner, value) in in_order(self.entries(value, &key)) {
            let line = self.line(inner.span());
            if let Err(message) = read.take(inner.get_ref(), value, line) {
                is_sound = false;
                self.problem(value.span(), format!("{key}.{}", shown(inner.get_ref())), message);
            }
        }
        match read.fits() {
            Ok(()) if is_sound => self.layer.receivers.push(read),
            Err((inner, message)) if is_sound => {
                let line_of = |key: &str| {
                    let text = read.texts.get(key).map(|(_, line)| *line);
                    text.or_else(|| read.lists.get(key).map(|(_, line)| *line))
                };
                let line = inner.as_deref().and_then(line_of).unwrap_or(read.line);
                let key = inner.map_or_else(|| key.clone(), |inner| format!("{key}.{inner}"));
                self.problem_at(line, key, message);
            }
            _ => {}
        }
    }
}

impl FileReceiver {
    /// Takes one key.
    fn take(&mut self, key: &str, value: &Spanned<DeValue<'_>>, line: usize) -> Result<(), String> {
        match key {
            "on" => self.on = Some(events(value)?),
            "detail" => {
                self.detail = match value.get_ref() {
                    DeValue::String(text) if text == "full" => Detail::Full,
                    DeValue::String(text) if text == "short" => Detail::Short,
                    other => return Err(not("\"full\" or \"short\"", &scalar(other)?)),
                }
            }
            "priority" => {
                let number = scalar(value.get_ref())?;
                self.priority = Some(super::value::number(&number, 1, 5)?);
            }
            "to" => {
                let to = texts(value)?;
                if to.is_empty() || !to.iter().all(|address| is_address(address)) {
                    return Err("must be a mail address or a list of them".into());
                }
                self.lists.insert(key.into(), (to, line));
            }
            "command" => drop(self.lists.insert(key.into(), (program(value)?, line))),
            _ if key.strip_suffix("_command").is_some_and(|of| SECRETS.contains(&of)) => {
                self.lists.insert(key.into(), (program(value)?, line));
            }
            _ if KEYS.contains(&key) => {
                let DeValue::String(text) = value.get_ref() else {
                    return Err(format!("must be a string, not {}", kind(value.get_ref())));
                };
                check_text(key, text)?;
                self.texts.insert(key.into(), (text.to_string(), line));
            }
            _ => {
                let known = KEYS.into_iter().chain(["priority"]);
                return Err(unknown("is not a setting of a receiver", key, known, |_| false));
            }
        }
        Ok(())
    }

    /// Checks that there is exactly one way, and nothing that belongs to another. Returns the key that does not fit.
    fn fits(&self) -> Result<(), (Option<String>, String)> {
        let ways: Vec<&str> = WAYS.into_iter().filter(|way| self.source_of(way).is_some()).collect();
        let way = match ways[..] {
            [way] => way,
            [] => return Err((None, format!("names no way to send: set one of {}", WAYS.join(", ")))),
            [first, second, ..] => {
                let message = format!("is a second way to send beside {first}: use a receiver of its own for each");
                return Err((self.source_of(second), message));
            }
        };
        let extras = EXTRAS.iter().find(|(of, _)| *of == way).map_or(&[][..], |(_, extras)| extras);
        for key in ["token", "secret", "password", "to", "from"] {
            if let Some(found) = self.source_of(key).filter(|_| !extras.contains(&key)) {
                return Err((Some(found), format!("does not belong to {way}")));
            }
        }
        if self.priority.is_some() && way != "ntfy" {
            return Err((None, format!("priority does not belong to {way}")));
        }
        for key in SECRETS {
            let forms = [key.to_owned(), format!("{key}_file"), format!("{key}_command")];
            let set: Vec<&String> = forms.iter().filter(|form| self.has(form)).collect();
            if let [first, second, ..] = set[..] {
                return Err((Some(second.clone()), format!("is set by {first}, too: keep one of them")));
            }
        }
        if way == "smtp" && !self.has("to") {
            return Err((None, "names no recipient: set to".into()));
        }
        Ok(())
    }
}

/// Checks the text of a key as far as it can be without its variables. The message quotes nothing of it.
fn check_text(key: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".into());
    }
    let is_variable = text.starts_with('$') && !text.starts_with("$$");
    if NEVER_WRITTEN.contains(&key) && !is_variable {
        return Err(format!("must not stand in this file: name its file with {key}_file, or write $NAME"));
    }
    if key == "from" && !is_address(text) {
        return Err("must be a mail address".into());
    }
    expand(text, |_| Some("x".into())).map(|_| ())
}

/// A rough check: the mail program has the last word.
fn is_address(text: &str) -> bool {
    let address = text.rsplit_once('<').map_or(text, |(_, address)| address.trim_end_matches('>'));
    let has_both = address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    has_both && !text.chars().any(char::is_control) && !address.contains(char::is_whitespace)
}

fn texts(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(format!("must be a string or a list of strings, not {}", kind(other))),
    };
    match value.get_ref() {
        DeValue::Array(array) => array.iter().map(text).collect(),
        _ => Ok(vec![text(value)?]),
    }
}

/// Reads a program and its arguments. There is no shell.
fn program(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let wrong = "must be a list: the program and its arguments, as in [\"/usr/local/bin/alert\"]";
    let DeValue::Array(_) = value.get_ref() else { return Err(wrong.into()) };
    let words = texts(value).map_err(|_| wrong.to_owned())?;
    let is_sound = words.first().is_some_and(|program| !program.is_empty());
    if is_sound && !words.iter().any(|word| word.contains('\0')) { Ok(words) } else { Err(wrong.into()) }
}

fn events(value: &Spanned<DeValue<'_>>) -> Result<Vec<Event>, String> {
    let words = texts(value)?;
    let event = |word: &String| {
        Event::named(word).ok_or_else(|| {
            let known = Event::ALL.map(Event::as_str);
            let known: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
            not(&format!("of {}", known.join(", ")), &Value::Text(word.clone()))
        })
    };
    words.iter().map(event).collect()
}

impl Layers<'_> {
    /// Takes a receiver of the file over, with its variables expanded.
    pub(super) fn receiver(&self, read: &FileReceiver) -> Result<(Receiver, Origin), Problem> {
        let Some(file) = self.file else { unreachable!("a receiver comes from a file") };
        let problem = |key: Option<&str>, message: String| {
            let line = key.and_then(|key| read.texts.get(key)).map_or(read.line, |(_, line)| *line);
            let key = key.map(|key| format!(".{key}")).unwrap_or_default();
            Problem {
                place: Some(file.origin(line, Vec::new()).into()),
                key: format!("notify.{}{key}", read.name),
                message,
                remedy: None,
            }
        };
        let mut used = Vec::new();
        let mut text = |key: &str| -> Result<Option<String>, Problem> {
            let Some((text, _)) = read.texts.get(key) else { return Ok(None) };
            match expand(text, |name| self.lookup(name)).map_err(|message| problem(Some(key), message))? {
                Expanded::Path(path, variables) => {
                    used.extend(variables);
                    path.into_os_string().into_string().map(Some).map_err(|_| problem(Some(key), "is not UTF-8".into()))
                }
                Expanded::Unset(variable) => Err(Problem {
                    remedy: Some(format!("set {variable}").into()),
                    ..problem(Some(key), format!("the variable {variable} is not set"))
                }),
            }
        };
        let mut secret = |key: &str| -> Result<Option<Secret>, Problem> {
            if let Some(value) = text(key)? {
                return Ok(Some(Secret::Value(Hidden::new(value))));
            }
            if let Some(path) = text(&format!("{key}_file"))? {
                return Ok(Some(Secret::File(file.folder().join(path))));
            }
            Ok(read.lists.get(&format!("{key}_command")).map(|(words, _)| Secret::Command(words.clone())))
        };
        let (token, signing, password) = (secret("token")?, secret("secret")?, secret("password")?);
        let address = |key: &str, url: Secret, secured: bool| match &url {
            Secret::Value(text) => {
                check_address(text.reveal(), secured).map_err(|message| problem(Some(key), message)).map(|()| url)
            }
            _ => Ok(url),
        };
        let way = if let Some(url) = secret("ntfy")? {
            Way::Ntfy { url: address("ntfy", url, token.is_some())?, token, priority: read.priority }
        } else if let Some(url) = secret("webhook")? {
            Way::Webhook { url: address("webhook", url, token.is_some())?, secret: signing, token }
        } else if let Some(url) = secret("healthchecks")? {
            Way::Healthchecks { url: address("healthchecks", url, false)? }
        } else if let Some(server) = text("smtp")? {
            let server = MailServer::parse(&server).map_err(|message| problem(Some("smtp"), message))?;
            if password.is_some() != server.user.is_some() {
                let lacking = if password.is_some() { "a user in smtp" } else { "a password: set password_file" };
                return Err(problem(Some("smtp"), format!("lacks {lacking}")));
            }
            let user = server.user.clone().filter(|user| is_address(user));
            let from = text("from")?.or(user).ok_or_else(|| problem(None, "names no sender: set from".into()))?;
            let to = read.lists.get("to").map(|(to, _)| to.clone()).unwrap_or_default();
            Way::Mail { server, password, from, to }
        } else {
            Way::Command(read.lists.get("command").map(|(words, _)| words.clone()).unwrap_or_default())
        };
        if !cfg!(feature = "remote") && !matches!(way, Way::Command(_)) {
            let message = "this heirloom was built without remote stores and without TLS";
            let remedy = Some("use command, or an heirloom with the feature remote".into());
            return Err(Problem { remedy, ..problem(Some(way.key()), message.into()) });
        }
        let on = read.on.as_ref().or(file.notify_on.as_ref()).cloned().unwrap_or_else(|| Event::USUAL.to_vec());
        let receiver = Receiver { name: read.name.clone(), on, detail: read.detail, way };
        Ok((receiver, file.origin(read.line, used)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::FileLayer;

    fn problems(text: &str) -> String {
        let (_, problems) = FileLayer::parse(Path::new("h.toml"), text);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_mistake_in_a_receiver_is_named_with_its_line() {
        for (text, found) in [
            ("[notify]\non = ['failed']", "h.toml:2: notify.on: must be of \"failure\""),
            ("[notify.a]\ndetail = 'full'", "h.toml:1: notify.a: names no way to send"),
            ("[notify.a]\nntfy = 'https://h/t'\ncommand = ['x']", "h.toml:3: notify.a.command: is a second way"),
            ("[notify.a]\nwebhook = 'https://h/t'\nwebhook_file = 'x'", "h.toml:3: notify.a.webhook_file: is set by"),
            ("[notify.a]\nntfy = 'https://h/t'\ntoken = 'hunter2'", "h.toml:3: notify.a.token: must not stand in this"),
            ("[notify.a]\nntfy = 'https://h/t'\nsecret_file = 'x'", "h.toml:3: notify.a.secret_file: does not belong"),
            ("[notify.a]\nntfy = 'https://h/t'\npriority = 9", "notify.a.priority: must be a whole number from 1 to 5"),
            ("[notify.a]\nhealthcheck = 'https://h/t'", "did you mean \"healthchecks\"?"),
            ("[notify.a]\ncommand = 'alert hunter2'", "h.toml:2: notify.a.command: must be a list"),
            ("[notify.a]\nsmtp = 'smtps://u@h'\nfrom = 'a@b'", "h.toml:1: notify.a: names no recipient"),
            ("[notify.a]\nsmtp = 'smtps://u@h'\nto = 'nobody'", "h.toml:3: notify.a.to: must be a mail address"),
            ("[notify]\nphone = 'https://h/t'", "h.toml:2: notify.phone: must be a table with a receiver"),
            ("[notify.a]\ncommand = ['x']\n[notify.A]\ncommand = ['x']", "only in upper and lower case"),
        ] {
            let all = problems(text);
            assert!(all.contains(found) && !all.contains("hunter2"), "{text}: {all}");
        }
    }
}
