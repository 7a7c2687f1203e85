//! Every code block of the README is run, in order and in one world, as a reader would; examples elsewhere are parsed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use heirloom::cli::Cli;

use crate::terminal::run_at;
use crate::tools::installed;
use crate::world::World;

/// Blocks that are not run: how they start, and why.
const NOT_RUN: [(&str, &str); 3] = [
    ("scripts/demo.sh", "builds a release"),
    ("scripts/check.sh", "runs this test"),
    ("cargo install", "builds a release"),
];

/// A code block: its language, and its text.
struct Block {
    language: String,
    text: String,
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

fn blocks(page: &str) -> Vec<Block> {
    let fenced = page.split("```").skip(1).step_by(2);
    let parts = fenced.map(|block| block.split_once('\n').unwrap());
    parts.map(|(language, text)| Block { language: language.into(), text: text.into() }).collect()
}

/// Makes the scripts of a block: one for each prompt or line of a crontab, or the block as it stands.
fn scripts(block: &Block) -> Vec<String> {
    match block.language.as_str() {
        "console" => block.text.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect(),
        "crontab" => {
            block.text.lines().map(|line| line.split_whitespace().skip(5).collect::<Vec<_>>().join(" ")).collect()
        }
        "sh" => vec![block.text.clone()],
        "toml" => {
            vec![format!("cat > readme.toml <<'END'\n{}END\nheirloom --config readme.toml config show", block.text)]
        }
        other => panic!("a block in {other:?}; this test knows sh, console, crontab and toml"),
    }
}

/// The databases that the README names, one of them in the environment as for cron, and a `docker` and a `server` that
/// do nothing.
fn world() -> World {
    let mut world = World::new();
    world.env("DATABASE_PATH", "app.db");
    for name in ["app.db", "users.db", "orders.db"] {
        world.database(name);
    }
    fs::create_dir(world.path("bin")).unwrap();
    for program in ["bin/docker", "server"] {
        fs::write(world.path(program), "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(world.path(program), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    world
}

/// Runs the blocks an hour apart, the first at the time of the archives that the README names. `Err` says which failed.
fn run(world: &mut World, blocks: &[Block]) -> Result<usize, String> {
    let mut count = 0;
    let is_run = |block: &&Block| !NOT_RUN.iter().any(|(start, _)| block.text.starts_with(start));
    for (hour, block) in (3..).zip(blocks.iter().filter(is_run)) {
        world.at(&format!("2026-03-01T{hour:02}:00:00Z"));
        // "Restoring without heirloom" starts beside an archive.
        for archive in world.archives() {
            let _ = fs::hard_link(world.path("backups").join(&archive), world.path(archive));
        }
        for script in scripts(block) {
            let script = script.replace("http://localhost:8080/health", &crate::guard::server(&["200 OK"]));
            let screen = run_at(80, &mut world.shell(&format!("PATH=$PWD/bin:$PATH\n{script}")), "y\n");
            if screen.code != 0 {
                return Err(format!("{script}\nends with {}:\n{}", screen.code, screen.text));
            }
            count += 1;
        }
    }
    Ok(count)
}

#[test]
fn every_block_of_the_readme_runs() {
    if !installed("the commands of the README run", &["sqlite3", "tar"]) {
        return;
    }
    let blocks = blocks(&readme());
    for (start, why) in NOT_RUN {
        let count = blocks.iter().filter(|block| block.text.starts_with(start)).count();
        assert_eq!(count, 1, "{start} ({why}) is not in the README any more");
    }
    let count = run(&mut world(), &blocks).unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!(count, 16, "the commands of the README that are run");
}

#[test]
fn a_command_of_the_readme_that_fails_is_seen() {
    let failing = |page: &str| run(&mut world(), &blocks(page)).unwrap_err();
    assert!(failing("```console\n$ heirloom restore latest\n```").contains("ends with 16"));
    assert!(failing("```sh\nheirloom backup app.db\nheirloom restore --no-such-flag\n```").contains("ends with 2"));
    assert!(failing("```crontab\n0 3 * * *  heirloom rotate && false\n```").contains("ends with 1"));
    assert!(failing("```toml\n[retention]\ndaly = 7\n```").contains("ends with 2"));
}

/// Returns the commands in the text of a page, without its blocks: `heirloom …` between backquotes.
fn spans(page: &str) -> Vec<String> {
    let text: String = page.split("```").step_by(2).collect();
    let spans = text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("heirloom ") && !span.contains("…"));
    spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
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
fn every_command_in_the_text_of_the_readme_is_taken() {
    let commands = spans(&readme());
    assert!(commands.len() > 3, "{commands:?}");
    all_are_taken(&commands, "README.md");
}

#[test]
fn every_example_of_the_help_is_taken() {
    let mut count = 0;
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        // What stands behind two blanks explains the command.
        let lines =
            help.lines().filter_map(|line| line.strip_prefix("  ").filter(|line| line.starts_with("heirloom ")));
        let examples: Vec<String> = lines
            .map(|line| {
                line.split("  ").next().unwrap().split(" | ").next().unwrap().split(" > ").next().unwrap().to_owned()
            })
            .collect();
        count += examples.len();
        all_are_taken(&examples, command.get_name());
    }
    assert!(count > 20, "only {count} examples were found");
}
