//! A program gets the notice as JSON on its standard input. There is no shell.

use std::io;
use std::time::Duration;

use super::Refused;
use crate::config::Detail;
use crate::platform::feed;
use crate::report::notice::Notice;

pub(super) fn run(words: &[String], notice: &Notice, detail: Detail, limit: Duration) -> Result<String, Refused> {
    let fed = feed(words, notice.json(detail).into_bytes(), limit).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => Refused::for_good("the program does not exist"),
        _ => Refused::for_good(format!("the program cannot be started: {cause}")),
    })?;
    let said = if fed.messages.trim().is_empty() { &fed.output } else { &fed.messages };
    let said = said.lines().next().map(|line| format!(": {line}")).unwrap_or_default();
    match fed.code {
        _ if fed.timed_out => Err(Refused::for_now("the program was ended because it took too long")),
        Some(0) => Ok(format!("exit code 0{said}")),
        Some(code) => Err(Refused::for_now(format!("exit code {code}{said}"))),
        None => Err(Refused::for_now(format!("the program was killed by a signal{said}"))),
    }
}
