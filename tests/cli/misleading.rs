//! Messages and hints that misled people.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use crate::world::World;

/// Runs Python with a database open until it is dropped. The code prints a line when it is ready.
struct Application(Child);

impl Application {
    fn start(world: &World, code: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", &format!("import sqlite3, sys\n{code}\nprint('ready', flush=True)\nsys.stdin.read()")])
            .current_dir(world.work())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_that_never_lets_go_is_named() {
    for mode in ["wal", "delete"] {
        let world = World::new();
        world.database("app.db");
        let application = Application::start(
            &world,
            &format!(
                "c = sqlite3.connect('app.db', isolation_level=None); c.execute('pragma locking_mode=exclusive')
c.execute('pragma journal_mode={mode}'); c.execute(\"insert into notes(text) values('x')\")"
            ),
        );
        let pid = application.0.id();
        let ran = world
            .heirloom(["backup", "app.db", "--busy-timeout", "3s"])
            .exits(11)
            .says(&format!("process {pid} (python3"));
        let ran = ran.says("locking_mode=EXCLUSIVE").says("waiting does not help");
        assert!(!ran.stderr.contains("less busy"), "{}", ran.stderr);
    }
}

#[test]
fn an_unknown_collation_is_no_unusable_database() {
    let world = World::new();
    world.sql(
        "app.db",
        "CREATE TABLE v(x TEXT); CREATE INDEX j ON v(x COLLATE NOCASE); INSERT INTO v VALUES('x'); PRAGMA \
         writable_schema=ON;
         UPDATE sqlite_schema SET sql='CREATE INDEX j ON v(x COLLATE app)' WHERE name='j';",
    );
    let ran = world
        .heirloom(["backup", "app.db", "--vacuum"])
        .success()
        .says("cannot vacuum \"app.db\"")
        .says("only its application has");
    assert!(!ran.stderr.contains("not a usable") && !ran.stderr.contains(".heirloom"), "{}", ran.stderr);
}

#[test]
fn a_damaged_archive_that_was_named_in_part_is_called_damaged() {
    let world = World::new();
    world.database("f4.db");
    world.heirloom(["backup", "f4.db"]).success();
    fs::write(world.path("backups/f4_20260301T030000Z.tar.gz.damaged"), "by me").unwrap();
    let ran = world.heirloom(["restore", "f4", "--to", "x.db"]).exits(12);
    let ran =
        ran.says("f4_20260301T030000Z.tar.gz is marked as damaged").says("heirloom verify f4_20260301T030000Z.tar.gz");
    assert!(!ran.stderr.contains("no archive \"f4\""), "{}", ran.stderr);
    // So is one that cannot even be described.
    let archive = world.path("backups/f4_20260301T030000Z.tar.gz");
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..300]).unwrap();
    world
        .heirloom(["restore", "f4", "--to", "x.db"])
        .exits(12)
        .says("f4_20260301T030000Z.tar.gz is damaged: it is truncated");
    fs::write(&archive, "no archive").unwrap();
    let ran = world.heirloom(["restore", "f4", "--to", "x.db"]).exits(12);
    let ran = ran.says("f4_20260301T030000Z.tar.gz is damaged: not an archive: it is neither a tar nor");
    assert!(!ran.stderr.contains("empty"), "{}", ran.stderr);
}

#[test]
fn a_tilde_that_nobody_replaced_is_no_volume_to_mount() {
    let world = World::new();
    world.database("app.db");
    for args in [
        &["backup", "app.db", "--dir", "~/backups"][..],
        &["list", "--dir", "~/backups"],
        &["restore", "--dir", "~/backups"],
    ] {
        let ran = world.heirloom(args).exits(16).says("the `~` was not expanded").says("$HOME/backups");
        assert!(!ran.stderr.contains("mount it"), "{}", ran.stderr);
    }
    world.heirloom(["backup", "~/app.db"]).exits(10).says("the `~` was not expanded").says("$HOME/app.db");
    assert!(!world.path("~").exists());
    world.heirloom(["backup", "app.db"]).success();
    world.heirloom(["restore", "latest", "--to", "~/x.db"]).exits(2).says("the `~` was not expanded");
    world.heirloom(["restore", "$HOME/app.tar.gz", "--to", "x.db"]).exits(12).says("the `$HOME` was not expanded");
    // An existing folder of this name is used.
    fs::create_dir(world.path("~")).unwrap();
    world.heirloom(["backup", "app.db", "--dir", "~/backups"]).success();
}

#[test]
fn a_store_that_is_not_there_is_not_always_one_to_mount() {
    let world = World::new();
    world.database("app.db");
    fs::write(world.path("file"), "x").unwrap();
    let ran = world.heirloom(["list", "--dir", "file"]).exits(16).says("is a file");
    assert!(!ran.stderr.contains("mount it"), "{}", ran.stderr);
    world.heirloom(["list", "--dir", "missing"]).exits(16).says("mount");
}

#[test]
fn three_slashes_make_a_path_of_a_url_relative() {
    let mut world = World::new();
    let path = world.database("app.db");
    let path = path.to_str().unwrap().to_owned();
    world.env("DATABASE_URL", &format!("sqlite://{path}"));
    world.heirloom(["backup"]).exits(10).says("exists").says("(sqlite:///[world]/work/app.db)");
}

#[test]
fn what_is_cut_off_or_locked_is_not_called_encrypted_or_busy() {
    let world = World::new();
    world.database("app.db");
    let bytes = fs::read(world.path("app.db")).unwrap();
    fs::write(world.path("cut.db"), &bytes[..60]).unwrap();
    let ran = world.heirloom(["backup", "cut.db"]).exits(13).says("truncated");
    assert!(!ran.stderr.contains("encrypted"), "{}", ran.stderr);
    fs::File::create(world.path("secret.db")).unwrap().write_all(&[0x5a; 8192]).unwrap();
    world.heirloom(["backup", "secret.db"]).exits(13).says("encrypted");
    fs::write(world.path("text.db"), "id,name\n1,x\n".repeat(300)).unwrap();
    let ran = world.heirloom(["backup", "text.db"]).exits(13).says("file text.db");
    assert!(!ran.stderr.contains("usable"), "{}", ran.stderr);
}

#[test]
fn a_hint_forgot_the_store_the_configuration_and_the_set() {
    let world = World::new();
    world.database("app.db");
    fs::write(world.path("my.toml"), "[sets.shop.databases]\napp = \"app.db\"\n").unwrap();
    let named = ["--config", "my.toml", "--dir", "the store"];
    let run = |args: &[&str]| world.heirloom(args.iter().chain(&named));
    run(&["backup", "--note", "it's first"]).success();
    let archive = world.files("the store").into_iter().find(|name| name.ends_with(".gz")).unwrap();

    // The hint repeats the typed command with the missing flag.
    let refused = run(&["restore", "latest", "--set", "shop"]).exits(14);
    let again = "heirloom restore latest --set shop --config my.toml --dir 'the store' --force";
    refused.says(again);
    run(&["restore", "latest", "--set", "shop", "--force"]).success();

    let path = world.path("the store").join(&archive);
    let mut bytes = fs::read(&path).unwrap();
    bytes[700] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    run(&["show", &archive, "--set", "shop"])
        .exits(13)
        .says("`heirloom list --set shop --config my.toml --dir 'the store'`");
}

#[test]
fn a_flag_of_a_hint_went_to_the_guarded_command() {
    let world = World::new();
    let refused = world.heirloom(["guard", "app.db", "--", "touch", "--", "it's done"]).exits(125);
    refused.says("heirloom guard app.db --if-exists -- touch -- 'it'\\''s done'");
}
