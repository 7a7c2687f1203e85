//! An admin server whose store is a remote one that goes away: before a request, in the middle of a download and in the
//! middle of a job. Nothing is lost, the page says what is wrong, and the same server goes on when it is back.

use std::fs;
use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::serve_page::Browser;
use crate::serve_world::{ADMIN, Server, world};
use crate::servers::proxy::{Fault, Proxy};
use crate::servers::{Kind, place};
use crate::world::World;

/// A server with a store behind a proxy, and a backup in it.
struct Behind {
    proxy: Proxy,
    server: Server,
    world: World,
    name: String,
}

impl Behind {
    fn new(promise: &str) -> Option<Self> {
        let place = place(Kind::Moto, promise)?;
        let proxy = Proxy::before(place.port);
        let mut world = world("");
        for (name, value) in &place.variables {
            world.env(name, value);
        }
        // It does not compress, so that it takes more than what the system buffers.
        world.sql("app.db", "CREATE TABLE big(x); INSERT INTO big VALUES(randomblob(20000000))");
        let text = fs::read_to_string(world.path("h.toml")).unwrap();
        fs::write(world.path("h.toml"), format!("{text}[store]\nurl = '{}'\n", place.behind(proxy.port).url)).unwrap();
        let server = Server::start(&world);
        let job = server.post("/api/v1/backups?wait=100", "").is(200).json();
        let name = job["document"]["archive"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        Some(Self { proxy, server, world, name })
    }

    fn leave(&self) {
        self.proxy.set(|_| Some(Fault::Cut));
    }

    fn come_back(&self) {
        self.proxy.set(|_| None);
    }

    /// Restores the backup, and returns the job when it has ended.
    fn restored(&self, body: &str) -> Value {
        let job = self.server.post(&format!("/api/v1/backups/{}/restore", self.name), body).is(202).json();
        self.ended(&job)
    }

    /// Plans a restore, and returns what confirms it.
    fn planned(&self) -> String {
        let path = format!("/api/v1/backups/{}/restore?wait=100", self.name);
        let plan = self.server.post(&path, "{\"dry_run\": true}").is(200).json();
        format!("{{\"plan\": {}}}", plan["plan"])
    }

    fn ended(&self, job: &Value) -> Value {
        loop {
            let job = self.server.get(&format!("/api/v1/jobs/{}", job["id"].as_str().unwrap())).is(200).json();
            if job["state"] != "running" {
                return job;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn names(&self) -> Vec<String> {
        let listed = self.server.get("/api/v1/backups").is(200).json();
        let archives = listed["archives"].as_array().unwrap().iter();
        archives.map(|one| one["archive"].as_str().unwrap().to_owned()).collect()
    }

    fn rows(&self) -> String {
        self.world.ask("app.db", "SELECT count(*) FROM notes")
    }
}

fn code(document: &Value) -> Option<u64> {
    document["error"]["code"].as_u64()
}

#[test]
fn a_store_that_is_away_is_said_and_nothing_is_made_in_its_place() {
    let Some(behind) = Behind::new("an admin server survives the loss of its remote store") else { return };
    let (server, name) = (&behind.server, &behind.name);
    let files = behind.world.files(".");
    behind.leave();
    // Each of them asks the store again for a while.
    let job = server.post("/api/v1/backups", "").is(202).json();
    let download = format!("/api/v1/backups/{name}/download");
    thread::scope(|scope| {
        for path in ["/api/v1/backups", &download] {
            scope.spawn(move || assert_eq!(code(&server.get(path).is(503).json()), Some(16), "{path}"));
        }
    });
    let failed = behind.ended(&job);
    assert_eq!((code(&failed), &failed["state"]), (Some(16), &"failed".into()), "{failed}");
    for path in ["/livez", "/readyz"] {
        server.ask("GET", path, None, "").is(200);
    }
    let browser = Browser::enter(server, "localhost", ADMIN);
    let page = browser.get("/").is(200).text();
    assert!(page.contains("cannot reach the store") && !page.contains("No problems found"), "{page}");
    assert!(page.contains("check the network") && !page.contains("mount it"), "{page}");
    browser.get("/backups").is(503);
    assert_eq!(behind.world.files("."), files, "nothing was made here");

    behind.come_back();
    assert_eq!(behind.names().as_slice(), std::slice::from_ref(name));
    server.post("/api/v1/backups?wait=100", "").is(200);
    assert_eq!(behind.names().len(), 2);
    let page = browser.get("/").is(200).text();
    assert!(!page.contains("cannot reach the store"), "{page}");
}

#[test]
fn a_store_that_leaves_a_download_ends_it_short_and_the_rest_can_be_fetched() {
    let Some(behind) = Behind::new("a download whose remote store goes away ends short") else { return };
    let path = format!("/api/v1/backups/{}/download", behind.name);
    behind.come_back();
    let whole = behind.server.get(&path).is(200).body;
    let half = behind.proxy.requests() / 2;
    behind.proxy.set(move |request| (request.number > half).then_some(Fault::Cut));
    let mut stream = behind.server.connect();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {ADMIN}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let body = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let got = &all[body..];
    let length = format!("content-length: {}", whole.len());
    let head = String::from_utf8_lossy(&all[..body]).to_ascii_lowercase();
    assert!(head.contains(&length), "the client can tell that it is not whole: {head}");
    assert!(
        !got.is_empty() && got.len() < whole.len() && whole.starts_with(got),
        "{} of {} bytes",
        got.len(),
        whole.len()
    );

    behind.come_back();
    let range = format!("Authorization: Bearer {ADMIN}\r\nRange: bytes={}-\r\n", got.len());
    let rest = behind.server.with("GET", &path, &range, "").is(206).body;
    assert!([got, &rest].concat() == whole, "the parts are the archive");
}

#[test]
fn a_store_that_leaves_a_restore_changes_nothing() {
    let Some(behind) = Behind::new("a restore whose remote store goes away changes nothing") else { return };
    behind.world.sql("app.db", "DELETE FROM notes WHERE id > 40");
    behind.come_back();
    let confirmed = behind.planned();
    // The job plans with as many requests, and then acts.
    let planning = behind.proxy.requests();
    behind.proxy.set(move |request| (request.number > planning + planning / 2).then_some(Fault::Cut));
    let job = behind.restored(&confirmed);
    assert_eq!((code(&job), &job["state"], behind.rows()), (Some(16), &"failed".into(), "40".into()), "{job}");
    assert!(behind.proxy.requests() > planning + planning / 2, "{job}");

    behind.come_back();
    let job = behind.restored(&confirmed);
    assert_eq!((&job["state"], behind.rows()), (&"done".into(), "100".into()), "{job}");
}
