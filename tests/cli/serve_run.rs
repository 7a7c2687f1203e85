//! `heirloom run --listen`: the server beside an application.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::run_world::{Run, live, nobody_is_left};
use crate::serve_world::{ADMIN, Server, world};

/// Starts an application that waits, with a server at an address.
fn start(world: &crate::world::World, address: &str) -> Run {
    let words = ["run", "--config", "h.toml", "--listen", address, "--as-root", "--", "sleep", "600"];
    Run::start(world, &mut live(world, words))
}

#[test]
fn a_server_answers_beside_the_application_and_ends_with_it() {
    let world = world("");
    // Free again, as far as anybody can say.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut run = start(&world, &address);
    run.says(&format!("the admin server is started at {address}"));
    run.until(|_| std::net::TcpStream::connect(&address).is_ok(), "it answers");
    run.says("saved app_");
    let mut server = Server { run, address };
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    let made = server.post("/api/v1/backups?wait=60", "").is(200).json();
    assert_eq!((&made["state"], &made["by"]), (&"done".into(), &"ops from 127.0.0.1".into()), "{made}");
    assert!(server.ask("GET", "/api/v1/status", Some(ADMIN), "").is(200).json()["supervisor"].is_string());
    server.run.signal(Signal::TERM);
    assert_eq!(server.run.code(), 143, "{}", server.run.said());
    assert!(std::net::TcpStream::connect(&server.address).is_err());
    nobody_is_left(&world);
}

#[test]
fn a_port_that_is_taken_does_not_keep_the_application_from_starting() {
    let world = world("");
    let text = fs::read_to_string(world.path("h.toml")).unwrap();
    let receiver = world.path("receiver");
    fs::write(&receiver, format!("#!/bin/sh\ncat >>{}\n", world.path("got").display())).unwrap();
    fs::set_permissions(&receiver, fs::Permissions::from_mode(0o755)).unwrap();
    let notify = format!("[notify.alert]\non = 'failure'\ncommand = ['{}']\n", receiver.display());
    fs::write(world.path("h.toml"), text + &notify).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut run = start(&world, &taken.local_addr().unwrap().to_string());
    run.says("started sleep as process");
    run.says("warning: the admin server ended: cannot serve on");
    run.says("saved app_");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 143, "{}", run.said());
    let got: Value = serde_json::from_str(&fs::read_to_string(world.path("got")).unwrap()).unwrap();
    assert!(got.to_string().contains("cannot serve on"), "{got:#}");
}
