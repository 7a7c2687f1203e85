//! A terminal of a given width around a command: what a person sees there, without colours.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// What a command left on the terminal.
pub struct Screen {
    /// The exit code; 128+N if a signal ended it.
    pub code: i32,
    /// Standard output and standard error in the order in which they were written, without escape sequences.
    pub text: String,
}

impl Screen {
    /// The longest line, in characters.
    pub fn width(&self) -> usize {
        self.text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }
}

/// Runs a command at a terminal of this many columns. `typed` answers its prompts.
pub fn run_at(columns: u16, command: &mut Command, typed: &str) -> Screen {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = open(ptsname(&master, Vec::new()).unwrap(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    let slave = File::from(slave.unwrap());
    tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    // What is typed is not shown: it would stand before the prompt that it answers.
    let mut modes = tcgetattr(&slave).unwrap();
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&slave, OptionalActions::Now, &modes).unwrap();
    let mut master = File::from(master);
    master.write_all(typed.as_bytes()).unwrap();

    let mut child = command
        .env("TERM", "xterm-256color")
        .stdin(Stdio::from(slave.try_clone().unwrap()))
        .stdout(Stdio::from(slave.try_clone().unwrap()))
        .stderr(Stdio::from(slave))
        .spawn()
        .unwrap();
    // The command object holds the other end too; without that the end of the child would not be seen.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut bytes = Vec::new();
    // Linux reports the end of a terminal as an error (EIO), after all that was written.
    let _ = master.read_to_end(&mut bytes);
    let status = child.wait().unwrap();
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
    Screen { code, text: plain(&String::from_utf8(bytes).expect("output is UTF-8")) }
}

/// Removes escape sequences, and everything that a carriage return wrote over.
fn plain(written: &str) -> String {
    let mut text = String::new();
    let mut chars = written.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => while chars.next().is_some_and(|char| !char.is_ascii_alphabetic()) {},
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => text.truncate(text.rfind('\n').map_or(0, |end| end + 1)),
            char => text.push(char),
        }
    }
    text
}

#[test]
fn the_text_of_a_terminal_is_what_is_left_on_it() {
    assert_eq!(plain("\u{1b}[1mone\u{1b}[0m\r\nhalf\rwhole\r\n"), "one\nwhole\n");
}

#[test]
fn the_width_reaches_the_command() {
    let world = crate::world::World::new();
    let help = |columns| run_at(columns, &mut world.command(["backup", "--help"]), "");
    let (narrow, wide) = (help(60), help(120));
    assert_eq!((narrow.code, wide.code), (0, 0));
    assert!(narrow.text.lines().count() > wide.text.lines().count(), "{}", narrow.text);
    assert!(wide.width() > 80, "{}", wide.text);
}

#[test]
fn a_prompt_is_answered_by_what_is_typed() {
    let world = crate::world::World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let rows = || world.ask("app.db", "SELECT count(*) FROM notes");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    let declined = run_at(80, &mut world.command(["restore", "latest"]), "n\n");
    assert!(declined.text.contains("[y/N]"), "{}", declined.text);
    assert_eq!(rows(), "10");
    let accepted = run_at(80, &mut world.command(["restore", "latest"]), "y\n");
    assert_eq!((accepted.code, rows().as_str()), (0, "100"), "{}", accepted.text);
}
