//! The page of `heirloom serve` in a real browser: the walks of tests/browser, in Chromium.

#![allow(clippy::print_stdout, reason = "says what was done")]

use std::path::Path;

use crate::run_world::{APPLICATION, Run, live};
use crate::serve_proxy::{Nginx, behind, free_port};
use crate::serve_world::{ADMIN, world};
use crate::tools::{have, installed, not_tested};
use crate::world::World;

/// Reports whether Chromium and what drives it are here. If not, the test is recorded as not run.
fn browser(promise: &str) -> bool {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules");
    let missing: Vec<&str> =
        ["playwright-core", "axe-core"].into_iter().filter(|name| !modules.join(name).is_dir()).collect();
    if !missing.is_empty() {
        not_tested(promise, &missing.join(", "));
        return false;
    }
    installed(promise, &["chromium", "node", "sqlite3", "python3", "tar"])
}

/// A world with an application and with markup in the names of a table and a column.
fn marked(more: &str) -> World {
    let world = world(more);
    world.sql(
        "app.db",
        "CREATE TABLE t(n INTEGER PRIMARY KEY); \
         CREATE TABLE \"<img src=x onerror=alert(2)>\"(\"<b onclick=alert(3)>\")",
    );
    std::fs::write(world.path("app.py"), APPLICATION).unwrap();
    world
}

/// Runs a script of tests/browser in the folder of the world.
fn node(world: &World, script: &str, options: &serde_json::Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(script);
    let mut command = world.shell(&format!("exec timeout -k 5 200 node {} \"$OPTIONS\"", script.display()));
    let ran = world.run(command.env("OPTIONS", options.to_string()).env_remove("HEIRLOOM_NOW"));
    print!("{}", ran.stdout);
    assert!(ran.code == 0, "{}\n{}", ran.stdout, ran.stderr);
}

/// Walks over plain HTTP, on a host name that is not localhost.
fn walk(hand: &str, width: u16, scheme: &str) {
    if !browser("the page in a browser") {
        return;
    }
    let port = free_port();
    let base = format!("http://backups.example:{port}/");
    let world = marked(&format!("public_url = '{base}'"));
    let _server = serve(&world, &format!("127.0.0.1:{port}"));
    let options = serde_json::json!({"base": base, "token": ADMIN, "hand": hand, "width": width, "scheme": scheme});
    node(&world, "walk.js", &options);
}

fn serve(world: &World, address: &str) -> Run {
    let words = ["serve", "--config", "h.toml", "--listen", address, "--as-root"];
    let mut run = Run::start(world, &mut live(world, words));
    run.says("listening on");
    run
}

#[test]
fn an_administrator_walks_through_the_page() {
    walk("mouse", 1400, "light");
}

#[test]
fn an_administrator_walks_through_the_page_without_script() {
    walk("plain", 800, "dark");
}

#[test]
fn an_administrator_walks_through_the_page_by_keyboard_alone() {
    walk("keyboard", 360, "light");
}

#[test]
fn an_administrator_walks_through_the_page_behind_a_proxy_with_tls_under_a_prefix() {
    if !browser("the page in a browser behind nginx") || !have("the example for nginx", &["nginx", "openssl"]) {
        return;
    }
    let port = free_port();
    let base = format!("https://backups.example:{port}/x/");
    let world = marked(&format!("public_url = '{base}'"));
    let mut run = behind(&world);
    let _nginx = Nginx::start(&world, port, "/x/");
    run.until(|_| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "nginx listens");
    let options = serde_json::json!({"base": base, "token": ADMIN, "hand": "mouse", "width": 360, "scheme": "dark"});
    node(&world, "walk.js", &options);
}

/// A year of backups of two databases. The pictures of every view are left in `HEIRLOOM_SCREENSHOTS`, if it is set.
#[test]
fn every_view_is_sound_at_every_width_light_and_dark() {
    if !browser("every view at every width") {
        return;
    }
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}/");
    let mut world = world("");
    world.sql(
        "app.db",
        "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users(name) VALUES ('a'), ('b')",
    );
    let text = std::fs::read_to_string(world.path("h.toml")).unwrap();
    let copied = "[copies.offsite]\ndir = 'copies'\n";
    std::fs::write(world.path("h.toml"), format!("{copied}{text}")).unwrap();
    let now = chrono::Utc::now();
    let days = (0..7).chain((14..60).step_by(7)).chain((75..340).step_by(30));
    let mut days: Vec<i64> = days.collect();
    days.reverse();
    for ago in days {
        let at = (now - chrono::TimeDelta::days(ago) - chrono::TimeDelta::hours(3)).format("%Y-%m-%dT%H:%M:%SZ");
        world.env("HEIRLOOM_NOW", &at.to_string());
        world.sql("app.db", "INSERT INTO notes(text) SELECT 'note' FROM notes LIMIT 7");
        world.heirloom(["backup", "--config", "h.toml", "--quiet"]).success();
    }
    world.env("HEIRLOOM_NOW", &now.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    world.heirloom(["verify", "--config", "h.toml", "--all", "--quiet"]).success();
    let archive = world.archives().pop().unwrap();
    let pictures = std::env::var("HEIRLOOM_SCREENSHOTS").unwrap_or_default();
    let look = |name: &str, archive: Option<&str>| {
        let options = serde_json::json!(
            {"base": base, "token": ADMIN, "name": name, "archive": archive, "pictures": pictures}
        );
        node(&world, "views.js", &options);
    };
    let _server = serve(&world, &format!("127.0.0.1:{port}"));
    look("good", Some(&archive));

    // The newest backup is damaged, and the database is not one any more.
    let path = world.path(format!("backups/{archive}"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 100].fill(0);
    std::fs::write(&path, bytes).unwrap();
    world.heirloom(["verify", "--config", "h.toml", &archive]).exits(13);
    std::fs::write(world.path("app.db"), "no database either").unwrap();
    look("bad", None);
}
