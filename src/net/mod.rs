//! The network: one asynchronous runtime and one HTTP client for the whole process.
//!
//! Everything above is blocking: [`block_on`] is the only way in. Nothing starts before the first call.

use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();

/// Runs a future to its end on the runtime. Must not be called from a future.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(runtime()?.block_on(future))
}

/// Returns the runtime, which is started by the first call.
fn runtime() -> io::Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let started = Builder::new_multi_thread().worker_threads(2).thread_name("net").enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| started))
}

/// Returns the HTTP client. Redirects are not followed: a token must not go to another host.
pub fn client() -> io::Result<reqwest::Client> {
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    let made = reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .user_agent(concat!("heirloom/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(io::Error::other)?;
    Ok(CLIENT.get_or_init(|| made).clone())
}

/// Returns the built-in root certificates, in DER.
pub fn built_in_certificates() -> impl Iterator<Item = Vec<u8>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|certificate| certificate.as_ref().to_vec())
}

/// Trusts the certificates of this host and the built-in ones: a container often has none of its own.
fn tls() -> io::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    // A certificate that cannot be read is not trusted; the others are.
    for certificate in rustls_native_certs::load_native_certs().certs {
        let _ = roots.add(certificate);
    }
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let provider = rustls::crypto::ring::default_provider();
    Ok(rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
