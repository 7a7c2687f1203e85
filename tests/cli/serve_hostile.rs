//! `heirloom serve` against clients that want it to fall.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::serve_page::{Browser, request};
use crate::serve_world::{ADMIN, Server, VIEWER, answer, world};

#[test]
fn names_lead_nowhere_but_into_the_store() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    fs::write(world.path("secret.tar.gz"), "secret").unwrap();
    let server = Server::start(&world);
    for name in [
        "..%2fsecret.tar.gz",
        "%2e%2e%2fsecret.tar.gz",
        "..%5csecret.tar.gz",
        "%00",
        "--help",
        "-",
        ".heirloom%2factivity.db",
        ".heirloom",
        "app_20260301T030000Z.tar.gz%00.txt",
        "%ff%fe",
        "latest%0a",
        "%2fetc%2fpasswd",
        "app_20260301T030000Z.tar.gz%2f..%2f..%2fsecret.tar.gz",
    ] {
        for (method, tail) in
            [("GET", ""), ("GET", "/download"), ("DELETE", "?wait=60"), ("POST", "/restore?wait=60"), ("PUT", "/pin")]
        {
            let answer =
                server.ask(method, &format!("/api/v1/backups/{name}{tail}"), Some(ADMIN), "{\"dry_run\": true}");
            assert!((400..500).contains(&answer.status), "{method} {name}{tail}: {} {}", answer.status, answer.text());
            assert!(!answer.text().contains("secret\n") && answer.body != b"secret", "{name}");
        }
    }
    for body in [
        r#"{"databases": ["--to=/tmp/x"], "dry_run": true}"#,
        r#"{"databases": ["../x"], "dry_run": true}"#,
        r#"{"set": "--all"}"#,
        r#"{"databases": "app"}"#,
        r#"{"force": true}"#,
        "[]",
        "{",
        "null",
        "\u{0}",
    ] {
        let answer = server.post("/api/v1/backups/app_20260301T030000Z.tar.gz/restore", body);
        assert!((400..500).contains(&answer.status), "{body}: {} {}", answer.status, answer.text());
    }
    for body in [r#"{"set": "--dry-run"}"#, r#"{"set": "a/b"}"#, r#"{"note": 7}"#, r#"{"path": "/etc/passwd"}"#] {
        let answer = server.post("/api/v1/backups", body);
        assert!((400..500).contains(&answer.status), "{body}: {} {}", answer.status, answer.text());
    }
    // A note that looks like options is a note.
    server.post("/api/v1/backups?wait=60", r#"{"note": "--dir=/tmp/elsewhere"}"#).is(200);
    assert_eq!(world.archives().len(), 2);
}

#[test]
fn requests_that_are_too_large_or_no_http_are_refused_and_others_go_on() {
    let world = world("");
    let server = Server::start(&world);
    let authorization = format!("Authorization: Bearer {ADMIN}\r\n");
    let large = server.with("POST", "/api/v1/backups", &authorization, &"x".repeat(1 << 20));
    assert_eq!(large.status, 413, "{}", large.text());
    let headers = format!("{authorization}X-Large: {}\r\n", "y".repeat(10 << 20));
    assert!([0, 400, 431].contains(&server.with("GET", "/api/v1/status", &headers, "").status));
    let many: String = (0..5000).map(|number| format!("X-{number}: 1\r\n")).collect();
    assert!([0, 400, 431].contains(&server.with("GET", "/api/v1/status", &many, "").status));
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        assert!([0, 400, 404, 505].contains(&server.send(bytes).status), "{bytes:?}");
    }
    // Two lengths, or a length and chunks, are how requests are smuggled past a proxy.
    let smuggled = format!(
        "POST /api/v1/backups HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x"
    );
    assert_eq!(server.send(smuggled.as_bytes()).status, 400);
    server.get("/api/v1/status").is(200);
    assert_eq!(world.archives().len(), 0);
}

#[test]
fn slow_senders_and_more_connections_than_allowed_do_not_shut_others_out() {
    let world = world("");
    let server = Server::start(&world);
    // As many as are held, which send a byte and then nothing: each is closed after a while.
    let mut idle: Vec<TcpStream> = (0..256).map(|_| server.connect()).collect();
    for stream in &mut idle {
        stream.write_all(b"G").unwrap();
    }
    let started = std::time::Instant::now();
    server.get("/api/v1/status").is(200);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    let mut rest = Vec::new();
    let _ = idle[0].read_to_end(&mut rest);
    // A body that does not come.
    let mut slow = server.connect();
    let head = format!(
        "POST /api/v1/backups HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\nContent-Length: 9\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).unwrap();
    let refused = answer(&mut slow);
    assert!([0, 408].contains(&refused.status), "{}", refused.headers);
    assert_eq!(world.archives().len(), 0);
}

#[test]
fn a_third_download_waits_and_a_client_that_goes_away_frees_its_place() {
    let world = world("");
    world.sql(
        "app.db",
        "CREATE TABLE b(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) \
                         INSERT INTO b SELECT randomblob(2000) FROM n",
    );
    let name = world.heirloom(["backup", "--config", "h.toml", "--json"]).success().json();
    let name = name["archive"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let server = Server::start(&world);
    let path = format!("/api/v1/backups/{name}/download");
    let begin = || {
        let mut stream = server.connect();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        stream
    };
    let (one, two) = (begin(), begin());
    let refused = server.get(&path).is(503);
    assert!(refused.header("retry-after").is_some());
    server.get("/api/v1/status").is(200);
    drop(one);
    let started = std::time::Instant::now();
    while server.ask("HEAD", &path, Some(ADMIN), "").status != 200 {
        assert!(started.elapsed().as_secs() < 30, "its place stays taken");
    }
    drop(two);
    server.ask("GET", &path, Some(VIEWER), "").is(403);
    assert_eq!(server.stop().0, 0);
}

#[test]
fn without_downloads_nothing_is_carried_away() {
    let world = world("download = false");
    let name = world.heirloom(["backup", "--config", "h.toml", "--json"]).success().json();
    let name = name["archive"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let server = Server::start(&world);
    server.get(&format!("/api/v1/backups/{name}/download")).is(403);
    server.get(&format!("/api/v1/backups/{name}")).is(200);
}

#[test]
fn only_a_trusted_proxy_is_believed_about_the_client() {
    for (trusted, who) in [("", "ops from 127.0.0.1"), ("trusted_proxy = ['127.0.0.1']", "ops from 203.0.113.7")] {
        let world = world(trusted);
        let server = Server::start(&world);
        let headers = format!("Authorization: Bearer {ADMIN}\r\nX-Forwarded-For: 10.9.9.9, 203.0.113.7\r\n");
        server.with("POST", "/api/v1/backups?wait=60", &headers, "").is(200);
        let log = world.heirloom(["log", "--config", "h.toml", "--json"]).json();
        assert_eq!(log["activities"][0]["user"], who, "{log}");
    }
}

/// A name that is not UTF-8 is one that nothing has, in the form of all errors.
#[test]
fn a_path_that_is_no_text_is_not_found() {
    let world = world("");
    let server = Server::start(&world);
    for path in ["/api/v1/backups/%FF", "/api/v1/backups/%FF/download", "/api/v1/jobs/%FF"] {
        assert_eq!(server.get(path).is(404).json()["error"]["code"], 12, "{path}");
        server.ask("GET", path, None, "").is(401);
    }
}

/// A client that says what an act cannot do would get more than it meant.
#[test]
fn what_an_act_does_not_choose_from_is_refused() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    let backup = format!("/api/v1/backups/{}", world.archives()[0]);
    let restore = format!("{backup}/restore");
    let (set, databases) = (r#""set": "app""#, r#""databases": ["app"]"#);
    for (method, path, choice) in [
        ("POST", "/api/v1/rotate", set),
        ("POST", "/api/v1/rotate", databases),
        ("DELETE", &backup, set),
        ("DELETE", &backup, databases),
        ("POST", "/api/v1/restore/undo", databases),
        ("POST", &restore, set),
    ] {
        let body = format!("{{\"dry_run\": true, {choice}}}");
        let refused = server.ask(method, path, Some(ADMIN), &body).is(400);
        assert!(refused.text().contains("cannot be chosen"), "{}", refused.text());
    }
}

#[test]
fn a_text_that_no_command_line_can_hold_is_refused() {
    let world = world("");
    let server = Server::start(&world);
    server.post("/api/v1/backups?wait=60", r#"{"note": "a\u0000b"}"#).is(400);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    browser.post("/backups", "set=app&note=a%00b").is(400);
    assert!(!world.path("backups").exists());
}

/// A proxy in front of the server asks for a password of its own, which the browser sends with each request.
#[test]
fn a_password_of_a_proxy_is_no_token() {
    let world = world("");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let with = |authorization: &str| {
        let headers = format!("Host: localhost\r\nCookie: {}\r\nAuthorization: {authorization}\r\n", browser.cookie);
        request(&server, "GET", "/api/v1/sets", &headers, "")
    };
    with("Basic eDp5").is(200);
    with("Bearer wrong").is(401);
    with(&format!("Bearer {VIEWER}")).is(200);
}

/// The log is busy for longer than anybody waits for it. The server's own log has the entry then, and before the client
/// has anything.
#[test]
fn a_download_is_written_down_before_its_first_byte() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    let log = rusqlite::Connection::open(world.path("backups/.heirloom/activity.db")).unwrap();
    log.execute_batch("BEGIN EXCLUSIVE").unwrap();
    server.get(&format!("/api/v1/backups/{}/download", world.archives()[0])).is(200);
    let said = server.run.said();
    assert!(said.contains("download of app_") && said.contains("(not in the activity log"), "{said}");
}
