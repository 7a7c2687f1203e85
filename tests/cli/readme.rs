//! The commands that the documentation prints are commands that the program takes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use heirloom::cli::Cli;

/// Returns the commands in the code blocks of a page, comments cut off, joined with `&&` taken apart.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```").skip(1).step_by(2);
    // `docker … heirloom` names an image.
    let lines = blocks.flat_map(str::lines).filter(|line| line.contains("heirloom ") && !line.starts_with("docker "));
    lines
        .flat_map(|line| line.split(" && "))
        .filter_map(|part| part.find("heirloom ").filter(|at| *at == 0 || part[..*at].ends_with([' ', '$'])).map(|at| &part[at..]))
        .map(|command| command.split(" # ").next().unwrap().split(" | ").next().unwrap().split(" > ").next().unwrap().trim().to_owned())
        .collect()
}

/// Splits a command into words; quotes are all that the documentation uses.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for char in command.chars() {
        match (char, quote) {
            (' ', None) => words.push(String::new()),
            ('\'' | '"', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            (char, _) => words.last_mut().unwrap().push(char),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[track_caller]
fn all_are_taken(commands: &[String], source: &str) {
    for command in commands {
        if let Err(error) = Cli::command().try_get_matches_from(words(command)) {
            assert!(!error.use_stderr(), "{source}: {command}\n{error}");
        }
    }
}

#[test]
fn every_command_of_the_readme_is_taken() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let commands = commands(&page);
    assert!(commands.len() > 12, "{commands:?}");
    all_are_taken(&commands, "README.md");
}

#[test]
fn every_example_of_the_help_is_taken() {
    let mut count = 0;
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        // What stands behind two blanks explains the command.
        let lines = help.lines().filter_map(|line| line.strip_prefix("  ").filter(|line| line.starts_with("heirloom ")));
        let examples: Vec<String> = lines
            .map(|line| line.split("  ").next().unwrap().split(" | ").next().unwrap().split(" > ").next().unwrap().to_owned())
            .collect();
        count += examples.len();
        all_are_taken(&examples, command.get_name());
    }
    assert!(count > 20, "only {count} examples were found");
}

#[test]
fn a_command_that_is_not_taken_is_seen() {
    let planted = commands("text\n```sh\nheirloom restore --no-such-flag\n```\n");
    assert_eq!(planted, ["heirloom restore --no-such-flag"]);
    assert!(Cli::command().try_get_matches_from(words(&planted[0])).is_err());
}
