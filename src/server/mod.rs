//! The admin server: an HTTP API for scripts, the same for applications that this tool replaces, and a page for people.
//!
//! Every operation is this program as a child process, so that a request does what the same command line does, with its
//! checks, locks, log and notices, and nothing that a job does can end the server. A client that goes away changes
//! nothing; a server that is killed leaves what a killed command leaves.

mod access;
mod answer;
mod api;
mod child;
mod code;
mod confirm;
mod documents;
mod download;
mod form;
mod jobs;
mod legacy;
mod listen;
mod pages;
mod patient;
mod plan;
mod printed;
mod reload;
mod request;
mod routes;
mod session;
mod site;
mod views;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::config::ServerSettings;
use crate::serving::{Ask, Serving};
use crate::store::ReadAt;
use access::Guard;
use child::Program;
use code::OneTime;
use documents::Documents;
use jobs::Jobs;
use reload::Watch;
use session::Sessions;
use views::Views;

/// An archive that a download reads.
pub type Opened = Arc<dyn ReadAt>;

/// How many backups are downloaded at the same time.
const DOWNLOADS: usize = 2;

/// What all requests share.
struct App {
    program: Program,
    settings: ServerSettings,
    guard: Guard,
    sessions: Sessions,
    code: Option<OneTime>,
    watch: Option<Watch>,
    jobs: Jobs,
    asks: std::sync::Mutex<std::sync::mpsc::Sender<Ask<Opened>>>,
    documents: Documents,
    views: Views,
    downloads: Arc<Semaphore>,
}

impl App {
    fn ask(&self, ask: Ask<Opened>) {
        // Nobody answers once the starting process ends.
        let _ = self.asks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).send(ask);
    }
}

/// Serves until `stop` is set; then takes no more work, and lets the running job end or, after `stop_timeout`, cancels
/// it. Fails if it cannot listen.
pub fn serve(serving: Serving<Opened>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let Serving { own, options, listen, settings, tokens, code, reread, asks, stop } = serving;
    let app = Arc::new(App {
        program: Program { own, options },
        guard: Guard::new(tokens, &settings),
        sessions: Sessions::new(&settings),
        code: code.map(OneTime::new),
        watch: reread.map(Watch::new),
        jobs: Jobs::default(),
        asks: std::sync::Mutex::new(asks.clone()),
        documents: Documents::default(),
        views: Views::start()?,
        downloads: Arc::new(Semaphore::new(DOWNLOADS)),
        settings,
    });
    let result = runtime.block_on(listen::run(&app, routes::router(Arc::clone(&app)), &listen, stop));
    app.jobs.end(app.settings.stop_timeout);
    let _ = asks.send(Ask::Ended);
    result
}
