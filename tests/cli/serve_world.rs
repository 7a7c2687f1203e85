//! An admin server, and a client that sends exactly what it is told.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::run_world::{Run, live};
use crate::world::World;

pub const ADMIN: &str = "heirloom_admin-0123456789abcdef0123456789abcdef";
pub const VIEWER: &str = "heirloom_viewer-0123456789abcdef0123456789abcdef";

/// A server of a world whose set `app` has `app.db`. It is stopped when dropped.
pub struct Server {
    pub run: Run,
    pub address: String,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.headers, self.text());
        self
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let line = self.headers.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }
}

/// A world with a configuration that lets both tokens in. `more` is added to the section `[server]`.
pub fn world(more: &str) -> World {
    let world = World::new();
    world.database("app.db");
    let digest =
        |token: &str| Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text = format!(
        "[sets.app.databases]\napp = 'app.db'\n[server]\n{more}\n[server.tokens.ops]\nrole = 'admin'\nsha256 = '{}'\n\
         [server.tokens.eyes]\nrole = 'viewer'\nsha256 = '{}'\n",
        digest(ADMIN),
        digest(VIEWER)
    );
    fs::write(world.path("h.toml"), text).unwrap();
    world
}

impl Server {
    pub fn start(world: &World) -> Self {
        let words = ["serve", "--config", "h.toml", "--listen", "127.0.0.1:0", "--as-root"];
        let mut run = Run::start(world, &mut live(world, words));
        run.says("listening on http://");
        let said = run.said();
        let address = said.split("listening on http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { run, address }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// Sends a request as it is, and reads the answer to its end.
    pub fn send(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // It may be refused before all of it was sent.
        let _ = stream.write_all(request);
        answer(&mut stream)
    }

    /// Sends a request with a token; with a body if there is one.
    pub fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        self.with(
            method,
            path,
            &token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default(),
            body,
        )
    }

    pub fn with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n");
        self.send(format!("{head}{headers}\r\n{body}").as_bytes())
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Some(ADMIN), "")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, Some(ADMIN), body)
    }

    /// The processes that it started.
    pub fn children(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.run.pid())).unwrap();
        let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let all: String = tasks.map(|task| of(task.unwrap())).collect();
        all.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Stops it, and returns its exit code and what it said.
    pub fn stop(mut self) -> (i32, String) {
        self.run.signal(Signal::TERM);
        (self.run.code(), self.run.said())
    }
}

pub fn answer(stream: &mut TcpStream) -> Answer {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(all.len());
    let headers = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = all.get(end + 4..).unwrap_or_default().to_vec();
    Answer { status, headers, body }
}
