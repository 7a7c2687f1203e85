//! `heirloom serve`: notices of downloads.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::run_world::live;
use crate::serve_world::{ADMIN, Server, world};
use crate::world::World;

/// A receiver that waits for the file `go`, and then appends each notice to `got`.
fn slow_receiver(world: &World) -> String {
    let path = world.path("alert");
    let (go, got) = (world.path("go"), world.path("got"));
    let (go, got) = (go.display(), got.display());
    fs::write(&path, format!("#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.02; done\ncat >>{got}\necho >>{got}\n"))
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("command = ['{}']\n", path.display())
}

fn add(world: &World, text: &str) {
    let configured = fs::read_to_string(world.path("h.toml")).unwrap();
    fs::write(world.path("h.toml"), format!("{configured}{text}")).unwrap();
}

fn got(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path("got")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_download_is_reported_once_and_does_not_wait_for_the_receiver() {
    let mut world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let first = world.archives().pop().unwrap();
    world.at("2026-03-01T04:00:00Z").heirloom(["backup", "--config", "h.toml"]).success();
    add(&world, &format!("[notify.alert]\non = 'download'\n{}", slow_receiver(&world)));
    let second = world.archives().pop().unwrap();
    let path = |name: &str| format!("/api/v1/backups/{name}/download");
    let mut server = Server::start(&world);
    let range = |range: &str| {
        server.with("GET", &path(&first), &format!("Authorization: Bearer {ADMIN}\r\nRange: bytes={range}\r\n"), "")
    };
    server.ask("HEAD", &path(&first), Some(ADMIN), "").is(200);
    range("99999999-").is(416);
    server.get(&path("app_20200101T000000Z.tar.gz")).is(404);
    let bytes = fs::read(world.path(format!("backups/{first}"))).unwrap();
    // Somebody who resumes it gets the rest with further requests.
    assert_eq!([range("0-99").is(206).body, range("100-").is(206).body].concat(), bytes);
    assert_eq!(server.get(&path(&first)).is(200).body, bytes);
    server.get(&path(&second)).is(200);
    assert!(got(&world).is_empty() && !server.run.said().contains("not delivered"), "{}", server.run.said());
    fs::write(world.path("go"), "").unwrap();
    server.run.until(|_| got(&world).len() >= 2, "both downloads are reported");
    for (notice, name) in got(&world).iter().zip([&first, &second]) {
        assert_eq!(notice["type"], "heirloom.download.download");
        assert_eq!(notice["title"], "heirloom on here: download began");
        let data = &notice["data"];
        assert_eq!((&data["by"], &data["sets"][0]["archive"]), (&"ops from 127.0.0.1".into(), &name.as_str().into()));
        let text = notice["text"].as_str().unwrap();
        assert!(text.contains("by: ops from 127.0.0.1") && text.contains(name), "{text}");
    }
    assert_eq!(server.stop().0, 0);
    let log = world.heirloom(["log", "--notices", "--config", "h.toml", "--json"]).json();
    let states = log["notices"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap());
    assert_eq!(states.collect::<Vec<_>>(), ["sent", "sent"], "{log}");
    let log = world.heirloom(["log", "--config", "h.toml", "--json"]).json();
    let requests = log["activities"].as_array().unwrap().iter().filter(|one| one["command"] == "download");
    assert_eq!(requests.count(), 4, "each request is in the activity log: {log}");
}

#[test]
fn whoever_did_not_ask_hears_of_no_download() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    fs::write(world.path("go"), "").unwrap();
    add(&world, &format!("[notify.alert]\non = ['success', 'failure']\n{}", slow_receiver(&world)));
    let name = world.archives().pop().unwrap();
    let server = Server::start(&world);
    server.get(&format!("/api/v1/backups/{name}/download")).is(200);
    assert_eq!(server.stop().0, 0);
    assert!(got(&world).is_empty());
    let log = world.heirloom(["log", "--notices", "--config", "h.toml", "--json"]).json();
    assert_eq!(log["notices"].as_array().unwrap().len(), 0, "{log}");
}

#[test]
fn what_a_receiver_does_not_take_is_sent_by_the_next_command() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let refuse = "[notify.alert]\non = 'download'\ncommand = ['false']\n";
    let configured = fs::read_to_string(world.path("h.toml")).unwrap();
    add(&world, refuse);
    let name = world.archives().pop().unwrap();
    let mut server = Server::start(&world);
    server.get(&format!("/api/v1/backups/{name}/download")).is(200);
    server.run.says("warning: notice to alert not delivered");
    assert_eq!(server.stop().0, 0);
    fs::write(world.path("go"), "").unwrap();
    fs::write(world.path("h.toml"), configured).unwrap();
    add(&world, &format!("[notify.alert]\non = 'download'\n{}", slow_receiver(&world)));
    world.run(&mut live(&world, ["verify", "--config", "h.toml"])).success();
    assert_eq!(got(&world).len(), 1);
}
