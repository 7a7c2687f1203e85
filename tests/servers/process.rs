//! A server of a test: one per test process, on loopback, ended with the test process.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Ends the server when its input ends, which also happens if the test process is killed, and removes its folder.
const WRAPPER: &str = r#"
exec 3<&0
folder=$1
shift
"$@" >"$folder/log" 2>&1 </dev/null &
server=$!
cat <&3 >/dev/null
kill "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -rf "$folder"
"#;

/// The file in the folder of a server that holds its port.
pub const PORT: &str = "port";

/// A server that runs until this process ends.
pub struct Server {
    folder: PathBuf,
    /// Its input is a pipe from this process.
    _wrapper: Child,
}

impl Server {
    /// Creates the folder for the files of a server.
    pub fn folder() -> PathBuf {
        tempfile::Builder::new().prefix("server-").tempdir().unwrap().keep()
    }

    /// Starts a server with its folder and waits until it listens.
    pub fn start<S: AsRef<OsStr>>(folder: PathBuf, command: &[S], port: u16) -> Self {
        let server = Self::spawn(folder, command);
        server.wait_for(port);
        server
    }

    fn spawn<S: AsRef<OsStr>>(folder: PathBuf, command: &[S]) -> Self {
        let mut wrapper = Command::new("sh");
        wrapper.args(["-c", WRAPPER, "sh"]).arg(&folder).args(command).env_remove("AWS_CA_BUNDLE");
        wrapper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { folder, _wrapper: wrapper.spawn().unwrap() }
    }

    /// Starts a server that chooses its port, and writes it into the file [`PORT`] of its folder.
    ///
    /// A port that was free a moment ago may be that of another test run when the server starts.
    pub fn start_on_its_port<S: AsRef<OsStr>>(folder: PathBuf, command: &[S]) -> (Self, u16) {
        let server = Self::spawn(folder, command);
        for _ in 0..600 {
            if let Ok(port) = fs::read_to_string(server.folder.join(PORT)) {
                return (server, port.parse().unwrap());
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("no server: {}", fs::read_to_string(server.folder.join("log")).unwrap_or_default());
    }

    fn wait_for(&self, port: u16) {
        for _ in 0..600 {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("no server on port {port}: {}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
    }
}

/// Returns a port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
