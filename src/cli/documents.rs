//! Several documents from one process, for a view of the admin server: configuration and stores are read once, and of
//! long lists only what the view shows is printed.
//!
//! `heirloom __documents '[{"words": ["list"], "fields": ["archive"]}]' OPTIONS` is no command for people: neither help
//! nor completions know it. It runs only commands that change nothing, each as if it were called alone with the same
//! options, and prints one document with the exit code, the document and the error of each. Warnings go to stderr.

use std::ffi::OsString;

use serde_json::Value;

use super::invocation::Invocation;
use super::{Command, Context, Outcome, Ui, dispatch, exit, notices, parse};
use crate::serving::{DOCUMENTS, Documents, Got, Wanted};
use crate::shelf::Shelf;

/// The lists of archives in documents.
const LISTS: [&str; 3] = ["archives", "keep", "remove"];

/// Prints the documents that a command line asks for, and returns the exit code; `None` if it asks for none.
pub(super) fn print(words: &[OsString]) -> Option<u8> {
    let [own, first, wanted, options @ ..] = words else { return None };
    if first != DOCUMENTS {
        return None;
    }
    let wanted: Vec<Wanted> = match serde_json::from_str(&wanted.to_string_lossy()) {
        Ok(wanted) => wanted,
        Err(error) => return Some(refused(&format!("cannot read which documents are wanted: {error}"))),
    };
    let mut commands = Vec::new();
    for wanted in &wanted {
        let line: Vec<OsString> =
            [own.clone()].into_iter().chain(wanted.words.iter().map(Into::into)).chain(options.to_vec()).collect();
        match parse(&line) {
            Ok((cli, typed)) if is_read_only(&cli.command) => commands.push((cli, typed, wanted)),
            Ok(_) => return Some(refused("only commands that change nothing print several documents")),
            Err(error) => return Some(exit::usage(&error)),
        }
    }
    let Some((cli, typed, _)) = commands.first() else { return Some(refused("no document is wanted")) };
    let mut context = match Context::new(&cli.global, typed) {
        Ok(context) => context,
        Err(error) => return Some(exit::report(&error, typed, &mut Ui::new(&cli.global))),
    };
    context.serve_a_view();
    // After a signal the rest is interrupted, and what was made before is printed.
    let documents = commands.iter().map(|(cli, typed, wanted)| {
        let mut got = one(&cli.command, typed, &mut context);
        if let Some(document) = &mut got.document {
            got.shelf = wanted.part.as_ref().map(|part| Shelf::cut(document, part));
            if let Some(fields) = &wanted.fields {
                keep(document, fields);
            }
        }
        got
    });
    match serde_json::to_string(&Documents { documents: documents.collect() }) {
        Ok(text) => context.ui.result(text),
        Err(error) => return Some(refused(&format!("cannot print the documents: {error}"))),
    }
    let code = exit::finish(Ok(Outcome::Done), typed, &mut context.ui);
    notices::send(&mut context);
    Some(code)
}

fn refused(why: &str) -> u8 {
    exit::plain(why);
    2
}

/// Returns whether it neither changes a store nor what this host remembers of one: all of them share one listing.
fn is_read_only(command: &Command) -> bool {
    match command {
        Command::Status(_) | Command::Health(_) | Command::List(_) | Command::Show(_) | Command::Schedule(_) => true,
        Command::Rotate(args) => args.is_read_only(),
        _ => false,
    }
}

fn one(command: &Command, typed: &Invocation, context: &mut Context) -> Got {
    context.typed = typed.clone();
    context.ui.collect_documents();
    let result = dispatch(command, None, context);
    let document = context.ui.take_documents().pop();
    let (code, error) = exit::judged(result, typed, &context.ui);
    Got { code, document, error: error.and_then(|error| serde_json::to_value(error).ok()), shelf: None }
}

/// Keeps only these fields of the archives in lists.
fn keep(value: &mut Value, fields: &[String]) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                match value {
                    Value::Array(archives) if LISTS.contains(&name.as_str()) => {
                        for archive in archives.iter_mut().filter_map(Value::as_object_mut) {
                            archive.retain(|name, _| fields.contains(name));
                        }
                    }
                    value => keep(value, fields),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|value| keep(value, fields)),
        _ => {}
    }
}
