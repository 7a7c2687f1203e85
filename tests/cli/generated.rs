//! The pages in `man/` and the scripts in `completions/` are what this build would render. To accept a change: `BLESS=1
//! cargo test --test cli generated`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use clap::{Command, CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;
use clap_mangen::roff::{Roff, bold, roman};
use heirloom::cli::{Cli, completion_script};

/// Pages that people write by hand; other tests hold them.
const BY_HAND: [&str; 5] =
    ["heirloom-archive.5", "heirloom-encryption.7", "heirloom-operations.7", "heirloom-stores.7", "heirloom.toml.5"];

/// What every page says about its surroundings.
const ENVIRONMENT: [(&str, &str); 10] = [
    ("HEIRLOOM_CONFIG", "The configuration file, as --config."),
    ("HEIRLOOM_DIR, BACKUP_DIR", "The store, as --dir; stronger than the configuration file."),
    ("HEIRLOOM_IDENTITY_FILE", "A file with secret keys, as --identity."),
    ("DATABASE_PATH, DATABASE_URL", "The database, where none is named: a path, or a URL as sqlite:///app.db."),
    ("MAX_DATABASE_BACKUPS", "The default of cleanup --keep."),
    ("COMPRESS_BACKUPS", "Whether archives are compressed: true or false."),
    (
        "AUTO_BACKUP_ENABLED, AUTO_BACKUP_INTERVAL_HOURS, BACKUP_ON_STARTUP",
        "The schedule of heirloom run; see heirloom.toml(5).",
    ),
    ("NO_COLOR", "No colours."),
    ("TZ", "The time zone of retention periods, where none is configured."),
    ("HEIRLOOM_NOW", "The time to take for now (RFC 3339), for rehearsals and tests."),
];

const FILES: [(&str, &str); 4] = [
    (
        "./heirloom.toml, ~/.config/heirloom/heirloom.toml, /etc/heirloom/heirloom.toml",
        "The configuration; the first that exists. See heirloom.toml(5).",
    ),
    ("./backups", "The store, where none is named."),
    ("STORE/.heirloom/", "Scratch, lock and activity log of a store. Nothing in it is needed to restore."),
    ("ARCHIVE.keep, ARCHIVE.damaged, ARCHIVE.sha256", "Files beside an archive. See heirloom-archive(5)."),
];

fn page(command: &Command, name: &str, siblings: &[String]) -> Vec<u8> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    // clap wants names that live as long as the program; a test may leak them.
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let command = command.clone().after_help("").after_long_help("").name(name).bin_name(name.replacen('-', " ", 1));
    let man = clap_mangen::Man::new(command)
        .title(name.to_uppercase())
        .date("")
        .source(format!("heirloom {}", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    if name == "heirloom" {
        man.render_subcommands_section(&mut page).unwrap();
    }

    let mut roff = Roff::new();
    for (title, lines) in sections(&help) {
        roff.control("SH", [title.as_str()]);
        roff.control("EX", []);
        for line in lines {
            roff.text([roman(line)]);
        }
        roff.control("EE", []);
    }
    for (title, entries) in [("ENVIRONMENT", &ENVIRONMENT[..]), ("FILES", &FILES[..])] {
        roff.control("SH", [title]);
        for (term, meaning) in entries {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(
        siblings
            .iter()
            .filter(|other| *other != name)
            .map(|other| format!("{other}(1)"))
            .chain(["heirloom.toml(5)".into(), "heirloom-archive(5)".into()])
            .collect::<Vec<_>>()
            .join(", "),
    )]);
    roff.to_writer(&mut page).unwrap();
    page
}

/// Cuts the text behind the options into its parts: "Examples:", "Exit codes:" and "Security:" open one each,
/// everything else is notes.
fn sections(help: &str) -> Vec<(String, Vec<&str>)> {
    let mut sections: Vec<(String, Vec<&str>)> = Vec::new();
    for paragraph in help.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let (title, rest) = match paragraph.split_once(':') {
            Some(("Example" | "Examples", rest)) => ("EXAMPLES", rest),
            Some(("Exit codes", rest)) => ("EXIT STATUS", rest),
            Some(("Security", rest)) => ("SECURITY", rest),
            _ => ("NOTES", paragraph),
        };
        sections.push((title.into(), rest.trim_start_matches('\n').lines().map(str::trim_end).collect()));
    }
    sections
}

fn man_pages() -> BTreeMap<String, Vec<u8>> {
    let mut root = Cli::command();
    root.build();
    let visible: Vec<&Command> = root.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let name = |command: &Command| format!("heirloom-{}", command.get_name());
    let names: Vec<String> =
        std::iter::once("heirloom".to_owned()).chain(visible.iter().map(|command| name(command))).collect();
    let mut pages = BTreeMap::from([("heirloom.1".to_owned(), page(&root, "heirloom", &names))]);
    for command in visible {
        pages.insert(format!("{}.1", name(command)), page(command, &name(command), &["heirloom".to_owned()]));
    }
    pages
}

fn completions() -> BTreeMap<String, Vec<u8>> {
    let file = |shell: &Shell| match shell {
        Shell::Zsh => "_heirloom".to_owned(),
        Shell::PowerShell => "_heirloom.ps1".to_owned(),
        Shell::Fish => "heirloom.fish".to_owned(),
        Shell::Elvish => "heirloom.elv".to_owned(),
        _ => "heirloom.bash".to_owned(),
    };
    Shell::value_variants().iter().map(|shell| (file(shell), completion_script(*shell))).collect()
}

#[track_caller]
fn compare(folder: &str, rendered: BTreeMap<String, Vec<u8>>, by_hand: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    // The pictures of the README are in a folder of their own.
    let files = || {
        let all = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = all.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.retain(|name| !by_hand.contains(&name.as_str()));
        names
    };
    if env::var_os("BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        files().iter().for_each(|name| fs::remove_file(folder.join(name)).unwrap());
        rendered.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
    }
    let mut found = files();
    found.sort();
    let expected: Vec<&String> = rendered.keys().collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "the set of files is stale; run with BLESS=1");
    for (name, bytes) in &rendered {
        assert!(fs::read(folder.join(name)).unwrap() == *bytes, "{name} is stale; run with BLESS=1");
    }
}

#[test]
fn man_pages_match_the_command_line() {
    compare("man", man_pages(), &BY_HAND);
}

#[test]
fn completions_match_the_command_line() {
    compare("completions", completions(), &[]);
}

/// All scripts but that for bash offer hidden options.
#[test]
fn no_option_is_hidden_from_help_and_offered_by_completions() {
    let mut root = Cli::command();
    root.build();
    for command in std::iter::once(&root).chain(root.get_subcommands()) {
        let hidden: Vec<&str> =
            command.get_arguments().filter(|arg| arg.is_hide_set()).map(|arg| arg.get_id().as_str()).collect();
        assert_eq!(hidden, [""; 0], "{}: add it where the command line is parsed", command.get_name());
    }
}

#[test]
fn every_command_has_an_example_and_its_exit_codes() {
    let root = Cli::command();
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example") && help.contains("Exit codes"), "{}: {help}", command.get_name());
        assert!(command.get_about().is_some_and(|about| !about.to_string().ends_with('.')), "{}", command.get_name());
    }
}
