//! `heirloom serve`: tokens that come, change and go while the server runs.

use std::fs;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::serve_world::{ADMIN, Server, VIEWER, world};
use crate::world::World;

const NEW: &str = "heirloom_new-0123456789abcdef0123456789abcdef";

/// A configuration with these tokens: name, role and text.
fn text(tokens: &[(&str, &str, &str)]) -> String {
    let mut text = "[sets.app.databases]\napp = 'app.db'\n".to_owned();
    for (name, role, token) in tokens {
        let digest: String = Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("[server.tokens.{name}]\nrole = '{role}'\nsha256 = '{digest}'\n");
    }
    text
}

/// Writes the configuration as an editor does: beside the old one, and over it.
fn replace(world: &World, text: &str) {
    fs::write(world.path("h.toml.new"), text).unwrap();
    fs::rename(world.path("h.toml.new"), world.path("h.toml")).unwrap();
}

fn bearer(server: &Server, token: &str) -> u16 {
    server.ask("GET", "/api/v1/openapi.json", Some(token), "").status
}

/// Signs in, and returns the cookie.
fn sign_in(server: &Server, token: &str) -> Option<String> {
    let body = format!("token={token}");
    let head = "POST /sign-in HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nOrigin: http://localhost\r\n";
    let answer = server.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    Some(answer.header("set-cookie")?.split(';').next().unwrap().to_owned())
}

/// What the page answers: 404 for a job that does not exist, and 303 sends to the sign-in form.
fn session(server: &Server, cookie: &str) -> u16 {
    let head = "GET /jobs/0 HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\n";
    server.send(format!("{head}Cookie: {cookie}\r\n\r\n").as_bytes()).status
}

fn until(holds: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed().as_secs() < 60, "never");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_token_that_is_removed_ends_with_its_sessions_and_the_others_stay() {
    let world = world("");
    let server = Server::start(&world);
    let (ops, eyes) = (sign_in(&server, ADMIN).unwrap(), sign_in(&server, VIEWER).unwrap());
    assert_eq!((session(&server, &ops), session(&server, &eyes), bearer(&server, VIEWER)), (404, 404, 200));
    replace(&world, &text(&[("ops", "admin", ADMIN)]));
    until(|| session(&server, &eyes) == 303);
    assert_eq!((bearer(&server, VIEWER), sign_in(&server, VIEWER)), (401, None));
    assert_eq!((session(&server, &ops), bearer(&server, ADMIN)), (404, 200));

    // One comes, written into the same file.
    fs::write(world.path("h.toml"), text(&[("ops", "admin", ADMIN), ("new", "viewer", NEW)])).unwrap();
    until(|| bearer(&server, NEW) == 200);
    let new = sign_in(&server, NEW).unwrap();
    assert_eq!(server.ask("POST", "/api/v1/rotate", Some(NEW), "").status, 403);
    // The same token may do more from now on, and signs in anew for it.
    replace(&world, &text(&[("ops", "admin", ADMIN), ("new", "admin", NEW)]));
    until(|| session(&server, &new) == 303);
    assert_ne!(server.ask("POST", "/api/v1/rotate", Some(NEW), "").status, 403);
    assert_eq!(session(&server, &ops), 404);
    let (code, said) = server.stop();
    assert_eq!((code, said.contains("the tokens stay")), (0, false), "{said}");
}

#[test]
fn half_an_edit_keeps_the_tokens_and_is_reported_once() {
    let world = world("");
    let mut server = Server::start(&world);
    let eyes = sign_in(&server, VIEWER).unwrap();
    let good = text(&[("ops", "admin", ADMIN)]);
    fs::write(world.path("h.toml"), format!("{good}[server.tok")).unwrap();
    let knock = |server: &mut Server, times: usize, what: &str| {
        until(|| bearer(server, ADMIN) == 200 && server.run.said().matches(what).count() == times);
    };
    let kept = "warning: the tokens stay as they were: ";
    knock(&mut server, 1, kept);
    assert_eq!((bearer(&server, VIEWER), session(&server, &eyes)), (200, 404));
    // Longer than the pause between two looks.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(1100));
        assert_eq!(bearer(&server, VIEWER), 200);
    }
    assert_eq!(server.run.said().matches(kept).count(), 1, "{}", server.run.said());
    // It is away for a moment.
    fs::remove_file(world.path("h.toml")).unwrap();
    knock(&mut server, 2, kept);
    assert_eq!(bearer(&server, VIEWER), 200);
    fs::write(world.path("h.toml"), &good).unwrap();
    until(|| bearer(&server, VIEWER) == 401 && session(&server, &eyes) == 303);
}

#[test]
fn a_token_in_a_file_of_its_own_is_read_again_too() {
    let world = world("");
    fs::write(world.path("token"), VIEWER).unwrap();
    replace(&world, "[sets.app.databases]\napp = 'app.db'\n[server.tokens.a]\nrole = 'viewer'\ntoken_file = 'token'\n");
    let server = Server::start(&world);
    assert_eq!((bearer(&server, VIEWER), bearer(&server, NEW)), (200, 401));
    fs::write(world.path("token"), NEW).unwrap();
    until(|| bearer(&server, NEW) == 200);
    assert_eq!(bearer(&server, VIEWER), 401);
}

#[test]
fn the_first_token_can_be_added_to_a_server_that_has_none() {
    let world = world("");
    replace(&world, &text(&[]));
    let server = Server::start(&world);
    let form = || server.with("GET", "/sign-in", "", "").is(200).text();
    assert!(form().contains("One-time code"));
    let said = server.run.said();
    let file = said.split("the code in \"").nth(1).unwrap().split('"').next().unwrap();
    let code = fs::read_to_string(file).unwrap();
    replace(&world, &text(&[("ops", "admin", ADMIN)]));
    until(|| bearer(&server, ADMIN) == 200);
    assert!(!form().contains("One-time code"));
    assert_eq!(sign_in(&server, code.trim()), None, "the code was for a server without tokens");
    assert!(sign_in(&server, ADMIN).is_some());
}

#[test]
fn a_session_of_the_one_time_code_ends_when_a_token_is_configured() {
    let world = world("");
    replace(&world, &text(&[]));
    let server = Server::start(&world);
    let said = server.run.said();
    let file = said.split("the code in \"").nth(1).unwrap().split('"').next().unwrap();
    let cookie = sign_in(&server, fs::read_to_string(file).unwrap().trim()).unwrap();
    assert_eq!(session(&server, &cookie), 404);
    // Another edit is none of its business.
    replace(&world, &(text(&[]) + "# a remark\n"));
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(session(&server, &cookie), 404);
    replace(&world, &text(&[("ops", "admin", ADMIN)]));
    until(|| session(&server, &cookie) == 303);
    assert_eq!(bearer(&server, ADMIN), 200);
}

/// As two edits within one tick of the clock of the file system leave it.
#[test]
fn an_edit_that_changed_neither_size_nor_time_was_missed() {
    let world = world("");
    let server = Server::start(&world);
    let eyes = sign_in(&server, VIEWER).unwrap();
    assert_eq!((bearer(&server, VIEWER), session(&server, &eyes)), (200, 404));
    let path = world.path("h.toml");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let hex =
        |token: &str| Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let edited = fs::read_to_string(&path).unwrap().replace(&hex(VIEWER), &hex(NEW));
    fs::write(&path, edited).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    until(|| bearer(&server, NEW) == 200);
    assert_eq!((bearer(&server, VIEWER), session(&server, &eyes)), (401, 303));
}
