//! Output: results on stdout, everything else on stderr.
//!
//! A failed write never changes what was done and never panics.

use std::cell::Cell;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::Utc;
use serde::Serialize;
use textwrap::core::display_width;

use super::GlobalArgs;
use super::bar::{Bar, Display, Overall};
use super::table::{GAP, Table, shortened};
use super::wrap::wrap;
use crate::metadata::rfc3339;
use crate::names::printable;
use crate::platform::columns;
use crate::platform::wait_for_input;
use crate::progress::{Interrupted, Progress};

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
    /// Instead of a bar, lines of JSON on stderr: the stage, what it is about, and how much of it is done.
    Json,
}

/// The meaning of a piece of text, which decides its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Worth a look.
    Warning,
    /// Something is broken, or will be removed.
    Bad,
    /// Less important than its surroundings.
    Dim,
    /// More important.
    Strong,
}

/// The output streams and their settings.
pub struct Ui {
    json: bool,
    quiet: bool,
    verbose: bool,
    colored_stdout: bool,
    colored_stderr: bool,
    bar: Display,
    interactive: bool,
    /// The columns of the terminal on stdout; `None` if it is no terminal.
    stdout_width: Option<usize>,
    stderr_width: Option<usize>,
    signal: Arc<AtomicUsize>,
    output_failure: Option<io::Error>,
    /// Whether a question was answered with no.
    declined: Cell<bool>,
    /// What an interruption leaves unchanged, as a clause.
    untouched: Option<String>,
    /// The documents so far, if they become part of one.
    collected: Option<Vec<serde_json::Value>>,
    /// Whether lines on stderr are JSON documents with time, level and message.
    log_is_json: bool,
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
                ProgressWhen::Always => Display::Bar,
                ProgressWhen::Auto if stderr && !args.quiet && !args.json => Display::Bar,
                ProgressWhen::Auto | ProgressWhen::Never => Display::Hidden,
                ProgressWhen::Json => Display::Json,
            },
            interactive: io::stdin().is_terminal() && stderr && !args.json,
            stdout_width: stdout.then(|| columns(io::stdout())).flatten(),
            stderr_width: stderr.then(|| columns(io::stderr())).flatten(),
            signal: Arc::new(AtomicUsize::new(0)),
            output_failure: None,
            declined: Cell::new(false),
            untouched: None,
            collected: None,
            log_is_json: false,
        }
    }

    /// Writes lines on stderr as JSON documents from now on.
    pub fn log_as_json(&mut self) {
        self.log_is_json = true;
        self.colored_stderr = false;
        self.stderr_width = None;
    }

    /// Writes a line on stderr as a JSON document.
    fn log(&self, level: &str, message: &str, hint: Option<&str>) {
        let time = rfc3339(Utc::now());
        let message = message.strip_prefix("run: ").unwrap_or(message);
        let mut line = serde_json::json!({"time": time, "level": level, "message": message});
        if let Some(hint) = hint {
            line["hint"] = hint.into();
        }
        self.write_stderr(&line.to_string());
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

    /// Returns whether the result is one JSON document.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Returns whether a person can be asked.
    pub fn can_ask(&self) -> bool {
        self.interactive
    }

    /// Returns whether results are printed for a person: not with `--quiet`, not with `--json`.
    pub fn prints_results(&self) -> bool {
        !self.quiet && !self.json
    }

    /// Returns the error that kept results from being written, unless the reader closed the pipe.
    pub fn output_failure(&self) -> Option<String> {
        self.output_failure.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe).map(ToString::to_string)
    }

    /// Prints the one JSON document of a command.
    pub fn document(&mut self, document: &impl Serialize) {
        // Via a value, so that fields are sorted by name.
        let text = match (serde_json::to_value(document), &mut self.collected) {
            (Ok(document), Some(collected)) => return collected.push(document),
            (Ok(document), None) => serde_json::to_string_pretty(&document),
            (Err(error), _) => Err(error),
        };
        match text {
            Ok(text) => self.write_stdout(&text),
            Err(error) => self.output_failure = Some(error.into()),
        }
    }

    /// Collects documents from here on, which become part of one document.
    pub(super) fn collect_documents(&mut self) {
        self.collected = Some(Vec::new());
    }

    /// Returns the documents that were collected, and prints documents again.
    pub(super) fn take_documents(&mut self) -> Vec<serde_json::Value> {
        self.collected.take().unwrap_or_default()
    }

    /// Prints a success on stdout, only at a terminal or with `--verbose`, so that cron has nothing to
    /// mail.
    pub fn summary(&mut self, text: impl AsRef<str>) {
        if self.prints_results() && (self.stdout_width.is_some() || self.verbose) {
            self.stdout(text.as_ref());
        }
    }

    /// Prints a line of the result on stdout. Text out of archives and databases must have passed [`printable`].
    pub fn line(&mut self, text: impl AsRef<str>) {
        if self.prints_results() {
            self.stdout(text.as_ref());
        }
    }

    /// Prints a line of a result that was asked for and is printed with `--quiet` too (`list`, `show`).
    pub fn result(&mut self, text: impl AsRef<str>) {
        self.stdout(text.as_ref());
    }

    /// Prints a value behind its label, which was asked for, with `--quiet` too. A value of one word is shortened if
    /// that is allowed.
    pub(super) fn fact(&mut self, label: &str, value: &str, may_shorten: bool) {
        let shown = self.paint(Tone::Dim, &format!("{label:<LABEL$}"));
        let room = self.stdout_width.map_or(usize::MAX, |width| width.saturating_sub(LABEL + GAP.len()));
        let value = if may_shorten { shortened(value, room) } else { value.to_owned() };
        self.column(&format!("{shown}{GAP}"), &value);
    }

    /// Prints a text behind the columns in front of it, which was asked for, with `--quiet` too. If there is no room,
    /// it is wrapped in its own column, or at the edge if that is narrow or one of its words is too long for it.
    pub(super) fn column(&mut self, front: &str, text: &str) {
        let indent = display_width(front);
        let room = self.stdout_width.map_or(usize::MAX, |width| width.saturating_sub(indent));
        let fitted = wrap(text, room, 0);
        if room >= NARROW && fitted.lines().all(|line| display_width(line) <= room) {
            self.write_stdout(&format!("{front}{}", fitted.replace('\n', &format!("\n{:indent$}", ""))));
        } else {
            self.stdout(&format!("{front}{text}"));
        }
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

    /// Returns the lines of a table that fits the terminal with this many blanks in front of each.
    pub(super) fn indented(&self, table: &Table, blanks: usize) -> Vec<String> {
        let width = self.stdout_width.or(self.stderr_width).map(|width| width.saturating_sub(blanks));
        let lines = table.lines(width, |title| self.paint(Tone::Dim, title));
        lines.into_iter().map(|line| format!("{:blanks$}{line}", "")).collect()
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
        if self.prints_results() {
            if self.log_is_json {
                return self.log("info", text.as_ref(), None);
            }
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
        if self.log_is_json {
            return self.log("warning", text.as_ref(), None);
        }
        let label = self.paint_stderr(Tone::Warning, "warning:");
        self.stderr(&format!("{label} {}", printable(text.as_ref())));
    }

    /// Prints an error and its hint on stderr.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        if let (Some(untouched), Some(_)) = (&self.untouched, self.signal())
            && message.ends_with(&Interrupted.to_string())
        {
            return self.stderr(&format!("Interrupted; {untouched}."));
        }
        if self.log_is_json {
            return self.log("error", message, hint);
        }
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
        // A failed write to stderr cannot be reported anywhere.
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

    /// Asks a yes-or-no question at the terminal; no is the default. Returns false if nobody can be asked.
    pub fn confirm(&self, question: &str) -> Result<bool, Interrupted> {
        if !self.interactive {
            return Ok(false);
        }
        let prompt = format!("{} [y/N] ", self.paint_stderr(Tone::Strong, question));
        let answer = self.answer(&prompt)?;
        let agreed = matches!(answer.trim(), "y" | "Y" | "yes" | "Yes");
        self.declined.set(!agreed);
        Ok(agreed)
    }

    /// Returns whether the last question was answered with no.
    pub fn was_declined(&self) -> bool {
        self.declined.get()
    }

    /// Prints a prompt and reads a line; a line that cannot be read is empty.
    fn answer(&self, prompt: &str) -> Result<String, Interrupted> {
        let fitted = self.stderr_width.map_or_else(|| prompt.to_owned(), |width| wrap(prompt, width, HANG));
        let _ = write!(io::stderr().lock(), "{fitted}");
        let mut answer = String::new();
        if !wait_for_input(io::stdin(), || self.signal().is_some()) {
            // The terminal shows ^C behind the prompt.
            self.write_stderr("");
            return Err(Interrupted);
        }
        let read = io::stdin().lock().read_line(&mut answer);
        Ok(if read.is_ok() { answer } else { String::new() })
    }

    /// Sets what an interruption leaves unchanged from now on, as a clause: `app.db is unchanged`. Nothing may be
    /// changed meanwhile.
    pub fn untouched(&mut self, what: Option<String>) {
        self.untouched = what;
    }

    /// Asks at the terminal for one of several. Returns `None` for any other answer, and if nobody
    /// can be asked.
    pub fn choose(&self, question: &str, choices: &[String]) -> Result<Option<usize>, Interrupted> {
        if !self.interactive {
            return Ok(None);
        }
        for (index, choice) in choices.iter().enumerate() {
            self.stderr(&format!("  {}  {}", index + 1, printable(choice)));
        }
        let answer = self.answer(&format!("{} [1-{}] ", self.paint_stderr(Tone::Strong, question), choices.len()))?;
        let number = answer.trim().parse::<usize>().ok();
        Ok(number.and_then(|number| number.checked_sub(1)).filter(|index| *index < choices.len()))
    }

    /// Returns what operations report their progress to.
    pub fn progress(&self) -> impl Progress + use<> {
        self.progress_in(Overall::Unknown)
    }

    /// Returns the same, with each stage's position in the whole operation.
    pub(super) fn progress_in(&self, overall: Overall) -> impl Progress + use<> {
        Bar::new(self.bar, self.signal.clone(), overall)
    }
}

/// The width of the labels in front of values.
const LABEL: usize = 14;

/// A column is not narrower than this.
const NARROW: usize = 20;

/// By how much the further lines of a wrapped text are indented.
const HANG: usize = 2;

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
