//! The admin server beside an application: a child, so that nothing that it does ends or delays the application.

use std::time::{Duration, Instant};

use super::Context;
use super::run_args::RunArgs;
use super::run_job::Job;
use super::run_start::Start;
use crate::names::printable;

/// How long after its end it is started again.
const AGAIN: Duration = Duration::from_secs(60);

/// The server of a run, if there is one.
#[derive(Debug)]
pub(super) struct RunServer {
    address: String,
    words: Vec<String>,
    job: Option<Job>,
    next: Instant,
}

impl RunServer {
    /// The server that the flags ask for. It is started at the first look.
    pub(super) fn of(args: &RunArgs) -> Option<Self> {
        let address = args.listen.clone()?;
        let mut words = vec!["serve".to_owned(), format!("--listen={address}")];
        if args.as_root {
            words.push("--as-root".to_owned());
        }
        Some(Self { address, words, job: None, next: Instant::now() })
    }

    /// Starts it, and starts it again some time after it ended: a port may be free later.
    pub(super) fn look(&mut self, start: &Start<'_>, context: &Context) {
        if let Some(job) = &mut self.job {
            // It runs for as long as the application: nobody would see at its end what it says now.
            job.warnings().iter().for_each(|warning| context.ui.warning(format!("the admin server: {warning}")));
        }
        if let Some(job) = &mut self.job
            && let Some(done) = job.done()
        {
            done.warn(context);
            context.ui.warning(format!("the admin server ended: {}; the application goes on", done.why()));
            self.job = None;
            self.next = Instant::now() + AGAIN;
        }
        if self.job.is_none() && Instant::now() >= self.next {
            match start.starter.start(&self.words, 0) {
                Ok(job) => {
                    start.say(context, format!("the admin server is started at {}", printable(&self.address)));
                    self.job = Some(job);
                }
                Err(cause) => {
                    context.ui.warning(format!("the admin server could not be started: {cause}"));
                    self.next = Instant::now() + AGAIN;
                }
            }
        }
    }

    /// Ends it: it takes no more work, and a job that goes on for longer than a moment ends with it, as any command
    /// that is killed.
    pub(super) fn end(mut self) {
        let Some(job) = &mut self.job else { return };
        job.cancel();
        while job.done().is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
