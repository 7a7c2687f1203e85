//! `heirloom list`, `show` and `log`.

use std::fs;

use crate::world::World;

fn three_archives() -> World {
    let mut world = World::new();
    world.database("app.db");
    for day in ["2026-02-26", "2026-02-27", "2026-02-28"] {
        world.at(day).heirloom(["backup", "app.db"]).success();
    }
    world.at("2026-03-01");
    world
}

#[test]
fn the_newest_archive_comes_first() {
    let world = three_archives();
    let output = world.heirloom(["list"]).success().stdout;
    let lines: Vec<Vec<&str>> = output.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ARCHIVE", "AGE", "MADE", "SET", "DATABASES", "SIZE", "SAVED", "KIND", "STATE"]);
    assert_eq!(lines[1][..4], ["app_20260228T000000Z.tar.gz", "24h", "2026-02-28", "00:00"]);
    assert_eq!(lines[1].last(), Some(&"ok"));
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_limit_and_a_set_leave_archives_out() {
    let world = three_archives();
    world.database("other.db");
    world.heirloom(["backup", "other.db"]).success();
    let names = |args: &[&str]| -> Vec<String> {
        let document = world.heirloom(args).success().json();
        document["archives"]
            .as_array()
            .unwrap()
            .iter()
            .map(|archive| archive["archive"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&["list", "--json", "--set", "other"]), ["other_20260301T000000Z.tar.gz"]);
    assert_eq!(
        names(&["list", "--json", "--limit", "2"]),
        ["other_20260301T000000Z.tar.gz", "app_20260228T000000Z.tar.gz"]
    );
}

#[test]
fn every_state_is_shown() {
    let world = three_archives();
    world.heirloom(["pin", "app_20260226"]).success();
    fs::write(world.path("backups/app_20260227T000000Z.tar.gz.damaged"), "").unwrap();
    fs::write(world.path("backups/photos.tar.gz"), "no archive of ours").unwrap();
    let document = world.heirloom(["list", "--json"]).success().json();
    let states: Vec<(bool, bool)> = document["archives"]
        .as_array()
        .unwrap()
        .iter()
        .map(|archive| (archive["damaged"].as_bool().unwrap(), archive["pinned"].as_bool().unwrap()))
        .collect();
    assert_eq!(states, [(false, false), (true, false), (false, true)]);
    assert_eq!(document["foreign"][0]["file"], "photos.tar.gz");
    let text = world.heirloom(["list"]).success().stdout;
    for word in ["damaged", "ok,pinned", "foreign"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn a_store_that_is_not_there_is_not_an_empty_one() {
    let world = World::new();
    world.heirloom(["list"]).exits(16).says("backups");
    let error: serde_json::Value = serde_json::from_str(&world.heirloom(["list", "--json"]).exits(16).stderr).unwrap();
    assert_eq!(error["error"]["kind"], "store_unreachable");
    assert_eq!(error["error"]["code"], 16);
}

#[test]
fn show_prints_all_metadata_and_escapes_control_characters() {
    let world = World::new();
    world.sql("app.db", "CREATE TABLE \"evil\u{1b}[31m\nname\"(x); INSERT INTO \"evil\u{1b}[31m\nname\" VALUES (1);");
    world.heirloom(["backup", "app.db", "--note", "line\u{1b}]0;title\u{7}"]).success();
    let text = world.heirloom(["show"]).success().stdout;
    assert!(text.contains("evil?[31m?name") && !text.contains('\u{1b}'), "{text}");
    let document = world.heirloom(["show", "latest", "--json"]).success().json();
    assert_eq!(document["metadata"]["databases"][0]["tables"][0]["rows"], 1);
}

#[test]
fn an_archive_is_found_by_path_name_and_beginning() {
    let world = three_archives();
    for text in ["backups/app_20260226T000000Z.tar.gz", "app_20260226T000000Z.tar.gz", "app_20260226"] {
        assert_eq!(world.heirloom(["show", text, "--json"]).success().json()["archive"], "app_20260226T000000Z.tar.gz");
    }
    world.heirloom(["show", "app_2026022"]).exits(2).says("app_20260228T000000Z.tar.gz");
    world.heirloom(["show", "nothing"]).exits(12).says("backups").says("app_20260228T000000Z.tar.gz");
    world.heirloom(["show", "./nothing.tar.gz"]).exits(12).says("nothing.tar.gz");
}

#[test]
fn several_sets_are_not_guessed_from() {
    let world = three_archives();
    world.database("other.db");
    world.heirloom(["backup", "other.db"]).success();
    world.heirloom(["show", "latest"]).exits(2).says("--set app").says("--set other");
    world.heirloom(["show", "latest", "--set", "app"]).success();
}

#[test]
fn the_log_lists_what_was_done_and_can_be_deleted() {
    let world = three_archives();
    world.heirloom(["backup", "missing.db"]).exits(10);
    let document = world.heirloom(["log", "--json"]).success().json();
    let activities = document["activities"].as_array().unwrap();
    assert_eq!(activities.len(), 4);
    assert_eq!(activities[0]["outcome"], "failed");
    assert_eq!(activities[0]["exit_code"], 10);
    assert!(activities[0]["error"].as_str().unwrap().contains("missing.db"));
    assert_eq!(activities[1]["archive"], "app_20260228T000000Z.tar.gz");
    assert_eq!(
        world.heirloom(["log", "--json", "--failed"]).success().json()["activities"].as_array().unwrap().len(),
        1
    );
    assert_eq!(
        world.heirloom(["log", "--json", "--since", "36h"]).success().json()["activities"].as_array().unwrap().len(),
        2
    );
    world.heirloom(["log", "--since", "soon"]).exits(2).says("soon");

    fs::write(world.path("backups/.heirloom/activity.db"), "damaged ".repeat(600)).unwrap();
    world.heirloom(["backup", "app.db"]).success();
    assert_eq!(world.heirloom(["log", "--json"]).success().json()["activities"].as_array().unwrap().len(), 1);
    fs::remove_file(world.path("backups/.heirloom/activity.db")).unwrap();
    assert_eq!(world.heirloom(["log"]).success().stdout, "");
    assert_eq!(world.heirloom(["list", "--json"]).success().json()["archives"].as_array().unwrap().len(), 4);
}

#[test]
fn a_name_without_its_ending_is_a_name_in_full() {
    let world = World::new();
    world.database("app.db");
    for name in ["good", "good-2"] {
        world.heirloom(["backup", "app.db", "--name", name]).success();
    }
    std::fs::write(world.path("backups/good.tar.gz.damaged"), "").unwrap();
    assert!(world.heirloom(["show", "good"]).success().stdout.contains("good.tar.gz"));
    world.heirloom(["restore", "good", "--force"]).exits(13).says("good.tar.gz");
    assert!(
        world.heirloom(["show", "goo"]).success().stdout.contains("good-2.tar.gz"),
        "what only begins so is never damaged"
    );
}

#[test]
fn the_sum_of_a_shortened_list_is_that_of_the_store() {
    let mut world = World::new();
    world.database("app.db");
    for day in ["2026-02-26", "2026-02-27", "2026-02-28"] {
        world.at(day).heirloom(["backup", "app.db"]).success();
    }
    let sum = |args: &[&str]| world.heirloom(args).success().stderr.trim_end().to_owned();
    let whole = sum(&["list"]);
    assert_eq!(sum(&["list", "--limit", "1"]), format!("1 of {whole} in all"));
}
