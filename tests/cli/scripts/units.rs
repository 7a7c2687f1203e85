//! The units of systemd, the crontab, and the texts for containers.

use std::fs;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::stage::{Stage, flip_in_database, with_every_shell};
use crate::tools::{have, installed};
use crate::world::World;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

#[test]
fn systemd_accepts_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for entry in fs::read_dir(scripts().join("systemd")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let target = folder.path().join(name.trim_end_matches(".example"));
        // Verify wants the program to be there; on a real host it is found in /usr/bin or /usr/local/bin.
        fs::write(
            &target,
            text.replace("ExecStart=heirloom ", concat!("ExecStart=", env!("CARGO_BIN_EXE_heirloom"), " ")),
        )
        .unwrap();
        paths.push(target);
    }
    assert_eq!(paths.len(), 7);
    if !installed("systemd accepts the units", &["systemd-analyze"]) {
        return;
    }
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&paths).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Returns the heirloom command lines of a text, cut at what a shell or YAML puts behind them.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if let Some((_, rest)) =
            line.split_once("heirloom ").filter(|(before, _)| !before.contains('=') || before.ends_with("ExecStart="))
        {
            lines.push(rest.split_whitespace().map(str::to_owned).collect());
        }
    }
    lines
}

/// What is scheduled must not fail at its first night for a wrong flag.
#[test]
fn scheduled_commands_run_as_written() {
    let world = World::new();
    world.database("app.db");
    let config = world.path("heirloom.toml");
    fs::write(&config, "[sets.app.databases]\nmain = \"app.db\"\n[store]\ndir = \"backups\"\n").unwrap();
    let mut seen = 0;
    for file in ["systemd/heirloom-backup.service", "systemd/heirloom-verify.service", "crontab.example"] {
        let text = fs::read_to_string(scripts().join(file)).unwrap();
        for line in command_lines(&text) {
            // The backups themselves decide what health says; here it is about the flags.
            let allowed: &[i32] = if line[0] == "health" { &[0, 20, 21] } else { &[0] };
            let line: Vec<String> = line
                .into_iter()
                .map(|word| if word == "/etc/heirloom/heirloom.toml" { config.to_str().unwrap().into() } else { word })
                .collect();
            let ran = world.heirloom(&line);
            assert!(allowed.contains(&ran.code), "{file}: {line:?}: {} {}", ran.code, ran.stderr);
            seen += 1;
        }
    }
    assert!(seen >= 4, "only {seen} commands were found");
    assert_eq!(world.archives().len(), 1, "the second schedule found a young archive");
}

/// Root without CAP_CHOWN cannot give the sidecars that SQLite makes to the owner of the database, whose application
/// they lock out then.
#[test]
fn the_unit_for_backups_leaves_nothing_beside_the_database_of_another_user() {
    if !have("the unit for backups leaves nothing beside a database of another user", &["setpriv"]) {
        return;
    }
    let text = fs::read_to_string(scripts().join("systemd/heirloom-backup.service")).unwrap();
    let kept = text.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let kept: Vec<String> =
        kept.split_whitespace().map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase())).collect();
    let kept = format!("-all,{}", kept.join(","));

    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    world.database("data/app.db");
    let application = rusqlite::Connection::open(world.path("data/app.db")).unwrap();
    application.execute_batch("PRAGMA journal_mode=WAL; DELETE FROM notes WHERE id > 50").unwrap();
    // A crash of the application, and a database at rest.
    for ending in ["", "-wal", "-shm"] {
        fs::copy(world.path(format!("data/app.db{ending}")), world.path(format!("data/crashed.db{ending}"))).unwrap();
    }
    drop(application);
    for entry in fs::read_dir(world.path("data")).unwrap() {
        std::os::unix::fs::chown(entry.unwrap().path(), Some(65534), Some(65534)).unwrap();
    }
    std::os::unix::fs::chown(world.path("data"), Some(65534), Some(65534)).unwrap();
    let config = world.path("heirloom.toml");
    fs::write(
        &config,
        "[sets.app.databases]\nmain = \"data/app.db\"\ncrashed = \"data/crashed.db\"\n[store]\ndir = \"backups\"\n",
    )
    .unwrap();

    let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, world.path("data"), WatchFlags::CREATE | WatchFlags::DELETE).unwrap();
    for line in command_lines(&text) {
        let line = line
            .into_iter()
            .map(|word| if word == "/etc/heirloom/heirloom.toml" { config.to_str().unwrap().into() } else { word });
        let inner = world.command(line);
        let mut command = Command::new("setpriv");
        command
            .args([format!("--bounding-set={kept}"), format!("--inh-caps={kept}")])
            .arg(inner.get_program())
            .args(inner.get_args());
        command
            .current_dir(world.work())
            .env_clear()
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        world.run(&mut command).success();
    }
    let mut buffer = [MaybeUninit::uninit(); 4096];
    assert!(
        inotify::Reader::new(watch, &mut buffer).next().is_err(),
        "something was made or removed beside the databases"
    );
    for (name, file) in [("main", "main.db"), ("crashed", "crashed.db")] {
        world.heirloom(["restore", "latest", "--config", "heirloom.toml", "--only", name, "--to", file]).success();
        assert_eq!(world.ask(file, "SELECT count(*) FROM notes"), "50", "{name}");
    }
}

/// The commands of a crontab, without their times.
fn cron_commands(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    lines.map(|line| line.splitn(6, ' ').nth(5).unwrap().trim().to_owned()).collect()
}

/// The crontabs that the project shows.
fn crontabs() -> [(&'static str, Vec<String>); 2] {
    let example = fs::read_to_string(scripts().join("crontab.example")).unwrap();
    let readme = fs::read_to_string(scripts().join("../README.md")).unwrap();
    let block = readme.split_once("```crontab\n").unwrap().1.split("```").next().unwrap();
    [("crontab.example", cron_commands(&example)), ("README.md", cron_commands(block))]
}

/// What is printed, cron mails.
#[test]
fn what_cron_runs_prints_nothing_on_success_and_reports_damage() {
    for (file, commands) in crontabs() {
        let mut stage = Stage::new("dash");
        stage.world.database("app.db");
        configure(&stage);
        for day in 1..=15 {
            stage.world.at(&format!("2026-02-{day:02}"));
            for command in &commands {
                let ran = stage.world.run(&mut stage.line(command)).success();
                assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{file}: {command}");
            }
        }
        let archives = stage.world.archives();
        assert!((8..15).contains(&archives.len()), "{file}: a rotation removed some: {archives:?}");
        let path = stage.world.path("backups").join(&archives[3]);
        let mut bytes = fs::read(&path).unwrap();
        flip_in_database(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let verify = commands.iter().find(|command| command.contains("verify")).unwrap();
        stage.world.run(&mut stage.line(verify)).exits(13).says(&archives[3]);
    }
}

fn configure(stage: &Stage) {
    let text = "[sets.app.databases]\nmain = \"app.db\"\n[store]\ndir = \"backups\"\n";
    fs::write(stage.world.path("heirloom.toml"), text).unwrap();
}

/// A second line of cron, and a second timer, find a young backup and neither make nor remove anything.
#[test]
fn a_second_schedule_does_nothing() {
    with_every_shell(|mut stage| {
        stage.world.database("app.db");
        configure(&stage);
        let (_, commands) = &crontabs()[0];
        for time in ["2026-02-01T03:00:00Z", "2026-02-01T03:00:01Z", "2026-02-01T22:00:00Z"] {
            stage.world.at(time);
            stage.world.run(&mut stage.line(&commands[0])).success();
        }
        assert_eq!(stage.world.archives(), ["app_20260201T030000Z.tar.gz"]);
    });
}

/// In a container the name of the host changes with every deployment, and hosts that share a store need a label each.
#[test]
fn the_host_label_is_set_or_named_where_it_is_needed() {
    let read = |file: &str| fs::read_to_string(scripts().join(file)).unwrap();
    let compose = read("compose.example.yml");
    assert!(compose.lines().any(|line| line.trim_start().starts_with("HEIRLOOM_HOST: ")), "{compose}");
    let units = ["systemd/heirloom-backup.service", "systemd/heirloom-verify.service"];
    for file in units.into_iter().chain(["crontab.example", "start-with-restore.sh", "manage-volume.sh"]) {
        assert!(read(file).contains("HEIRLOOM_HOST"), "{file}");
    }
}

/// What the image copies must be in the repository.
#[test]
fn the_image_copies_what_is_there() {
    let text = fs::read_to_string(scripts().join("Dockerfile")).unwrap();
    let mut copied = 0;
    for line in text.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let words: Vec<&str> = line.split_whitespace().skip(1).filter(|word| !word.starts_with("--")).collect();
        for source in &words[..words.len() - 1] {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(source).exists(), "{line}");
            copied += 1;
        }
    }
    assert!(copied >= 4);
    assert!(text.contains("USER heirloom"), "the image must not run as root");
}
