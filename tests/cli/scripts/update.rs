//! `safe_update.sh`.

use std::fs;
use std::path::PathBuf;

use super::stage::{Stage, with_every_shell};

const UPDATE: &str = "safe_update.sh";

fn run(stage: &Stage, args: &[&str], up: &str) -> crate::world::Ran {
    let mut command = stage.command(UPDATE, args);
    stage.world.run(command.env("STUB_UP", up))
}

fn users(stage: &Stage) -> String {
    stage.world.ask("user_data.db", "SELECT count(*) FROM users")
}

fn lose(path: &std::path::Path) -> String {
    format!("sqlite3 '{}' 'DELETE FROM bows; DELETE FROM users'", path.display())
}

#[test]
fn an_update_that_works_keeps_what_it_did_and_removes_dangling_images() {
    with_every_shell(|stage| {
        stage.demo_here();
        let up = format!("sqlite3 '{}' 'CREATE TABLE new(x)'", stage.world.path("user_data.db").display());
        run(&stage, &["--health-command", "true"], &up).success().says("updated");
        assert_eq!(stage.world.ask("user_data.db", "SELECT count(*) FROM new"), "0");
        assert_eq!(
            stage.calls(),
            "docker compose config --quiet\ndocker compose up -d --build\ndocker image prune --force\n"
        );
        assert_eq!(stage.world.archives().len(), 1);
        run(&stage, &["--no-prune", "--", "true"], "").success();
        assert_eq!(stage.calls().lines().count(), 3, "{}", stage.calls());
    });
}

#[test]
fn an_update_that_fails_leaves_the_old_data() {
    with_every_shell(|stage| {
        stage.demo_here();
        let up = lose(&stage.world.path("user_data.db"));
        run(&stage, &[], &format!("{up}; exit 4")).exits(4).says("rolled back and verified");
        assert_eq!(users(&stage), "50");
        run(&stage, &["--health-command", "false", "--health-timeout", "0s"], &up).exits(1);
        assert_eq!(users(&stage), "50");
        run(&stage, &["--timeout", "1s", "--", "sh", "-c", &format!("{up}; sleep 60")], "").exits(143);
        assert_eq!(users(&stage), "50");
        assert!(!stage.calls().contains("prune"));
        run(&stage, &["--no-rollback"], &format!("{up}; exit 4")).exits(4).says("heirloom restore");
        assert_eq!(users(&stage), "0");
    });
}

#[test]
fn what_would_remove_volumes_is_refused() {
    with_every_shell(|stage| {
        stage.demo_here();
        for command in [
            &["docker", "compose", "down", "-v"][..],
            &["docker", "compose", "down", "--remove-orphans", "--volumes"],
            &["docker-compose", "down", "--volumes=true"],
            &["sh", "-c", "docker compose down -v&&docker compose up -d"],
            &["docker", "volume", "rm", "app-data"],
            &["podman", "volume", "prune", "-f"],
            &["docker", "system", "prune", "-af", "--volumes"],
            &["docker", "compose", "rm", "-sfv"],
            &["docker", "compose", "up", "-dV"],
            &["docker", "compose", "up", "--renew-anon-volumes"],
        ] {
            let args: Vec<&str> = ["--"].iter().chain(command).copied().collect();
            run(&stage, &args, "touch ran").exits(2).says("would remove volumes");
        }
        assert_eq!((stage.calls().as_str(), stage.world.archives().len()), ("", 0));
        run(&stage, &["--no-prune", "--", "sh", "-c", "echo docker compose down; echo up -d -v volume"], "").success();
    });
}

#[test]
fn nothing_is_updated_where_something_is_wrong_before() {
    with_every_shell(|stage| {
        stage.demo_here();
        let mut command = stage.command(UPDATE, &[]);
        stage
            .world
            .run(command.env("STUB_FAIL", "compose config").env("STUB_UP", "touch ran"))
            .exits(2)
            .says("compose file");
        fs::write(stage.world.path("heirloom.toml"), "[nonsense]\n").unwrap();
        run(&stage, &[], "touch ran").exits(2).says("configuration of heirloom");
        fs::remove_file(stage.world.path("heirloom.toml")).unwrap();
        run(&stage, &["--", "no-such-program"], "").exits(127).says("no-such-program");
        assert!(!stage.engine().join("ran").exists() && !stage.world.path("ran").exists());
    });
}

/// A service with the demo data in it.
fn service(stage: &Stage) -> PathBuf {
    let inside = stage.engine().join("services/api");
    stage.demo(&inside);
    inside
}

#[test]
fn a_service_is_backed_up_and_rolled_back_from_within() {
    with_every_shell(|stage| {
        let inside = service(&stage);
        let lost = || {
            let connection = rusqlite::Connection::open(inside.join("user_data.db")).unwrap();
            connection.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0)).unwrap() == 0
        };
        let up = lose(&inside.join("user_data.db"));
        run(&stage, &["--service", "api", "--health-command", "true"], "true").success();
        assert!(stage.calls().ends_with("docker image prune --force\n") && !stage.calls().contains("compose stop"));
        run(&stage, &["--service", "api"], &format!("{up}; exit 5")).exits(5).says("is stopped");
        assert!(!lost());
        assert!(stage.calls().contains("docker compose stop api\n"));
        run(&stage, &["--service", "api", "--health-command", "false", "--health-timeout", "1s"], &up).exits(1);
        assert!(!lost());
        run(&stage, &["--service", "api", "--no-rollback"], &format!("{up}; exit 5"))
            .exits(5)
            .says("restore archerytools_");
        assert!(lost());
        run(&stage, &["--service", "other"], "touch ran").exits(2);
        assert!(!stage.engine().join("ran").exists());
    });
}

#[test]
fn a_service_without_a_backup_is_not_updated() {
    with_every_shell(|stage| {
        let inside = service(&stage);
        let mut bytes = fs::read(inside.join("user_data.db")).unwrap();
        let last = bytes.len() - 4096;
        bytes[last..].fill(0x5a);
        fs::write(inside.join("user_data.db"), bytes).unwrap();
        run(&stage, &["--service", "api"], "touch ran").exits(125).says("nothing was updated");
        assert!(!stage.world.path("ran").exists());
    });
}

fn count(inside: &std::path::Path, table: &str, database: &str) -> i64 {
    let connection = rusqlite::Connection::open(inside.join(database)).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

/// Runs heirloom inside the service, on the real clock, under the label that the service has there.
fn inside_service(stage: &Stage, inside: &std::path::Path, args: &[&str]) -> crate::world::Ran {
    let mut command = stage.world.command(args);
    stage.world.run(command.current_dir(inside).env_remove("HEIRLOOM_NOW").env_remove("HEIRLOOM_HOST"))
}

/// Cron inside the new version: a backup of the half-done state, and a rotation that keeps one archive.
const NIGHT: &str = "unset HEIRLOOM_HOST; heirloom backup --kind scheduled && heirloom rotate --keep-last 1; heirloom \
list --json >during";

#[test]
fn a_rotation_during_the_update_of_a_service_leaves_the_archive_of_the_rollback() {
    with_every_shell(|stage| {
        let inside = service(&stage);
        let up = format!("{}; cd '{}' && {NIGHT}; exit 5", lose(&inside.join("user_data.db")), inside.display());
        let mut command = stage.command(UPDATE, &["--service", "api"]);
        stage.world.run(command.env("STUB_UP", &up).env_remove("HEIRLOOM_NOW")).exits(5).says("is stopped");
        assert_eq!(count(&inside, "users", "user_data.db"), 50);
        // Pinned meanwhile: the rollback does not rely on the archives of this kind that every rotation keeps.
        let during = std::fs::read_to_string(inside.join("during")).unwrap();
        assert!(during.contains("\"pinned\": true"), "{during}");
        // The backup of the failed state is not what the next restore takes.
        std::fs::remove_file(inside.join("user_data.db")).unwrap();
        inside_service(&stage, &inside, &["restore", "latest", "--if-missing"]).success();
        assert_eq!(count(&inside, "users", "user_data.db"), 50);
        // Nothing stays pinned after the rollback.
        let list = inside_service(&stage, &inside, &["list", "--json"]).success().stdout;
        assert!(!list.contains("\"pinned\": true"), "{list}");
    });
}

#[test]
fn an_update_without_rollback_keeps_its_archive_for_the_command_that_is_printed() {
    with_every_shell(|stage| {
        let inside = service(&stage);
        let up = format!(
            "{}; cd '{}' && heirloom backup --dir 'a b' && heirloom rotate --dir 'a b' --keep-last 1; exit 5",
            lose(&inside.join("user_data.db")),
            inside.display()
        );
        let ran = run(&stage, &["--service", "api", "--no-rollback", "--dir", "a b"], &up).exits(5);
        let ran = ran.says("--dir 'a b'").says("unpin");
        // The command is complete: pasted, it brings the rows back.
        let line = ran.stderr.lines().find_map(|line| line.split_once("Restore it with: ")).unwrap().1;
        stage.world.run(stage.line(line).env("HEIRLOOM_NOW", "2026-03-01T04:00:00Z")).success();
        assert_eq!(count(&inside, "users", "user_data.db"), 50);
    });
}

#[test]
fn every_configured_set_of_a_service_is_rolled_back_or_only_the_named_one() {
    with_every_shell(|stage| {
        let inside = service(&stage);
        std::fs::write(
            inside.join("heirloom.toml"),
            "[sets.one.databases]\nuser = \"user_data.db\"\n[sets.two.databases]\narrow = \"arrow_database.db\"\n",
        )
        .unwrap();
        let arrows = format!("sqlite3 '{}' 'DELETE FROM arrows'", inside.join("arrow_database.db").display());
        let up = format!("{}; {arrows}; exit 5", lose(&inside.join("user_data.db")));
        run(&stage, &["--service", "api"], &up).exits(5).says("is stopped");
        assert_eq!([count(&inside, "users", "user_data.db"), count(&inside, "arrows", "arrow_database.db")], [50, 50]);
        run(&stage, &["--service", "api", "--set", "two"], &up).exits(5).says("is stopped");
        assert_eq!([count(&inside, "users", "user_data.db"), count(&inside, "arrows", "arrow_database.db")], [0, 50]);
    });
}

#[test]
fn an_interrupted_update_prints_the_way_back() {
    with_every_shell(|stage| {
        service(&stage);
        let ran = run(&stage, &["--service", "api", "--", "sh", "-c", "kill -TERM $PPID; sleep 0.1"], "");
        ran.exits(143).says("interrupted").says("Restore it with: docker compose run").says("pinned");
    });
}
