//! `heirloom serve` without tokens: the one-time code, and what is left of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::run_world::{Run, live};
use crate::serve_world::{Answer, Server};
use crate::terminal::interrupt_at;
use crate::world::World;

fn world() -> World {
    let world = World::new();
    world.database("app.db");
    fs::write(world.path("h.toml"), "[sets.app.databases]\napp = 'app.db'\n").unwrap();
    world
}

/// The files with a code.
fn files(world: &World) -> Vec<PathBuf> {
    let folder = PathBuf::from(world.root()).join("state");
    let paths = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("sign-in-code-")).collect()
}

/// The code in the only file, which the server named on stderr.
fn code(world: &World, said: &str) -> String {
    let [file] = &files(world)[..] else { panic!("{:?}", files(world)) };
    assert!(said.contains(&format!("no token is configured; the code in \"{}\"", file.display())), "{said}");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o600);
    let code = fs::read_to_string(file).unwrap().trim().to_owned();
    assert_eq!((code.len(), said.contains(&code)), (64, false), "{said}");
    code
}

fn sign_in(server: &Server, code: &str) -> Answer {
    let body = format!("token={code}");
    let head = "POST /sign-in HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nOrigin: http://localhost\r\n";
    server.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

fn gone(mut server: Server, world: &World) -> Server {
    server.run.until(|_| files(world).is_empty(), "the file is removed");
    server
}

#[test]
fn a_code_from_a_file_signs_in_once_and_is_no_bearer_token() {
    let world = world();
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    let code = code(&world, &server.run.said());
    let form = server.with("GET", "/sign-in", "", "").is(200).text();
    assert!(form.contains("One-time code"), "{form}");
    assert_eq!(server.ask("GET", "/api/v1/status", Some(&code), "").status, 401, "never as a bearer token");
    let refused = sign_in(&server, &code.replace(char::is_numeric, "x")).is(401).text();
    assert!(refused.contains("This code is not valid"), "{refused}");
    let foreign = format!("token={code}");
    let head = "POST /sign-in HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nOrigin: http://evil.example\r\n";
    server.send(format!("{head}Content-Length: {}\r\n\r\n{foreign}", foreign.len()).as_bytes()).is(403);
    assert_eq!(files(&world).len(), 1, "nobody has come in so far");

    let cookie = sign_in(&server, &code).is(303).header("set-cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let server = gone(server, &world);
    sign_in(&server, &code).is(401);
    let session = format!("GET /backups HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
    let page = server.send(session.as_bytes()).is(200).text();
    assert!(page.contains("Back up now"), "an administrator: {page}");
    assert_eq!(server.ask("GET", "/api/v1/status", Some(&code), "").status, 401);
    assert_eq!(server.stop().0, 0);

    let log = world.heirloom(["log", "--config", "h.toml", "--json"]).json();
    let log = log["activities"].as_array().unwrap();
    let by = |user: &str, outcome: &str| {
        let is_one =
            |one: &&serde_json::Value| one["command"] == "sign-in" && one["user"] == user && one["outcome"] == outcome;
        log.iter().filter(is_one).count()
    };
    assert_eq!(by("one-time code from 127.0.0.1", "done"), 1, "{log:?}");
    assert!(by("unknown token from 127.0.0.1", "refused") >= 1, "{log:?}");
    assert!(!serde_json::Value::from(log.clone()).to_string().contains(&code));
}

#[test]
fn an_unused_code_ends_with_its_server_and_a_killed_one_leaves_a_file_that_nobody_accepts() {
    let world = world();
    let server = Server::start(&world);
    code(&world, &server.run.said());
    assert_eq!(server.stop().0, 0);
    assert!(files(&world).is_empty());

    // It cannot listen.
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    world.heirloom(["serve", "--config", "h.toml", "--as-root", "--listen", &address]).exits(1).says("cannot serve on");
    assert!(files(&world).is_empty());

    let mut server = Server::start(&world);
    let old = code(&world, &server.run.said());
    server.run.signal(Signal::KILL);
    server.run.code();
    let left = files(&world);
    assert_eq!(left.len(), 1);
    let server = Server::start(&world);
    sign_in(&server, &old).is(401);
    assert_eq!(files(&world).len(), 2, "another server may have made it a moment ago");
    assert_eq!(server.stop().0, 0);
    assert_eq!(files(&world), left);
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    fs::File::options().write(true).open(&left[0]).unwrap().set_modified(hour_ago).unwrap();
    let server = Server::start(&world);
    code(&world, &server.run.said());
    assert!(!left[0].exists());
    assert_eq!(server.stop().0, 0);
}

#[test]
fn a_terminal_shows_the_code_and_no_file_has_it() {
    let world = world();
    let words = ["serve", "--config", "h.toml", "--as-root", "--listen", "127.0.0.1:0"];
    let screen = interrupt_at("listening on", &mut live(&world, words));
    let is_code = |line: &&str| line.len() == 64 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert_eq!(screen.text.lines().map(str::trim).filter(is_code).count(), 1, "{}", screen.text);
    assert!(screen.text.contains("no token is configured"), "{}", screen.text);
    assert!(files(&world).is_empty());
}

#[test]
fn a_server_beside_an_application_names_the_file_in_the_log_of_the_run() {
    let world = world();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let words = ["run", "--config", "h.toml", "--listen", &address, "--as-root", "--", "sleep", "600"];
    let mut run = Run::start(&world, &mut live(&world, words));
    run.says("the admin server: no token is configured; the code in \"");
    let code = code(&world, &run.said());
    run.until(|_| std::net::TcpStream::connect(&address).is_ok(), "it answers");
    let server = Server { run, address };
    sign_in(&server, &code).is(303);
    let mut server = gone(server, &world);
    server.run.signal(Signal::TERM);
    assert_eq!(server.run.code(), 143, "{}", server.run.said());
}

#[test]
fn a_sign_in_before_there_is_a_store_is_in_the_log_of_the_server() {
    let world = world();
    let mut server = Server::start(&world);
    let code = code(&world, &server.run.said());
    sign_in(&server, "a-guess").is(401);
    server.run.says("warning: sign-in refused: unknown token from 127.0.0.1 (not in the activity log: ");
    sign_in(&server, &code).is(303);
    server.run.says("warning: sign-in done: one-time code from 127.0.0.1 (not in the activity log: ");
    let (status, said) = server.stop();
    assert_eq!((status, said.contains(&code), said.contains("a-guess")), (0, false, false), "{said}");
    assert!(!world.path("backups").exists(), "a store is made by its first backup");
}
