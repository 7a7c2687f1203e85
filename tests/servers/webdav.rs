//! WebDAV by `wsgidav`, with a user and a password.

use std::fs;
use std::sync::OnceLock;

use super::process::{Server, free_port};
use crate::tools;

/// The user.
pub const USER: &str = "user";
/// The password.
pub const PASSWORD: &str = "not so secret";

/// Where it is.
pub struct Webdav {
    pub url: String,
    _server: Server,
}

/// Returns the server of this process. `None` if it is not installed; then the test is recorded as not run.
pub fn webdav(promise: &str) -> Option<&'static Webdav> {
    static SERVER: OnceLock<Webdav> = OnceLock::new();
    tools::have_modules(promise, "wsgidav, cheroot").then(|| SERVER.get_or_init(start))
}

fn start() -> Webdav {
    let folder = Server::folder();
    let files = folder.join("files");
    fs::create_dir(&files).unwrap();
    let port = free_port();
    let configuration = serde_json::json!({
        "host": "127.0.0.1",
        "port": port,
        "provider_mapping": { "/": files },
        "http_authenticator": { "accept_basic": true, "accept_digest": false, "default_to_digest": false },
        "simple_dc": { "user_mapping": { "*": { USER: { "password": PASSWORD } } } },
    });
    let path = folder.join("conf.json");
    fs::write(&path, configuration.to_string()).unwrap();
    let python = tools::python().get_program().to_str().unwrap().to_owned();
    let run = "import sys; from wsgidav.server.server_cli import run; sys.exit(run())";
    let command = [&python, "-c", run, "-c", path.to_str().unwrap()];
    let server = Server::start(folder, &command, port);
    Webdav { url: format!("http://127.0.0.1:{port}"), _server: server }
}
