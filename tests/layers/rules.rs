//! The layers, and what each may use.

use std::collections::BTreeSet;

use crate::tree::{Named, Tree, module};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Pure,
    Platform,
    Adapters,
    Operations,
    Faces,
}

/// A module that is not listed here is pure, the strictest layer.
fn layer(module: &str) -> Layer {
    match module {
        "net" | "platform" => Layer::Platform,
        "archive" | "database" | "notify" | "store" | "workspace" => Layer::Adapters,
        "ops" => Layer::Operations,
        "cli" | "main" | "server" | "supervisor" => Layer::Faces,
        _ => Layer::Pure,
    }
}

/// External crates and modules, and the top modules that may name them.
const CONFINED: [(&str, &[&str]); 25] = [
    ("age", &["archive"]),
    ("age_core", &["archive"]),
    ("axum", &["server"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("croner", &["schedule"]),
    ("flate2", &["archive"]),
    ("hmac", &["notify"]),
    ("hyper", &["server"]),
    ("hyper_util", &["server"]),
    ("indicatif", &["cli"]),
    ("lettre", &["notify"]),
    ("libdeflater", &["archive"]),
    ("maud", &["server"]),
    ("opendal", &["store"]),
    ("reqwest", &["net", "notify", "store"]),
    ("rusqlite", &["database", "workspace"]),
    ("rustix", &["platform"]),
    ("rustls", &["net"]),
    ("signal_hook", &["platform"]),
    ("std::os", &["platform"]),
    ("tar", &["archive"]),
    ("textwrap", &["cli"]),
    ("tokio", &["net", "server", "store"]),
    ("zstd", &["archive"]),
];

/// Reserved for the faces: printing, the clock, the environment.
const OF_THE_FACES: [&str; 11] = [
    "std::env",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::process::exit",
    "Utc::now",
    "Local::now",
    "SystemTime::now",
    "chrono::Utc::now",
    "chrono::Local::now",
    "std::time::SystemTime::now",
];

/// Forbidden in pure modules: files, processes, networks.
const NOT_PURE: [&str; 3] = ["std::fs", "std::net", "std::process"];

/// What adapters may use of another adapter: archives are read from stores.
const SHARED: [(&str, &str, &str); 1] = [("archive", "store", "ReadAt")];

/// Every breach of a rule, as `file: what it does`.
pub fn breaches(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (file, source) in &tree.sources {
        let path = module(file);
        let Some(top) = path.first().map(String::as_str).filter(|_| file != "lib.rs") else { continue };
        let mut breach = |what: String| {
            found.insert(format!("{file}: {what}"));
        };
        for named in tree.named(file) {
            match named {
                Named::Here { module, item } => {
                    if let Some(what) = between_modules(top, &module, &item) {
                        breach(what);
                    }
                }
                Named::Elsewhere(path) => outside(top, &path).into_iter().for_each(&mut breach),
            }
        }
        if let Some(way) = source.moves_modules() {
            breach(format!("uses {way}, which this test does not follow"));
        }
        if layer(top) < Layer::Faces {
            for name in ["print", "println", "eprint", "eprintln", "dbg"] {
                if source.macros.contains(name) {
                    breach(format!("uses {name}!, which belongs to the faces"));
                }
            }
        }
        if layer(top) < Layer::Faces {
            // The remedy for an error is a value there, and each face words it.
            let flags = source.texts.iter().flat_map(|text| flags(text));
            flags.for_each(|flag| breach(format!("names the flag {flag}, which belongs to the faces")));
        }
        if top != "platform" && source.texts.iter().any(|text| text.starts_with("\"/proc")) {
            breach("names /proc, which belongs to platform/".into());
        }
    }
    for (folder, names) in tree.circles() {
        // One line per name: a circle that loses a member is not a new one.
        found.extend(names.iter().map(|name| format!("{folder}/: {name} is in a circle")));
    }
    found
}

/// Returns the flags of command lines in a text literal: `--force`.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    let starts = text
        .match_indices("--")
        .filter(|(at, _)| !text[..*at].ends_with(|char: char| char.is_alphanumeric() || char == '-'));
    let flag = move |(at, _)| {
        let rest = &text[at + 2..];
        let end = rest.find(|char: char| !char.is_ascii_lowercase() && char != '-').unwrap_or(rest.len());
        (end > 1 && !rest.starts_with('-')).then(|| &text[at..at + 2 + end])
    };
    starts.filter_map(flag)
}

fn between_modules(top: &str, used: &[String], item: &[String]) -> Option<String> {
    let whole =
        || ["crate"].into_iter().chain(used.iter().chain(item).map(String::as_str)).collect::<Vec<_>>().join("::");
    let Some(other) = used.first() else {
        return match item.first().map(String::as_str) {
            None => Some("uses the root of the crate under another name".into()),
            Some("*") => Some("uses crate::*".into()),
            Some(_) => None,
        };
    };
    if other == top {
        return None;
    }
    let (mine, theirs) = (layer(top), layer(other));
    let may_share = SHARED
        .iter()
        .any(|(user, used, shared)| *user == top && used == other && item.first().is_some_and(|item| item == shared));
    if theirs > mine {
        Some(format!("uses {}, which is above it", whole()))
    } else if mine == theirs && mine == Layer::Adapters && !may_share {
        Some(format!("uses {}, an adapter beside it", whole()))
    } else if mine == theirs && mine == Layer::Faces && top != "main" {
        Some(format!("uses {}, another face", whole()))
    } else {
        None
    }
}

fn outside(top: &str, path: &[String]) -> Vec<String> {
    let name = path.join("::");
    let within = |prefix: &str| name == prefix || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("::"));
    let mut found = Vec::new();
    for (outside, allowed) in CONFINED {
        if within(outside) && !allowed.contains(&top) {
            found.push(format!("names {outside}"));
        }
    }
    if layer(top) < Layer::Faces && OF_THE_FACES.iter().any(|prefix| within(prefix)) {
        found.push(format!("names {name}, which belongs to the faces"));
    }
    if layer(top) == Layer::Pure {
        found.extend(
            NOT_PURE.iter().filter(|prefix| within(prefix)).map(|prefix| format!("names {prefix}, but is pure")),
        );
    }
    found
}
