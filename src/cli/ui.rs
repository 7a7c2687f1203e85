//! What people and machines see: results on stdout, everything else on stderr.
//!
//! Output that cannot be written never changes what was done and never panics.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::GlobalArgs;
use super::bar::Bar;
use super::table::Table;
use super::wrap::wrap;
use crate::names::printable;
use crate::progress::Progress;

/// When to colour.
#[derive(clap::ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColorWhen {
    /// At a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// When to show a progress bar.
#[derive(clap::ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProgressWhen {
    /// At a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Worth a look.
    Warning,
    /// Something is broken, or is going to be removed.
    Bad,
    /// Less important than what is around it.
    Dim,
    /// More important.
    Strong,
}

/// The terminal, or what stands in for it.
pub struct Ui {
    json: bool,
    quiet: bool,
    verbose: bool,
    colored_stdout: bool,
    colored_stderr: bool,
    bar: bool,
    interactive: bool,
    /// The columns of the terminal on stdout; `None` if it is no terminal.
    stdout_width: Option<usize>,
    stderr_width: Option<usize>,
    signal: Arc<AtomicUsize>,
    output_failure: Option<io::Error>,
}

impl Ui {
    /// Looks at the terminal and the options.
    pub fn new(args: &GlobalArgs) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colored = |terminal: bool| match args.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && !no_color,
        };
        let (stdout, stderr) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            json: args.json,
            quiet: args.quiet,
            verbose: args.verbose,
            colored_stdout: colored(stdout) && !args.json,
            colored_stderr: colored(stderr) && !args.json,
            bar: match args.progress {
                ProgressWhen::Always => true,
                ProgressWhen::Never => false,
                ProgressWhen::Auto => stderr && !args.quiet && !args.json,
            },
            interactive: io::stdin().is_terminal() && stderr && !args.json,
            stdout_width: width(io::stdout(), stdout),
            stderr_width: width(io::stderr(), stderr),
            signal: Arc::new(AtomicUsize::new(0)),
            output_failure: None,
        }
    }

    /// Returns the number that signal handlers set; 0 until a signal came.
    pub fn signal_flag(&self) -> Arc<AtomicUsize> {
        self.signal.clone()
    }

    /// Returns the signal that asked the run to stop.
    pub fn signal(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => u8::try_from(signal).ok(),
        }
    }

    /// Says whether the result is one JSON document.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Says whether a person can be asked.
    pub fn can_ask(&self) -> bool {
        self.interactive
    }

    /// Says whether results should be told to a person: not with `--quiet`, not with `--json`.
    pub fn tells(&self) -> bool {
        !self.quiet && !self.json
    }

    /// Returns the error that kept results from being written, except that the reader went away.
    pub fn output_failure(&self) -> Option<String> {
        self.output_failure.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map(ToString::to_string)
    }

    /// Prints the one JSON document of a command.
    pub fn document(&mut self, document: &impl Serialize) {
        // Through a value, so that the fields are in the order of their names, whatever the report's.
        match serde_json::to_value(document).and_then(|document| serde_json::to_string_pretty(&document)) {
            Ok(text) => self.write_stdout(&text),
            Err(error) => self.output_failure = Some(error.into()),
        }
    }

    /// Prints a line on stdout that tells of a success: at a terminal or with `--verbose`, so that cron has nothing to mail.
    pub fn summary(&mut self, text: impl AsRef<str>) {
        if self.tells() && (self.stdout_width.is_some() || self.verbose) {
            self.stdout(text.as_ref());
        }
    }

    /// Prints a line of the result on stdout. Text out of archives and databases must have passed [`printable`].
    pub fn line(&mut self, text: impl AsRef<str>) {
        if self.tells() {
            self.stdout(text.as_ref());
        }
    }

    /// Prints a line of a result that was asked for and is printed with `--quiet` too (`list`, `show`).
    pub fn result(&mut self, text: impl AsRef<str>) {
        self.stdout(text.as_ref());
    }

    /// Prints a table that was asked for, with `--quiet` too.
    pub(super) fn table(&mut self, table: &Table) {
        let text = self.table_text(table);
        self.write_stdout(&text);
    }

    /// Returns a table that fits the terminal. Columns are separated by two blanks.
    pub(super) fn table_text(&self, table: &Table) -> String {
        table.lines(self.stdout_width, |title| self.paint(Tone::Dim, title)).join("\n")
    }

    /// Returns whether `--verbose` was given.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Returns whether every detail is asked for, or read by a program: then nothing is summed up.
    pub fn wants_details(&self) -> bool {
        self.verbose || self.stdout_width.is_none()
    }

    fn stdout(&mut self, text: &str) {
        let fitted = self.stdout_width.map_or_else(|| text.to_owned(), |width| wrap(text, width, HANG));
        self.write_stdout(&fitted);
    }

    fn write_stdout(&mut self, text: &str) {
        let mut stdout = io::stdout().lock();
        let result = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        if let Err(error) = result {
            self.output_failure.get_or_insert(error);
        }
    }

    /// Prints a line on stderr that a person may want to know.
    pub fn note(&self, text: impl AsRef<str>) {
        if self.tells() {
            self.stderr(text.as_ref());
        }
    }

    /// Prints a line on stderr that only `--verbose` asks for.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.verbose && !self.json {
            self.stderr(text.as_ref());
        }
    }

    /// Prints a warning on stderr, also with `--quiet`.
    pub fn warning(&self, text: impl AsRef<str>) {
        let label = self.paint_stderr(Tone::Warning, "warning:");
        self.stderr(&format!("{label} {}", printable(text.as_ref())));
    }

    /// Prints an error and its hint on stderr.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        let label = self.paint_stderr(Tone::Bad, "error:");
        self.stderr(&format!("{label} {message}"));
        if let Some(hint) = hint {
            let label = self.paint_stderr(Tone::Strong, "hint:");
            self.stderr(&format!("{label} {hint}"));
        }
    }

    /// Prints a JSON document on stderr: an error.
    pub fn stderr_json(&self, document: &impl Serialize) {
        match serde_json::to_value(document) {
            Ok(document) => self.write_stderr(&document.to_string()),
            Err(error) => self.write_stderr(&error.to_string()),
        }
    }

    fn stderr(&self, text: &str) {
        let text = self.stderr_width.map_or_else(|| text.to_owned(), |width| wrap(text, width, HANG));
        self.write_stderr(&text);
    }

    fn write_stderr(&self, text: &str) {
        // There is no third place to complain in.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Colours a piece of stdout text.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colored_stdout, tone, text)
    }

    /// Colours a piece of stderr text.
    pub fn paint_stderr(&self, tone: Tone, text: &str) -> String {
        paint(self.colored_stderr, tone, text)
    }

    /// Asks a yes-or-no question at the terminal; no is the default. Returns false where nobody can be asked.
    pub fn confirm(&self, question: &str) -> bool {
        if !self.interactive {
            return false;
        }
        let _ = write!(io::stderr().lock(), "{} [y/N] ", self.paint_stderr(Tone::Strong, question));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")
    }

    /// Asks at the terminal for one of several; no answer and every other answer is none. Returns nothing where nobody
    /// can be asked.
    pub fn choose(&self, question: &str, choices: &[String]) -> Option<usize> {
        if !self.interactive {
            return None;
        }
        for (index, choice) in choices.iter().enumerate() {
            self.stderr(&format!("  {}  {}", index + 1, printable(choice)));
        }
        let _ = write!(io::stderr().lock(), "{} [1-{}] ", self.paint_stderr(Tone::Strong, question), choices.len());
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).ok()?;
        answer.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1)).filter(|index| *index < choices.len())
    }

    /// Returns what operations tell their progress to.
    pub fn progress(&self) -> impl Progress + use<> {
        Bar::new(self.bar, self.signal.clone())
    }
}

/// By how much the further lines of a wrapped text are indented.
const HANG: usize = 2;

/// Returns the width of a terminal, in columns.
fn width(stream: impl std::os::fd::AsFd, is_terminal: bool) -> Option<usize> {
    let size = if is_terminal { terminal_size::terminal_size_of(stream) } else { None };
    size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

fn paint(colored: bool, tone: Tone, text: &str) -> String {
    if !colored {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Warning => "33",
        Tone::Bad => "31",
        Tone::Dim => "2",
        Tone::Strong => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}
