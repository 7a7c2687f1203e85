//! A receiver of notices: `notice_sink.py` over HTTP or as a mail server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::process::Server;
use crate::tools;

/// The user and the password of the mail server.
pub const USER: &str = "ada%40example.org";
pub const PASSWORD: &str = "hunter2hunter2";
/// The secret that signs webhooks.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A receiver.
pub struct Sink {
    folder: PathBuf,
    pub port: u16,
    _server: Server,
}

impl Sink {
    /// Starts one: `http`, `smtps` or `starttls`.
    pub fn start(kind: &str) -> Self {
        let folder = Server::folder();
        fs::write(folder.join("secret"), SECRET).unwrap();
        if kind != "http" {
            certificate(&folder);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/notice_sink.py");
        let python = tools::python().get_program().to_str().unwrap().to_owned();
        let command = [&python, script.to_str().unwrap(), folder.to_str().unwrap(), kind];
        let (server, port) = Server::start_on_its_port(folder.clone(), &command);
        Self { folder, port, _server: server }
    }

    /// Starts a mail server; `None` if it is not installed. Then the test is recorded as not run.
    pub fn mail(promise: &str, kind: &str) -> Option<Self> {
        let has_all = tools::have_modules(promise, "aiosmtpd") && tools::installed(promise, &["openssl"]);
        has_all.then(|| Self::start(kind))
    }

    /// Sets how `/mode` answers from now on.
    pub fn mode(&self, mode: &str) {
        fs::write(self.folder.join("mode"), mode).unwrap();
    }

    /// The file with the certificate to trust.
    pub fn trusted(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Returns what arrived so far.
    pub fn got(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("requests.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns what arrived at a path that begins with this.
    pub fn got_at(&self, path: &str) -> Vec<Value> {
        self.got().into_iter().filter(|one| one["path"].as_str().unwrap().starts_with(path)).collect()
    }
}

/// Makes a certificate for localhost, and the authority that signed it.
fn certificate(folder: &Path) {
    let script = "
        curve='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 $curve -keyout ca.key -out ca.pem -subj /CN=test -days 2
        openssl req $curve -keyout key.pem -out leaf.csr -subj /CN=localhost
        echo subjectAltName=DNS:localhost >leaf.ext
        signed='-CA ca.pem -CAkey ca.key -CAcreateserial -extfile leaf.ext'
        openssl x509 -req -in leaf.csr -out cert.pem -days 2 $signed";
    let done = Command::new("sh").args(["-euc", script]).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
