//! A terminal of a given width around a command: what a person sees there, without colours.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// What a command left on the terminal.
pub struct Screen {
    /// The exit code; 128+N if a signal ended it.
    pub code: i32,
    /// Standard output and standard error in the order in which they were written, without escape sequences.
    pub text: String,
    /// The same as it was written, with everything that was written over since.
    pub written: String,
}

impl Screen {
    /// The longest line, in characters.
    pub fn width(&self) -> usize {
        self.text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }
}

/// Runs a command at a terminal of this many columns. `typed` answers its prompts.
pub fn run_at(columns: u16, command: &mut Command, typed: &str) -> Screen {
    run(columns, command, typed, None)
}

/// Runs a command at a terminal of 80 columns and interrupts it when it has written this.
pub fn interrupt_at(prompt: &str, command: &mut Command) -> Screen {
    run(80, command, "", Some((prompt, Act::Interrupt)))
}

/// Runs a command with a terminal of 80 columns as its controlling one, and types this when it has written `prompt`.
pub fn type_at(prompt: &str, command: &Command, typed: &str) -> Screen {
    let mut leader = Command::new("setsid");
    leader.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args()).env_clear();
    leader.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    leader.current_dir(command.get_current_dir().unwrap());
    run(80, &mut leader, "", Some((prompt, Act::Type(typed))))
}

/// What happens when a command has written something.
#[derive(Clone, Copy)]
enum Act<'a> {
    Interrupt,
    Type(&'a str),
}

fn run(columns: u16, command: &mut Command, typed: &str, act: Option<(&str, Act<'_>)>) -> Screen {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave =
        open(ptsname(&master, Vec::new()).unwrap(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    let slave = File::from(slave.unwrap());
    tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    // What is typed is not shown: it would stand before the prompt that it answers.
    let mut modes = tcgetattr(&slave).unwrap();
    modes.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&slave, OptionalActions::Now, &modes).unwrap();
    let mut master = File::from(master);
    master.write_all(typed.as_bytes()).unwrap();

    // A command may have chosen another one.
    if !command.get_envs().any(|(name, _)| name == "TERM") {
        command.env("TERM", "xterm-256color");
    }
    let mut child = command
        .stdin(Stdio::from(slave.try_clone().unwrap()))
        .stdout(Stdio::from(slave.try_clone().unwrap()))
        .stderr(Stdio::from(slave))
        .spawn()
        .unwrap();
    // The command object holds the other end too; without that the end of the child would not be seen.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let mut act = act;
    // Linux reports the end of a terminal as an error (EIO), after all that was written.
    while let Some(read) = master.read(&mut buffer).ok().filter(|read| *read > 0) {
        bytes.extend_from_slice(&buffer[..read]);
        if let Some((_, now)) = act.filter(|(prompt, _)| String::from_utf8_lossy(&bytes).contains(prompt)) {
            act = None;
            match now {
                Act::Interrupt => kill_process(Pid::from_child(&child), Signal::INT).unwrap(),
                Act::Type(text) => master.write_all(text.as_bytes()).unwrap(),
            }
        }
    }
    let status = child.wait().unwrap();
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
    let written = String::from_utf8(bytes).expect("output is UTF-8");
    Screen { code, text: plain(&written), written }
}

/// Removes escape sequences, and everything that a carriage return wrote over.
fn plain(written: &str) -> String {
    let mut text = String::new();
    let mut chars = written.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars.next().is_some_and(|char| !char.is_ascii_alphabetic()) {}
            }
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
    let log = world.heirloom(["log", "--json"]).json();
    assert_eq!(log["activities"][0]["outcome"], "declined", "{log}");
    assert_eq!(
        world.heirloom(["log", "--failed", "--json"]).json()["activities"],
        serde_json::json!([]),
        "that is no failure"
    );
    let accepted = run_at(80, &mut world.command(["restore", "latest"]), "y\n");
    assert_eq!((accepted.code, rows().as_str()), (0, "100"), "{}", accepted.text);
}

#[test]
fn a_signal_at_a_prompt_ends_the_restore_and_says_what_is_unchanged() {
    let world = crate::world::World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    let ended = interrupt_at("[y/N]", &mut world.command(["restore", "latest"]));
    assert_eq!(ended.code, 130, "{}", ended.text);
    let last = ended.text.lines().last().unwrap_or_default();
    assert!(last.starts_with("Interrupted; ") && last.ends_with("work/app.db is unchanged."), "{}", ended.text);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10");
}

#[test]
fn progress_is_that_of_the_whole_operation() {
    let world = crate::world::World::new();
    world.database("app.db");
    let backup = run_at(60, &mut world.command(["backup", "app.db"]), "");
    for stage in ["1/4 copying app", "2/4 checking and packing app", "3/4 reading back app", "4/4 committing app"] {
        assert!(backup.written.contains(stage), "{stage}: {:?}", backup.written);
    }
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    let checked = run_at(60, &mut world.command(["restore", "latest", "--force", "--check", "full"]), "");
    assert!(
        checked.written.contains("2/6 checking app") && checked.written.contains("6/6 replacing app"),
        "{:?}",
        checked.written
    );
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    let proved = run_at(60, &mut world.command(["restore", "latest", "--force"]), "");
    assert!(
        !proved.written.contains("2/6") && proved.written.contains("6/6 replacing app"),
        "its digest is the check: {:?}",
        proved.written
    );
    let verify = run_at(60, &mut world.command(["verify", "--all"]), "");
    assert!(verify.written.contains("3/3 checking app"), "{:?}", verify.written);
    for screen in [backup, checked, proved, verify] {
        assert!(
            !screen.written.contains("0/0") && !screen.written.contains("0 B/0 B"),
            "a bar of nothing: {:?}",
            screen.written
        );
    }
}
