//! OpenSSH on loopback, with a key of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::process::{Server, free_port};
use crate::tools;

/// Where it is, and who may come in.
pub struct Sshd {
    pub port: u16,
    /// The private key of the user who runs the tests.
    pub key: PathBuf,
    /// A folder for files.
    pub files: PathBuf,
    _server: Server,
}

/// Returns the server of this process. `None` if a program is missing; then the test is recorded as not run.
pub fn sshd(promise: &str) -> Option<&'static Sshd> {
    static SERVER: OnceLock<Sshd> = OnceLock::new();
    tools::have(promise, &["sshd", "ssh-keygen"]).then(|| SERVER.get_or_init(start))
}

fn start() -> Sshd {
    let folder = Server::folder();
    for key in ["host", "user"] {
        tools::run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", folder.join(key).to_str().unwrap()]);
    }
    let files = folder.join("files");
    fs::create_dir(&files).unwrap();
    // It drops its rights there and refuses to start without it.
    let _ = fs::create_dir("/run/sshd");
    let port = free_port();
    let configuration = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/user.pub\nStrictModes no\n\
         UsePAM no\nPasswordAuthentication no\nPidFile none\nSubsystem sftp internal-sftp\nMaxStartups 100\n",
        folder.display()
    );
    fs::write(folder.join("conf"), configuration).unwrap();
    // It insists on its full path, because it runs itself again.
    let found = Command::new("sh").args(["-c", "PATH=$PATH:/usr/sbin:/sbin command -v sshd"]).output().unwrap();
    let program = String::from_utf8(found.stdout).unwrap().trim().to_owned();
    let conf = folder.join("conf").to_str().unwrap().to_owned();
    let key = folder.join("user");
    let server = Server::start(folder, &[program, "-D".into(), "-e".into(), "-f".into(), conf], port);
    Sshd { port, key, files, _server: server }
}
