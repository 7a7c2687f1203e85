//! `heirloom __documents`: what the admin server makes its views of.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::run_world::kill;
use crate::serve_scale::refuse;
use crate::world::{Ran, World};

/// A world with archives that `rotate` would remove.
fn world() -> World {
    let mut world = World::new();
    world.database("app.db");
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = 'app.db'\n").unwrap();
    for hour in ["01", "02", "03"] {
        world.at(&format!("2026-02-28T{hour}:00:00Z")).heirloom(["backup"]).success();
    }
    world
}

fn documents(world: &World, wanted: &Value) -> Ran {
    world.heirloom(["__documents", &wanted.to_string(), "--json"])
}

/// Runs one command alone; returns what would be one of several documents.
fn alone(world: &World, words: &[&str]) -> Value {
    let ran = world.heirloom(words.iter().chain(&["--json"]));
    let document: Value = if ran.stdout.is_empty() { Value::Null } else { ran.json() };
    let error =
        ran.stderr.lines().find_map(|line| serde_json::from_str::<Value>(line).ok()?.get_mut("error")?.take().into());
    json!({"code": ran.code, "document": document, "error": error, "shelf": null})
}

/// Takes out what differs from run to run.
fn settled(mut got: Value) -> Value {
    if let Some(checks) = got.pointer_mut("/document/checks").and_then(Value::as_array_mut) {
        checks.retain(|check| check["check"] != "free_space");
    }
    got
}

const COMMANDS: [&[&str]; 6] = [
    &["status"],
    &["schedule"],
    &["list"],
    &["rotate", "--dry-run", "--keep-last", "1"],
    &["show", "latest"],
    &["health"],
];

#[test]
fn each_is_what_its_command_prints_alone() {
    let world = world();
    let wanted: Vec<Value> = COMMANDS.iter().map(|words| json!({"words": words})).collect();
    for store in ["backups", "away"] {
        let got = documents(&world, &json!(wanted)).success().json();
        let got = got["documents"].as_array().unwrap();
        assert_eq!(got.len(), COMMANDS.len());
        for (got, words) in got.iter().zip(COMMANDS) {
            assert_eq!(settled(got.clone()), settled(alone(&world, words)), "{words:?}, {store}");
        }
        let codes: Vec<_> = got.iter().map(|got| got["code"].as_u64().unwrap()).collect();
        let expected = if store == "away" { [0, 3, 16, 16, 16, 21] } else { [0; 6] };
        assert_eq!(codes, expected, "{store}");
        if store == "backups" {
            assert_eq!(got[2]["document"]["archives"].as_array().unwrap().len(), 3);
            fs::rename(world.path("backups"), world.path("away")).unwrap();
        }
    }
}

/// Each write wakes the server, which reads them while somebody waits for a view.
#[test]
fn a_line_of_progress_is_one_write() {
    let world = world();
    let (stderr, ours) = UnixDatagram::pair().unwrap();
    let wanted = json!([{"words": ["list"]}]).to_string();
    let mut command = world.command(["__documents", &wanted, "--json", "--progress", "json"]);
    let mut child = command.stdout(Stdio::null()).stderr(OwnedFd::from(stderr)).spawn().unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut lines, mut ended, mut buffer) = (0, None, [0; 4096]);
    loop {
        match ours.recv(&mut buffer) {
            Ok(read) => {
                let line: Result<Value, _> = serde_json::from_slice(&buffer[..read]);
                assert_eq!(line.unwrap()["stage"], "archives");
                assert!(buffer[..read].ends_with(b"\n"));
                lines += 1;
            }
            Err(_) if ended.is_some() => break,
            Err(_) => ended = child.try_wait().unwrap(),
        }
    }
    assert!(ended.unwrap().success());
    assert!(lines > 0);
}

#[test]
fn of_the_archives_in_lists_only_the_wanted_fields_are_printed() {
    let world = world();
    let wanted = json!([
        {"words": ["list"], "fields": ["archive", "bytes"]},
        {"words": ["rotate", "--dry-run", "--keep-last", "1"], "fields": ["archive"]},
    ]);
    let got = documents(&world, &wanted).success().json();
    let names =
        |list: &Value| -> Vec<Value> { list.as_array().unwrap().iter().map(|one| one["archive"].clone()).collect() };
    for (number, words) in [(0, COMMANDS[2]), (1, COMMANDS[3])] {
        let (got, mut whole) = (&got["documents"][number]["document"], alone(&world, words)["document"].take());
        let lists: &[&str] = if number == 0 { &["archives"] } else { &["keep", "remove"] };
        for &list in lists {
            assert!(!whole[list].as_array().unwrap().is_empty(), "{list}");
            assert_eq!(names(&got[list]), names(&whole[list]));
            let fields: Vec<&str> = got[list][0].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, if number == 0 { &["archive", "bytes"][..] } else { &["archive"] });
            whole[list] = got[list].clone();
        }
        assert_eq!(*got, whole, "everything else stays");
    }
}

#[test]
fn of_a_list_only_the_wanted_part_is_printed() {
    let world = world();
    let whole = alone(&world, COMMANDS[2])["document"].take();
    let part = |before: &Value| json!({"set": null, "kind": "manual", "before": before, "limit": 2});
    let after_first = whole["archives"][0]["archive"].clone();
    for (before, shown, newer) in [(Value::Null, 0..2, false), (after_first.clone(), 1..3, true)] {
        let got = documents(&world, &json!([{"words": ["list"], "part": part(&before)}])).success().json();
        let got = &got["documents"][0];
        let mut expected = whole.clone();
        expected["archives"] = whole["archives"].as_array().unwrap()[shown.clone()].into();
        assert_eq!(got["document"], expected);
        let older = if shown.end < 3 { whole["archives"][1]["archive"].clone() } else { Value::Null };
        assert_eq!((&got["shelf"]["older"], got["shelf"]["first"] == 1), (&older, newer));
        assert_eq!((&got["shelf"]["count"], &got["shelf"]["sets"]), (&json!(3), &json!(["app"])));
    }
}

#[test]
fn nothing_is_changed_and_no_other_command_runs() {
    let world = world();
    let before = world.archives();
    let words: [&[&str]; 4] =
        [&["backup"], &["rotate", "--keep-last", "1"], &["delete", &before[0], "--force"], &["log"]];
    for words in words {
        documents(&world, &json!([{"words": ["status"]}, {"words": words}])).exits(2).says("change nothing");
    }
    documents(&world, &json!([])).exits(2).says("no document is wanted");
    documents(&world, &json!("status")).exits(2).says("cannot read which documents are wanted");
    documents(&world, &json!([{"words": ["lost"]}])).exits(2);
    assert_eq!(world.archives(), before);
    fs::write(world.path("heirloom.toml"), "[").unwrap();
    let failed = documents(&world, &json!([{"words": ["status"]}])).exits(2);
    assert!(failed.stdout.is_empty() && failed.stderr.contains("\"usage\""), "{}", failed.stderr);
}

/// The server ends a child that takes too long.
#[test]
fn a_signal_interrupts_the_rest_and_what_was_made_is_printed() {
    let mut world = world();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, value) in [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "us-east-1")] {
        world.env(name, value);
    }
    let store = format!("s3://b/p?endpoint=http://{}", listener.local_addr().unwrap());
    let wanted = json!([{"words": ["status"]}, {"words": ["list"]}, {"words": ["health"]}]).to_string();
    let mut command = world.command(["__documents", &wanted, "--json", "--dir", &store]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    // The list waits for an answer. It gets one only after the signal.
    let connection = listener.accept().unwrap().0;
    kill(child.id(), Signal::TERM);
    refuse(connection);
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(refuse));
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let got: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(got["documents"][0]["document"]["sets"][0]["set"], "app", "{text}");
    assert_eq!(got["documents"][1]["document"], Value::Null, "{text}");
    assert_eq!(got["documents"][2]["code"], 143, "{text}");
    assert_eq!(got["documents"][2]["error"]["kind"], "interrupted", "{text}");
}
