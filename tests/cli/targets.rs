//! Where a restore puts databases, and which database an argument means.

use std::fs;

use crate::world::World;

fn notes(world: &World, name: &str) -> String {
    world.ask(name, "SELECT count(*) FROM notes")
}

/// A world with one archive of `app.db` at 100 notes.
fn backed_up() -> World {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    world
}

#[test]
fn a_database_that_is_there_needs_no_store() {
    let mut world = World::new();
    world.database("app.db");
    world.env("DATABASE_PATH", "app.db");
    for dir in ["backups", "not/mounted"] {
        let ran = world.heirloom(["restore", "--if-missing", "--dir", dir, "--json"]).success();
        assert_eq!(ran.json()["outcome"], "skipped_exists");
    }
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["restore", "--if-missing", "--dir", "not/mounted"]).exits(16);
    let url = format!("sqlite:///{}", world.path("app.db").display());
    world.database("app.db");
    let mut command = world.command(["restore", "--if-missing", "--dir", "not/mounted"]);
    world.run(command.env_remove("DATABASE_PATH").env("DATABASE_URL", url)).success();
}

#[test]
fn a_database_that_was_moved_came_back_under_its_old_name() {
    let mut world = backed_up();
    fs::rename(world.path("app.db"), world.path("prod.db")).unwrap();
    world.env("DATABASE_PATH", "prod.db").heirloom(["restore", "--if-missing"]).success();
    assert!(!world.path("app.db").exists());
    fs::remove_file(world.path("prod.db")).unwrap();
    world
        .heirloom(["restore", "--if-missing"])
        .exits(12)
        .says("\"prod\"")
        .says("heirloom restore --set app --to [world]/work/prod.db");
    world.heirloom(["restore", "--if-missing", "--if-backup-exists"]).success();
    world.heirloom(["restore", "app_20260301T030000Z.tar.gz"]).exits(2).says("--to-original");
    assert!(!world.path("app.db").exists() && !world.path("prod.db").exists());
    for set in [&[][..], &["--set", "app"]] {
        world.heirloom(["restore", "--to", "prod.db", "--force"].iter().chain(set)).success();
        assert_eq!(notes(&world, "prod.db"), "100");
    }
    world.heirloom(["restore", "app_20260301T030000Z.tar.gz", "--to-original"]).success();
    assert_eq!(notes(&world, "app.db"), "100");
}

#[test]
fn a_recorded_path_counts_only_where_nothing_else_names_a_database() {
    let world = backed_up();
    fs::remove_file(world.path("app.db")).unwrap();
    fs::write(world.path("heirloom.toml"), "[sets.shop.databases]\nusers = \"users.db\"\n").unwrap();
    let ran = world.heirloom(["restore", "--set", "app", "--config", "heirloom.toml"]).exits(2);
    let command =
        "heirloom restore app_20260301T030000Z.tar.gz --only app --to [world]/work/app.db --config heirloom.toml";
    assert!(ran.stderr.contains(command), "{}", ran.stderr);
    assert!(!world.path("app.db").exists());
    fs::remove_file(world.path("heirloom.toml")).unwrap();
    world.heirloom(["restore"]).success();
    assert_eq!(notes(&world, "app.db"), "100");
}

#[test]
fn a_recorded_path_of_a_container_or_of_another_label_does_not_count() {
    for (made, restored) in [("container", "container"), ("web-1", "web")] {
        let mut world = World::new();
        world.database("app.db");
        world.env("HEIRLOOM_HOST", made).heirloom(["backup", "app.db"]).success();
        fs::remove_file(world.path("app.db")).unwrap();
        fs::write(world.path("heirloom.toml"), "former_hosts = [\"web-1\"]\n").unwrap();
        world.env("HEIRLOOM_HOST", restored).heirloom(["restore"]).exits(2).says("--to-original");
        assert!(!world.path("app.db").exists());
        world.heirloom(["restore", "--to-original"]).success();
    }
}

#[test]
fn an_empty_file_counted_as_a_database() {
    for configured in [true, false] {
        let world = backed_up();
        if configured {
            fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = \"app.db\"\n").unwrap();
        }
        fs::write(world.path("app.db"), "").unwrap();
        world.heirloom(["restore", "--if-missing"]).success();
        assert_eq!(notes(&world, "app.db"), "100", "configured: {configured}");
        // With a -wal beside it, somebody's rows may be in there.
        fs::write(world.path("app.db"), "").unwrap();
        fs::write(world.path("app.db-wal"), "x").unwrap();
        world.heirloom(["restore", "--if-missing"]).success();
        assert_eq!(fs::read(world.path("app.db")).unwrap(), b"");
    }
}

#[test]
fn the_path_of_a_database_was_taken_for_an_archive() {
    let mut world = backed_up();
    world.sql("app.db", "DELETE FROM notes WHERE id > 50");
    world.at("2026-03-02");
    let document = world.heirloom(["restore", "app.db", "--force", "--json"]).success().json();
    assert_eq!(document["archive"], "app_20260301T030000Z.tar.gz");
    assert_eq!(notes(&world, "app.db"), "100");
    // Also one that is lost, and one behind a link.
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["restore", "./app.db"]).success();
    std::os::unix::fs::symlink("app.db", world.path("link.db")).unwrap();
    world.heirloom(["restore", "link.db", "--at", "2026-03-01", "--force"]).success();
    world.heirloom(["restore", "app.db", "--if-missing"]).success();
    world.heirloom(["restore", "app.db", "--only", "app"]).exits(2).says("--only");
}

#[test]
fn a_database_of_the_configuration_is_meant_by_its_path_and_by_its_name() {
    let world = World::new();
    for name in ["users.db", "orders.db"] {
        world.database(name);
    }
    fs::write(world.path("heirloom.toml"), "[sets.shop.databases]\nusers = \"users.db\"\norders = \"orders.db\"\n")
        .unwrap();
    world.heirloom(["backup"]).success();
    for text in ["users.db", "users"] {
        fs::remove_file(world.path("users.db")).unwrap();
        world.sql("orders.db", "DELETE FROM notes WHERE id > 50");
        world.heirloom(["restore", text]).success();
        assert_eq!((notes(&world, "users.db"), notes(&world, "orders.db")), ("100".into(), "50".into()), "{text}");
    }
    // A target that is one of them says which one is meant.
    fs::remove_file(world.path("users.db")).unwrap();
    world.heirloom(["restore", "--to", "users.db"]).success();
    assert_eq!(notes(&world, "users.db"), "100");
}

#[test]
fn a_file_is_not_restored_onto_itself() {
    let world = World::new();
    world.database("app.db");
    world.database("other.db");
    let before = fs::read(world.path("app.db")).unwrap();
    fs::hard_link(world.path("app.db"), world.path("same.db")).unwrap();
    for to in ["app.db", "same.db", "./app.db"] {
        world.heirloom(["restore", "./app.db", "--to", to, "--force"]).exits(2).says("both the source and the target");
    }
    assert_eq!(fs::read(world.path("app.db")).unwrap(), before);
    world.heirloom(["restore", "./app.db", "--to", "other.db", "--force"]).success();
}

#[test]
fn the_environment_finds_its_database_in_an_archive_of_several() {
    let mut world = World::new();
    for name in ["users.db", "orders.db"] {
        world.database(name);
    }
    world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
    world.heirloom(["backup", "users.db", "--set", "other", "--only", "users"]).success();
    fs::remove_file(world.path("orders.db")).unwrap();
    world.env("DATABASE_PATH", "orders.db").heirloom(["restore", "--if-missing"]).success();
    assert_eq!(notes(&world, "orders.db"), "100");
}

#[test]
fn a_named_database_works_with_several_sets() {
    let mut world = World::new();
    for name in ["app.db", "blog.db"] {
        world.database(name);
        world.heirloom(["backup", name]).success();
    }
    world.heirloom(["restore"]).exits(2).says("--set app, --set blog");
    world.heirloom(["restore", "--only", "typo"]).exits(12).says("\"typo\"").says("app/app, blog/blog");
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["restore", "--only", "app"]).success();
    assert!(world.path("app.db").exists());
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["restore", "latest", "--if-missing", "--if-backup-exists", "--to", "app.db"]).success();
    assert!(world.path("app.db").exists());
    fs::remove_file(world.path("app.db")).unwrap();
    world.env("DATABASE_PATH", "app.db").heirloom(["restore"]).success();
    assert!(world.path("app.db").exists());
    // Another host finds it by its name.
    fs::remove_file(world.path("app.db")).unwrap();
    world.env("HEIRLOOM_HOST", "elsewhere");
    world.heirloom(["restore", "latest", "--if-missing", "--to", "app.db"]).success().says("app comes from here");
}

#[test]
fn a_typing_error_looked_like_an_empty_store() {
    let world = World::new();
    for name in ["users.db", "orders.db"] {
        world.database(name);
    }
    world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
    for command in [&["list"][..], &["show", "latest"], &["verify"], &["verify", "--all"]] {
        world
            .heirloom(command.iter().chain(&["--set", "typo"]))
            .exits(12)
            .says("\"typo\"")
            .says("there are the sets: shop");
    }
    world.heirloom(["restore", "--set", "typo"]).exits(12).says("shop");
    world.heirloom(["restore", "--only", "typo"]).exits(12).says("no database \"typo\"").says("orders, users");
    world.heirloom(["restore", "--only", "typo", "--if-backup-exists"]).exits(12);
    // A set of the configuration without archives is no typing error.
    fs::write(world.path("heirloom.toml"), "[sets.new.databases]\nusers = \"users.db\"\n").unwrap();
    world.heirloom(["list", "--set", "new"]).success();
}

#[test]
fn on_a_fresh_disk_the_archive_shows_which_candidate_was_used() {
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    world.database("data/app.db");
    fs::write(world.path("heirloom.toml"), "[sets.app.databases]\napp = [\"$APP\", \"data/app.db\", \"app.db\"]\n")
        .unwrap();
    world.heirloom(["backup"]).success();
    fs::remove_file(world.path("data/app.db")).unwrap();
    world.heirloom(["restore", "--if-missing"]).success();
    assert!(world.path("data/app.db").exists() && !world.path("app.db").exists());
}

#[test]
fn help_about_a_command_was_taken_for_health() {
    let world = World::new();
    for (words, usage) in [
        (&["help", "restore"][..], "heirloom restore"),
        (&["help"], "heirloom [OPTIONS]"),
        (&["help", "config", "check"], "heirloom config check"),
    ] {
        let ran = world.heirloom(words).success();
        assert!(ran.stdout.contains(&format!("Usage: {usage}")), "{words:?}: {}", ran.stdout);
    }
    world.heirloom(["help", "nothing"]).exits(2);
}

#[test]
fn only_what_is_missing_in_a_folder_is_asked_for() {
    let mut world = World::new();
    for name in ["users.db", "orders.db"] {
        world.database(name);
    }
    world.heirloom(["backup", "users.db", "orders.db", "--set", "shop"]).success();
    world.at("2026-03-05");
    world.heirloom(["backup", "users.db", "orders.db", "--set", "shop", "--only", "users"]).success();
    fs::create_dir(world.path("out")).unwrap();
    world.heirloom(["restore", "--to-dir", "out"]).exits(12).says("--only users");
    world.database("out/orders.db");
    let document = world.heirloom(["restore", "--to-dir", "out", "--if-missing", "--json"]).success().json();
    assert_eq!(document["archive"], "shop_20260305T000000Z.tar.gz");
    assert_eq!(document["databases"].as_array().unwrap().len(), 1);
    assert_eq!((document["host"].as_str(), document["not_restored"].as_array().unwrap().len()), (Some("here"), 0));
}

/// `restore app.db` takes the latest backup of app.db. Without one the file was taken for the archive.
#[test]
fn a_database_without_a_backup_was_taken_for_its_own_archive() {
    let mut world = World::new();
    world.database("app.db");
    world.heirloom(["restore", "app.db", "--force"]).exits(12).says("no backup of \"app.db\"");
    world.database("other.db");
    world.heirloom(["backup", "other.db"]).success();
    let ran = world.heirloom(["restore", "app.db", "--force"]).exits(12).says("no backup of \"app.db\" in the store");
    ran.says("heirloom restore app.db --to FILE");
    world.heirloom(["restore", "app.db", "--if-missing"]).success();
    world.heirloom(["restore", "app.db", "--if-backup-exists"]).success();
    // A copy is restored to the named target, and a copy in the store is a backup.
    world.heirloom(["restore", "app.db", "--to", "new.db"]).success();
    std::fs::copy(world.path("app.db"), world.path("backups/copy.db")).unwrap();
    world.heirloom(["restore", "backups/copy.db", "--force"]).exits(2);
    world.at("2026-03-02").heirloom(["backup", "app.db"]).success();
    world.heirloom(["restore", "app.db", "--force"]).success();
}

/// The plan showed the size alone, as if there were nothing to lose.
#[test]
fn rows_that_cannot_be_counted_are_called_unknown() {
    let world = World::new();
    world.sql(
        "app.db",
        "CREATE TABLE t(x); INSERT INTO t VALUES(1); PRAGMA writable_schema=ON;
         INSERT INTO sqlite_schema VALUES('table', 'v', 'v', 0,
         'CREATE VIRTUAL TABLE v USING module_of_the_application(x)');",
    );
    world.heirloom(["backup", "app.db"]);
    let plan = world.heirloom(["restore", "latest", "--dry-run"]).success();
    assert_eq!(
        (plan.stdout.clone() + &plan.stderr).matches("rows unknown").count(),
        2,
        "{}{}",
        plan.stdout,
        plan.stderr
    );
    world.sql("app.db", "INSERT INTO t VALUES(2)");
    let done = world.heirloom(["restore", "latest", "--force"]).success();
    assert!((done.stdout.clone() + &done.stderr).contains("rows unknown"), "{}{}", done.stdout, done.stderr);
}
