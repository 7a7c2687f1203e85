//! The socket: connections, and the limits that hold before anybody has signed in.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::App;
use super::access::Peer;
use super::patient::Patient;
use crate::platform::set_mode_of;
use crate::serving::Ask;

/// How many connections are held.
const CONNECTIONS: usize = 256;
/// How much of a request may come before its body, in bytes.
const HEADERS: usize = 16 << 10;
/// How long a request may take to arrive.
pub(super) const ARRIVAL: Duration = Duration::from_secs(10);
/// How long the other end may take nothing of an answer. As long as a download may stand still.
const STALLED: Duration = Duration::from_secs(60);
/// How often the stop flag is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long connections may take to end after a stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// Listens until `stop` is set.
pub(super) async fn run(app: &App, router: Router, address: &str, stop: Arc<AtomicBool>) -> io::Result<()> {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    match address.strip_prefix("unix:") {
        Some(path) => {
            let listener = bind_unix(Path::new(path)).await?;
            app.ask(Ask::Listens(address.to_owned()));
            until(&stop, async {
                loop {
                    let turn = Arc::clone(&connections).acquire_owned().await;
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            let peer = Peer(None);
                            tokio::spawn(connection(stream, peer, router.clone(), turn.ok(), Arc::clone(&stop)));
                        }
                        Err(_) => out_of_descriptors().await,
                    }
                }
            })
            .await;
            // It is ours: nobody else could bind it meanwhile.
            let _ = std::fs::remove_file(path);
        }
        None => {
            let listener = TcpListener::bind(address).await?;
            app.ask(Ask::Listens(format!("http://{}/", listener.local_addr()?)));
            until(&stop, async {
                loop {
                    let turn = Arc::clone(&connections).acquire_owned().await;
                    match listener.accept().await {
                        Ok((stream, peer)) => {
                            let _ = stream.set_nodelay(true);
                            let peer = Peer(Some(peer.ip().to_canonical()));
                            tokio::spawn(connection(stream, peer, router.clone(), turn.ok(), Arc::clone(&stop)));
                        }
                        Err(_) => out_of_descriptors().await,
                    }
                }
            })
            .await;
        }
    }
    // Answers under way are finished.
    let _ = tokio::time::timeout(FAREWELL, connections.acquire_many(CONNECTIONS as u32)).await;
    Ok(())
}

/// Waits a moment: connections that are there will be closed.
async fn out_of_descriptors() {
    tokio::time::sleep(LOOK).await;
}

async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        tokio::time::sleep(LOOK).await;
    }
}

async fn until(stop: &AtomicBool, accepting: impl Future<Output = ()>) {
    tokio::select! {
        () = accepting => {}
        () = stopped(stop) => {}
    }
}

/// Binds a Unix socket that its group may use. One that a server left behind is replaced: nobody accepts on it. One
/// that answers, or a file of another kind, is an error. Crash after the removal: no socket, and the next start makes
/// one.
async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_left_behind = match std::fs::symlink_metadata(path) {
        Ok(found) if crate::platform::special_file(&found) == Some("a socket") => {
            let answer = UnixStream::connect(path).await;
            answer.is_err_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
        }
        Ok(_) => false,
        // Then binding fails, and says why.
        Err(_) => false,
    };
    if is_left_behind {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    set_mode_of(path, 0o660)?;
    Ok(listener)
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    _turn: Option<tokio::sync::OwnedSemaphorePermit>,
    stop: Arc<AtomicBool>,
) {
    let service = TowerToHyperService::new(router.layer(axum::Extension(peer)));
    let mut server = hyper::server::conn::http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(ARRIVAL).max_buf_size(HEADERS).max_headers(100);
    let connection = server.serve_connection(TokioIo::new(Patient::new(stream, STALLED)), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stopped(&stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
