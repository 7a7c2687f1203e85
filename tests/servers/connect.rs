//! A Posit Connect server, played by `connect_fake.py`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::process::{PORT, Server};
use crate::tools;

/// The key of the user `alice`.
pub const ALICE: &str = "alice-key";
/// The key of the user `bob`.
pub const BOB: &str = "bob-key";

/// Where it is.
pub struct Connect {
    pub port: u16,
    _server: Server,
}

/// Whether the server gives parts of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    Given,
    Refused,
}

/// Returns a server that several tests use.
pub fn connect(parts: Parts) -> &'static Connect {
    static SERVERS: [OnceLock<Connect>; 2] = [const { OnceLock::new() }; 2];
    SERVERS[parts as usize].get_or_init(|| Connect::start(parts))
}

impl Connect {
    /// Starts a server of its own, for a test that plans faults.
    pub fn start(parts: Parts) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/connect_fake.py");
        let python = tools::python().get_program().to_str().unwrap().to_owned();
        let folder = Server::folder();
        let mut command =
            vec![python, program.to_str().unwrap().to_owned(), folder.join(PORT).to_str().unwrap().into()];
        command.extend((parts == Parts::Refused).then(|| "--no-ranges".into()));
        let (server, port) = Server::start_on_its_port(folder, &command);
        Self { port, _server: server }
    }

    /// Returns its address.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the URL of a pin of `alice` that does not exist yet.
    pub fn pin(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        self.url(&format!("alice/pin-{}", MADE.fetch_add(1, Ordering::Relaxed)))
    }

    /// Returns the URL of a pin.
    pub fn url(&self, pin: &str) -> String {
        format!("connect://connect.example/{pin}?endpoint={}", self.endpoint())
    }

    /// Sends a request as a user, as by hand, and returns the body of the answer.
    pub fn ask(&self, method: &str, target: &str, key: &str) -> String {
        self.send(method, target, &format!("Authorization: Key {key}\r\n"), "")
    }

    /// The same with a body.
    pub fn tell(&self, method: &str, target: &str, key: &str, body: &Value) -> String {
        self.send(method, target, &format!("Authorization: Key {key}\r\n"), &body.to_string())
    }

    fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: fake\r\nConnection: close\r\n{headers}");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Plans faults instead of those that were planned before. Returns the requests since then.
    pub fn plan(&self, faults: &[Value]) -> Vec<String> {
        let answer = self.send("POST", "/control", "", &json!({ "faults": faults }).to_string());
        serde_json::from_str(&answer).unwrap()
    }

    /// Puts the clock of the server ahead, or back.
    pub fn set_clock(&self, seconds: i64) {
        self.send("POST", "/control", "", &json!({ "faults": [], "clock": seconds }).to_string());
    }
}
