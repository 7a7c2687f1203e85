//! `heirloom serve`: who may what, and what each request does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::run_world::{Run, live};
use crate::serve_world::{ADMIN, Server, VIEWER, world};
use crate::tools::{have, installed};
use crate::world::World;

const OPENAPI: &str = include_str!("../../src/server/openapi.json");

/// Each method of each path of the document, with its role.
fn operations() -> Vec<(String, String, String)> {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let role = operation["x-role"].as_str().unwrap().to_owned();
            all.push((method.to_uppercase(), path.clone(), role));
        }
    }
    all
}

fn backed_up(server: &Server) -> String {
    let job = server.post("/api/v1/backups?wait=60", "").is(200).json();
    assert_eq!(job["state"], "done", "{job}");
    job["document"]["archive"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[test]
fn each_operation_is_open_to_its_role_alone() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    let all = operations();
    assert!(all.len() > 15, "{all:?}");
    for (method, path, role) in &all {
        let path = path.replace("{name}", "app_20260301T030000Z.tar.gz").replace("{id}", "0123");
        for (token, name) in [(None, "nobody"), (Some("heirloom_guess"), "a guess"), (Some(""), "an empty one")] {
            let refused = server.ask(method, &path, token, "").is(401);
            assert_eq!(refused.header("www-authenticate").as_deref(), Some("Bearer realm=\"heirloom\""), "{name}");
        }
        let status = server.ask(method, &path, Some(VIEWER), "").status;
        match role.as_str() {
            "admin" => assert_eq!(status, 403, "{method} {path}"),
            _ => assert!(![401, 403, 405].contains(&status), "{method} {path}: {status}"),
        }
        let status = server.ask(method, &path, Some(ADMIN), "{\"dry_run\": true}").status;
        assert!(![401, 403, 405, 500].contains(&status), "{method} {path}: {status}");
    }
    assert_eq!(server.ask("GET", "/metrics", None, "").status, 401);
    assert!(server.ask("GET", "/metrics", Some(VIEWER), "").is(200).text().contains("# TYPE heirloom_"));
    assert_eq!(server.ask("GET", "/livez", None, "").is(200).text(), "ok\n");
    assert_eq!(server.ask("GET", "/readyz", None, "").is(200).text(), "ok\n");
    assert_eq!(server.ask("PATCH", "/api/v1/status", Some(ADMIN), "").status, 405);
    assert_eq!(server.ask("GET", "/admin/backup-status", Some(ADMIN), "").status, 404, "switched off");
    // Posit Connect's clients name the scheme `Key`, and schemes have no case.
    assert_eq!(server.with("GET", "/api/v1/status", &format!("Authorization: Key {ADMIN}\r\n"), "").status, 200);
    assert_eq!(server.with("GET", "/api/v1/status", &format!("authorization: BEARER {ADMIN}\r\n"), "").status, 200);
    assert_eq!(server.with("GET", "/api/v1/status", &format!("Cookie: token={ADMIN}\r\n"), "").status, 401);
    assert_eq!(server.ask("GET", &format!("/api/v1/status?token={ADMIN}"), None, "").status, 401);
    let log = world.heirloom(["log", "--config", "h.toml", "--json"]).json().to_string();
    assert!(log.contains("eyes from 127.0.0.1") || log.contains("unknown token from 127.0.0.1"), "{log}");
    assert!(!log.contains(ADMIN) && !log.contains("guess"), "{log}");
    assert_eq!(server.stop().0, 0);
}

#[test]
fn every_answer_carries_the_headers_that_keep_others_out() {
    let world = world("");
    let server = Server::start(&world);
    for path in ["/", "/api/v1/status", "/livez", "/nothing", "/api/v1/backups/x/download"] {
        for token in [None, Some(ADMIN)] {
            let answer = server.ask("GET", path, token, "");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"));
            assert_eq!(answer.header("referrer-policy").as_deref(), Some("same-origin"));
            assert!(answer.header("cache-control").unwrap().contains("no-store"));
            assert!(answer.header("access-control-allow-origin").is_none() && answer.header("server").is_none());
        }
    }
}

#[test]
fn a_backup_is_made_looked_at_downloaded_in_parts_pinned_and_deleted() {
    let world = world("");
    let server = Server::start(&world);
    let made = server.post("/api/v1/backups?wait=60", r#"{"set": "app", "note": "--force <b>\"'"}"#).is(200).json();
    assert_eq!((&made["state"], &made["command"]), (&"done".into(), &"backup".into()), "{made}");
    let name = made["document"]["archive"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let shown = server.get(&format!("/api/v1/backups/{name}")).is(200).json();
    assert_eq!(shown["metadata"]["note"], "--force <b>\"'");
    let job = server.get(&format!("/api/v1/jobs/{}", made["id"].as_str().unwrap())).is(200).json();
    assert_eq!(job, made);
    let again = server.post("/api/v1/backups?wait=60", r#"{"if_changed": true}"#).is(200).json();
    assert_eq!(again["document"]["outcome"], "unchanged");

    let bytes = fs::read(world.path(format!("backups/{name}"))).unwrap();
    let path = format!("/api/v1/backups/{name}/download");
    let whole = server.get(&path).is(200);
    assert_eq!(whole.body, bytes);
    assert_eq!(whole.header("content-disposition"), Some(format!("attachment; filename=\"{name}\"")));
    let tag = whole.header("etag").unwrap();
    let authorization = format!("Authorization: Bearer {ADMIN}\r\n");
    let part =
        server.with("GET", &path, &format!("{authorization}Range: bytes=100-199\r\nIf-Range: {tag}\r\n"), "").is(206);
    assert_eq!(part.body, bytes[100..200]);
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-199/{}", bytes.len())));
    let part = server.with("GET", &path, &format!("{authorization}Range: bytes=-5\r\n"), "").is(206);
    assert_eq!(part.body, bytes[bytes.len() - 5..]);
    let stale =
        server.with("GET", &path, &format!("{authorization}Range: bytes=0-1\r\nIf-Range: \"x\"\r\n"), "").is(200);
    assert_eq!(stale.body, bytes, "another file: all of it");
    server.with("GET", &path, &format!("{authorization}Range: bytes=99999999-\r\n"), "").is(416);
    let head = server.ask("HEAD", &path, Some(ADMIN), "").is(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some(bytes.len().to_string()), 0));

    let pin = format!("/api/v1/backups/{name}/pin");
    server.ask("PUT", &pin, Some(ADMIN), "").is(200);
    assert_eq!(server.get("/api/v1/backups").is(200).json()["archives"][0]["pinned"], true);
    server.ask("DELETE", &pin, Some(ADMIN), "").is(200);
    let verified = server.post(&format!("/api/v1/backups/{name}/verify?wait=60"), "").is(200).json();
    assert_eq!(verified["document"]["archives"][0]["state"], "ok");

    let delete = format!("/api/v1/backups/{name}");
    assert_eq!(
        server.ask("DELETE", &format!("{delete}?wait=60"), Some(ADMIN), r#"{"dry_run": true}"#).is(409).json()["error"]
            ["code"],
        14,
        "the last one"
    );
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    backed_up(&server);
    let plan = server.ask("DELETE", &format!("{delete}?wait=60"), Some(ADMIN), r#"{"dry_run": true}"#).is(200).json();
    assert!(world.path(format!("backups/{name}")).exists(), "only planned");
    server.ask("DELETE", &delete, Some(ADMIN), "").is(400);
    let act = format!("{{\"plan\": {}}}", plan["plan"]);
    server.ask("DELETE", &format!("{delete}?wait=60"), Some(ADMIN), &act).is(200);
    assert!(!world.path(format!("backups/{name}")).exists());
    server.get(&delete).is(404);
    let log = world.heirloom(["log", "--config", "h.toml", "--json"]).json();
    let log = log["activities"].as_array().unwrap();
    let by = |command: &str| {
        log.iter().filter(|one| one["command"] == command && one["user"] == "ops from 127.0.0.1").count()
    };
    assert_eq!((by("download"), by("delete"), by("verify")), (4, 1, 1), "{log:?}");
    assert!(by("backup") >= 2 && by("pin") == 1, "{log:?}");
}

#[test]
fn a_restore_is_the_one_that_was_planned_and_is_taken_back() {
    let world = world("");
    let server = Server::start(&world);
    let name = backed_up(&server);
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    let path = format!("/api/v1/backups/{name}/restore?wait=60");
    let planned = server.post(&path, r#"{"dry_run": true}"#).is(200).json();
    assert_eq!(planned["document"]["databases"][0]["rows_before"], 10);
    // The application goes on writing: that is no other plan. Another schema is.
    world.sql("app.db", "DELETE FROM notes WHERE id = 10");
    let act = format!("{{\"plan\": {}}}", planned["plan"]);
    let other = server.post(&path, &act.replacen(char::is_numeric, "x", 1)).is(409).json();
    assert_eq!(other["plan"], planned["plan"], "{other}");
    world.sql("app.db", "CREATE TABLE more(x)");
    let changed = server.post(&path, &act).is(409).json();
    assert_ne!(changed["plan"], planned["plan"], "{changed}");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "9", "nothing was restored");
    let act = format!("{{\"plan\": {}}}", changed["plan"]);
    let done = server.post(&path, &act).is(200).json();
    assert_eq!(done["state"], "done", "{done}");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");

    let plan = server.post("/api/v1/restore/undo?wait=60", r#"{"dry_run": true, "set": "app"}"#).is(200).json();
    let act = format!("{{\"plan\": {}, \"set\": \"app\"}}", plan["plan"]);
    server.post("/api/v1/restore/undo?wait=60", &act).is(200);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "9");
    let plan = server.post("/api/v1/rotate?wait=60", r#"{"dry_run": true}"#).is(200).json();
    server.post("/api/v1/rotate?wait=60", &format!("{{\"plan\": {}}}", plan["plan"])).is(200);
}

#[test]
fn one_job_that_changes_something_runs_at_a_time_and_can_be_cancelled() {
    let world = world("stop_timeout = '1h'");
    let lock = rusqlite::Connection::open(world.path("app.db")).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let server = Server::start(&world);
    let job = server.post("/api/v1/backups", "").is(202).json();
    let id = job["id"].as_str().unwrap();
    assert_eq!(job["state"], "running");
    let other = server.post("/api/v1/backups", "").is(409).json();
    assert_eq!(other["job"], id, "{other}");
    server.get("/api/v1/status").is(200);
    let started = std::time::Instant::now();
    while server.get(&format!("/api/v1/jobs/{id}")).is(200).json()["stage"] != "lock" {
        assert!(started.elapsed().as_secs() < 60, "no progress");
    }
    server.ask("POST", &format!("/api/v1/jobs/{id}/cancel"), Some(VIEWER), "").is(403);
    server.post(&format!("/api/v1/jobs/{id}/cancel"), "").is(202);
    let ended = loop {
        let job = server.get(&format!("/api/v1/jobs/{id}")).is(200).json();
        if job["state"] != "running" {
            break job;
        }
    };
    assert_eq!((&ended["state"], ended["code"].as_u64()), (&"cancelled".into(), Some(143)), "{ended}");
    // At a stop the one that runs may end.
    server.post("/api/v1/backups", "").is(202);
    drop(lock);
    assert_eq!(server.stop().0, 0);
    assert_eq!(world.archives().len(), 1);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn a_stop_ends_a_job_that_takes_too_long() {
    let world = world("stop_timeout = '100ms'");
    let lock = rusqlite::Connection::open(world.path("app.db")).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let server = Server::start(&world);
    server.post("/api/v1/backups", "").is(202);
    assert_eq!(server.stop().0, 0);
    assert_eq!((world.archives().len(), world.leftovers().len()), (0, 0));
}

#[test]
fn the_sets_are_listed_with_their_databases_before_there_is_a_backup() {
    let world = world("");
    world.database("more.db");
    let configured = fs::read_to_string(world.path("h.toml")).unwrap();
    fs::write(world.path("h.toml"), format!("{configured}[sets.other.databases]\nx = 'more.db'\ny = 'none.db'\n"))
        .unwrap();
    let server = Server::start(&world);
    let sets = server.ask("GET", "/api/v1/sets", Some(VIEWER), "").is(200).json();
    let file = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let expected = serde_json::json!({ "store": "backups", "sets": [
        { "set": "app", "databases": [{ "name": "app", "path": file("app.db") }] },
        { "set": "other", "databases": [
            { "name": "x", "path": file("more.db") },
            { "name": "y", "path": file("none.db") },
        ] },
    ] });
    assert_eq!(sets, expected);
}

#[test]
fn a_list_comes_in_pages() {
    let mut world = world("");
    for day in 1..=7 {
        world.env("HEIRLOOM_NOW", &format!("2026-03-{day:02}T03:00:00Z"));
        world.heirloom(["backup", "--config", "h.toml"]).success();
    }
    let server = Server::start(&world);
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/backups?set=app&limit=3{next}")).is(200).json();
        let names = page["archives"].as_array().unwrap().iter().map(|one| one["archive"].as_str().unwrap().to_owned());
        seen.extend(names);
        let Some(last) = page["next"].as_str() else { break };
        next = format!("&before={last}");
    }
    let mut all = world.archives();
    all.reverse();
    assert_eq!(seen, all);
    for query in ["limit=x", "limit=0", "limit=101"] {
        assert_eq!(server.get(&format!("/api/v1/backups?{query}")).is(400).json()["error"]["code"], 2, "{query}");
    }
    assert_eq!(server.post("/api/v1/backups?wait=601", "").is(400).json()["error"]["code"], 2);
    server.get("/api/v1/backups?sets=app").is(400);
}

#[test]
fn the_paths_of_the_old_applications_answer_if_that_is_asked_for() {
    let world = world("legacy_paths = true");
    let server = Server::start(&world);
    assert_eq!(server.post("/admin/backup-database", "").is(200).json()["success"], true);
    let info = server.get("/admin/backup-info").is(200).json();
    let name = info["archive"].as_str().unwrap().to_owned();
    assert!(server.get("/admin/backup-status").is(200).json()["sets"].is_array());
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    assert_eq!(server.post("/admin/restore-database", "").is(200).json()["success"], true);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");

    assert_eq!(server.post("/api/admin/database/backup", "").is(200).json()["success"], true);
    let list = server.get("/api/admin/database/backups").is(200).json();
    assert!(list["archives"].as_array().unwrap().len() >= 2, "{list}");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    server.post("/api/admin/database/restore", &format!("{{\"filename\": \"{name}\"}}")).is(200);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    let file = server.get(&format!("/api/admin/database/backup/{name}/download")).is(200);
    assert_eq!(file.body, fs::read(world.path(format!("backups/{name}"))).unwrap());
    server.ask("DELETE", &format!("/api/admin/database/backup/{name}"), Some(ADMIN), "").is(200);
    assert!(!world.path(format!("backups/{name}")).exists());
    assert!(server.get("/api/admin/database/health").is(200).json()["checks"].is_array());
    let failed = server.post("/api/admin/database/restore", "{\"name\": \"app_20200101T000000Z.tar.gz\"}").is(404);
    assert_eq!(failed.json()["success"], false);
    // Whoever names another backup than can be understood does not mean the latest one.
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    for body in [r#"{"backup_name": null}"#, r#"{"name": 7}"#, r#"{"backupName": "a"}"#, "[]", "null"] {
        server.post("/admin/restore-database", body).is(400);
        server.post("/api/admin/database/restore", body).is(400);
    }
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10");
    for (method, path) in [("POST", "/admin/backup-database"), ("GET", "/api/admin/database/backups")] {
        server.ask(method, path, None, "").is(401);
    }
    server.ask("POST", "/admin/restore-database", Some(VIEWER), "").is(403);
}

#[test]
fn the_requests_of_the_old_front_ends_end_in_a_restored_database() {
    if !installed("the requests of the old front ends", &["curl", "sqlite3", "python3"]) {
        return;
    }
    let world = world("legacy_paths = true");
    let server = Server::start(&world);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/serve_legacy/old_front_ends.sh");
    let ran = world.run(&mut world.shell(&format!("exec bash {script} http://{} {ADMIN} app.db", server.address)));
    assert!(ran.success().stdout.contains("all requests of the old front ends are answered"));
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn it_starts_only_where_it_can_be_safe() {
    let world = world("");
    let refused = |words: &[&str]| world.heirloom([&["serve", "--config", "h.toml"], words].concat()).exits(2);
    if rustix::process::getuid().is_root() {
        refused(&["--listen", "127.0.0.1:0"]).says("as root");
    }
    refused(&["--listen", "localhost"]).says("not an address");
    let bare = World::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let ran = bare.heirloom(["serve", "--as-root", "--listen", address]).exits(2);
        ran.says("no token is configured").says("serve token");
    }
    assert!(!std::path::Path::new(bare.root()).join("state").exists(), "no code was made");
    fs::rename(world.path("h.toml"), world.path("heirloom.toml")).unwrap();
    world.heirloom(["serve", "--as-root"]).exits(2).says("only found in the working directory").says("who gets in");
    fs::write(world.path("short"), "heirloom_tooshort\n").unwrap();
    fs::write(world.path("h.toml"), "[server.tokens.a]\nrole = 'admin'\ntoken_file = 'short'\n").unwrap();
    world.heirloom(["serve", "--as-root", "--config", "h.toml"]).exits(2).says("too short");
    for (text, what) in [
        ("role = 'root'\ntoken_file = 'x'", "server.tokens.a.role: must be \"viewer\" or \"admin\""),
        ("token_file = 'x'", "names no role"),
        ("role = 'admin'", "has neither sha256 nor token_file"),
        ("role = 'admin'\nsha256 = '12'", "server.tokens.a.sha256: must be the digest"),
        ("role = 'admin'\ntoken = 'secret-in-the-file'", "server.tokens.a.token: is not a setting of a token"),
    ] {
        fs::write(world.path("h.toml"), format!("[server.tokens.a]\n{text}\n")).unwrap();
        let ran = world.heirloom(["list", "--config", "h.toml"]).exits(2).says(what);
        assert!(!ran.stderr.contains("secret-in-the-file"), "{}", ran.stderr);
    }
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let other = crate::serve_world::world("");
    other.heirloom(["serve", "--config", "h.toml", "--as-root", "--listen", &address]).exits(1).says("cannot serve on");
}

#[test]
fn a_new_token_gets_in_and_only_its_digest_is_kept() {
    let world = World::new();
    world.database("app.db");
    let made = world.heirloom(["serve", "token", "--role", "admin", "--name", "ops", "--json"]).success().json();
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("heirloom_") && token.len() == 9 + 64, "{token}");
    let text = world.heirloom(["serve", "token"]).success();
    assert!(text.stderr.contains("[server.tokens.admin]\nrole = \"viewer\"\nsha256 = \""), "{}", text.stderr);
    assert!(!text.stderr.contains(text.stdout.trim()), "the token itself is on stdout alone");
    let file = format!("[server.tokens.ops]\nrole = \"admin\"\nsha256 = {}\n", made["sha256"]);
    fs::write(world.path("h.toml"), file).unwrap();
    let server = Server::start(&world);
    server.ask("GET", "/api/v1/status", Some(token), "").is(200);
}

#[test]
fn a_socket_is_for_its_group_and_replaces_what_a_killed_server_left() {
    let world = world("");
    let start = || {
        let words = ["serve", "--config", "h.toml", "--listen", "unix:admin.sock"];
        let mut run = Run::start(&world, &mut live(&world, words));
        run.says("listening on unix:admin.sock");
        run
    };
    let curl = || {
        let script =
            format!("curl -s --unix-socket admin.sock -H 'Authorization: Bearer {ADMIN}' http://x/api/v1/status");
        world.run(&mut world.shell(&script))
    };
    if !have("serve on a Unix socket", &["curl"]) {
        return;
    }
    let mut run = start();
    let mode = fs::metadata(world.path("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(curl().success().stdout.contains("\"sets\""));
    world.heirloom(["serve", "--config", "h.toml", "--listen", "unix:admin.sock"]).exits(1).says("cannot serve on");
    run.signal(rustix::process::Signal::KILL);
    run.code();
    assert!(world.path("admin.sock").exists(), "left behind");
    let mut run = start();
    assert!(curl().success().stdout.contains("\"sets\""));
    run.signal(rustix::process::Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    assert!(!world.path("admin.sock").exists());
    fs::write(world.path("admin.sock"), "a file of somebody").unwrap();
    world.heirloom(["serve", "--config", "h.toml", "--listen", "unix:admin.sock"]).exits(1);
    assert_eq!(fs::read_to_string(world.path("admin.sock")).unwrap(), "a file of somebody");
}
