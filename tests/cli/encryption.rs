//! Encrypted archives: with the key, without it, and with the `age` program.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Stdio;

use serde_json::Value;

use crate::tools;
use crate::world::{Ran, World};

/// Makes a key outside of the working directory, and a configuration that encrypts for it. Returns the recipient.
pub fn encrypt(world: &World) -> String {
    let recipient = new_key(world, "key.txt");
    fs::write(world.path("heirloom.toml"), format!("[encryption]\nrecipients = [\"{recipient}\"]\n")).unwrap();
    recipient
}

/// Makes a key and returns its recipient.
pub fn new_key(world: &World, name: &str) -> String {
    let made = world.heirloom(["key", "new", &key(world, name), "--json"]).success().json();
    made["recipient"].as_str().unwrap().to_owned()
}

/// The path of a key.
pub fn key(world: &World, name: &str) -> String {
    format!("{}/{name}", world.root())
}

/// Runs a command with the key.
pub fn with_key(world: &World, args: &[&str]) -> Ran {
    world.heirloom(args.iter().map(|arg| (*arg).to_owned()).chain(["--identity".into(), key(world, "key.txt")]))
}

/// The archives of a list, each with its name and what is known of its encryption.
pub fn listed(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let archives = list["archives"].as_array().unwrap().iter();
    archives.map(|archive| (text(&archive["archive"]), text(&archive["encryption"]))).collect()
}

#[test]
fn health_with_the_key_saw_no_digest_beside_any_archive() {
    let world = World::new();
    world.database("app.db");
    encrypt(&world);
    world.heirloom(["backup", "app.db"]).success();
    let [name] = world.archives().try_into().unwrap();
    let digests = |world: &World| {
        let health = with_key(world, &["health", "--json"]).json();
        health["checks"].as_array().unwrap().iter().any(|check| check["check"] == "digests")
    };
    assert!(!digests(&world));
    fs::remove_file(world.path(format!("backups/{name}.sha256"))).unwrap();
    assert!(digests(&world));
}

#[test]
fn a_backup_is_restored_only_with_the_key() {
    let world = World::new();
    world.database("app.db");
    let recipient = encrypt(&world);
    world.heirloom(["backup", "app.db", "--note", "a secret note"]).success();
    let [name] = world.archives().try_into().unwrap();
    assert!(name.ends_with(".tar.gz.age"));
    let bytes = fs::read(world.path("backups").join(&name)).unwrap();
    for secret in ["a secret note", "app.db", "notes", "SQLite", world.root()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is in the clear");
    }

    let refused = world.heirloom(["restore", "--to", "out.db"]).exits(17).says(&recipient).says("--identity");
    assert!(!refused.stderr.contains("SECRET"));
    world.heirloom(["restore", &name, "--to", "out.db"]).exits(17).says(&recipient);
    world.heirloom(["verify"]).exits(17).says(&recipient);
    let other = new_key(&world, "other.txt");
    assert_ne!(other, recipient);
    let other = key(&world, "other.txt");
    world.heirloom(["restore", "--to", "out.db", "--identity", &other]).exits(17).says("the key of this host does not");
    assert!(!world.path("out.db").exists());

    with_key(&world, &["restore", "--to", "out.db"]).success();
    assert_eq!(world.ask("out.db", "SELECT count(*) FROM notes"), "100");
    with_key(&world, &["verify", "--depth", "deep"]).success();
    let shown = with_key(&world, &["show", "--json"]).success().json();
    assert_eq!((&shown["encryption"], &shown["metadata"]["note"]), (&"opened".into(), &"a secret note".into()));
    assert_eq!(world.leftovers(), ["key-used"]);
    assert_eq!(world.files("../state/scratch"), [""; 0], "nothing plain stays");
}

#[test]
fn several_identities_come_from_the_configuration_the_environment_and_flags() {
    let mut world = World::new();
    world.database("app.db");
    let (first, second) = (new_key(&world, "a.key"), new_key(&world, "b.key"));
    fs::write(world.path("office.txt"), format!("# the office\n{second}\n")).unwrap();
    let config = format!("[encryption]\nrecipients = [\"{first}\"]\nrecipients_file = \"office.txt\"\n");
    fs::write(world.path("heirloom.toml"), &config).unwrap();
    world.heirloom(["backup", "app.db"]).success();
    for file in ["a.key", "b.key"] {
        world.heirloom(["verify", "--identity", &key(&world, file)]).success();
        fs::write(world.path("heirloom.toml"), format!("{config}identity_file = [\"../{file}\"]\n")).unwrap();
        world.heirloom(["verify"]).success();
        fs::write(world.path("heirloom.toml"), &config).unwrap();
    }
    world.env("HEIRLOOM_IDENTITY_FILE", &key(&world, "b.key"));
    world.heirloom(["verify"]).success();
    world.env("HEIRLOOM_IDENTITY_FILE", &key(&world, "gone.key"));
    world.heirloom(["backup", "app.db"]).success().says("gone.key");
    world.heirloom(["verify"]).exits(17);
    world.heirloom(["verify", "--identity", &key(&world, "gone.key")]).exits(2).says("gone.key");
}

#[test]
fn debians_age_and_tar_restore_what_we_made_and_we_what_they_made() {
    if !tools::installed("archives that the age program opens", &["age", "tar", "sha256sum"]) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    let recipient = encrypt(&world);
    for compression in ["gzip", "zstd", "none"] {
        world.heirloom(["backup", "app.db", "--name", compression, "--compression", compression]).success();
    }
    let script = "sha256sum --check *.sha256
        for one in gzip.tar.gz zstd.tar.zst none.tar; do
            flag=$(case $one in *.gz) echo -z;; *.zst) echo --zstd;; esac)
            mkdir $one.d && age -d -i ../../key.txt $one.age | tar x $flag -C $one.d
        done";
    world.run(world.shell(script).current_dir(world.path("backups"))).success();
    for folder in ["gzip.tar.gz.d", "zstd.tar.zst.d", "none.tar.d"] {
        assert_eq!(world.ask(&format!("backups/{folder}/app.db"), "SELECT count(*) FROM notes"), "100");
        let text = fs::read_to_string(world.path("backups").join(folder).join("RESTORE.txt")).unwrap();
        assert!(text.contains("age -d -i"), "{text}");
    }

    fs::write(world.path("plain.toml"), "").unwrap();
    world.heirloom(["backup", "app.db", "--config", "plain.toml", "--dir", "plain", "--name", "mine"]).success();
    let script = format!("age -r {recipient} -o mine.tar.gz.age mine.tar.gz && rm mine.tar.gz");
    world.run(world.shell(&script).current_dir(world.path("plain"))).success();
    with_key(&world, &["restore", "mine", "--dir", "plain", "--to", "theirs.db"]).success();
    assert_eq!(world.ask("theirs.db", "SELECT count(*) FROM notes"), "100");
    world.heirloom(["list", "--dir", "plain"]).success();
    world.heirloom(["restore", "mine", "--dir", "plain", "--to", "x.db"]).exits(12).says("no key");
}

#[test]
fn every_kind_of_backup_is_encrypted() {
    let world = World::new();
    world.database("app.db");
    world.database("log.db");
    let recipient = encrypt(&world);
    let sets = "[sets.shop.databases]\napp = 'app.db'\nlog = 'log.db'\n";
    fs::write(world.path("heirloom.toml"), format!("{sets}[encryption]\nrecipients = ['{recipient}']\n")).unwrap();
    world.heirloom(["backup"]).success();
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    with_key(&world, &["restore", "--only", "app", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    assert!(world.archives().len() == 2 && world.archives().iter().all(|name| name.ends_with(".age")));
    let sidecars = world.files("backups").into_iter().filter(|name| name.ends_with(".sha256")).count();
    assert_eq!(sidecars, 2, "the safety backup has one, too");
    world.heirloom(["verify", "--all", "--depth", "quick"]).success();

    world.heirloom(["restore", "--undo", "--force"]).exits(17).says(&recipient);
    with_key(&world, &["restore", "--undo", "--force"]).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10");
    with_key(&world, &["verify", "--all"]).success();
}

#[test]
fn a_guard_rolls_back_without_a_key() {
    let world = World::new();
    world.database("app.db");
    encrypt(&world);
    for round in 1..=2 {
        let script = "sqlite3 app.db 'DELETE FROM notes' && false";
        let ran = world.heirloom(["guard", "app.db", "--", "sh", "-c", script]).exits(1);
        assert!(ran.stderr.contains("rolled back"), "round {round}: {}", ran.stderr);
        assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    }
    // The content is the same, but without a key nothing can be rolled back to the first archive.
    let kinds = |kind: &str| {
        let list = world.heirloom(["list", "--json"]).success().json();
        list["archives"].as_array().unwrap().iter().filter(|archive| archive["kind"] == kind).count()
    };
    assert_eq!((kinds("pre-update"), kinds("safety")), (2, 2));
    let key = key(&world, "key.txt");
    world.heirloom(["guard", "app.db", "--identity", &key, "--", "true"]).success();
    assert_eq!(kinds("pre-update"), 2, "with the key, the archive with the same content is used again");
}

#[test]
fn a_guard_that_could_not_roll_back_does_not_start_the_command() {
    let world = World::new();
    world.database("app.db");
    encrypt(&world);
    let config = fs::read_to_string(world.path("heirloom.toml")).unwrap();
    fs::write(world.path("heirloom.toml"), format!("{config}[store]\nscratch_dir = 'app.db/x'\n")).unwrap();
    world.heirloom(["guard", "app.db", "--", "touch", "started"]).exits(125).says("scratch");
    assert!(!world.path("started").exists());
}

#[test]
fn bit_rot_is_found_without_a_key_by_the_digest_and_with_it_in_any_case() {
    let world = World::new();
    world.database("app.db");
    encrypt(&world);
    world.heirloom(["backup", "app.db"]).success();
    let [name] = world.archives().try_into().unwrap();
    let path = world.path("backups").join(&name);
    let quick = ["verify", "--all", "--depth", "quick"];
    world.heirloom(quick).success();
    world.heirloom(["verify", &name, "--depth", "quick"]).success();
    world.heirloom(["verify", "--all"]).exits(17);

    let good = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // Every part of the header: version, recipients, label, code. Then the data.
    let header = good.windows(5).position(|window| window == b"\n--- ").unwrap();
    let of_header = (0..header).step_by(header / 12).chain([20, 21, header + 10]);
    for at in of_header.chain((header..good.len()).step_by(good.len() / 12)) {
        file.write_all_at(&[good[at] ^ 4], at as u64).unwrap();
        world.heirloom(quick).exits(13);
        assert!(world.path("backups").join(format!("{name}.damaged")).exists());
        let code = with_key(&world, &["verify", "--all"]).code;
        assert!(code == 13 || code == 17 && at < header, "byte {at}: {code}");
        file.write_all_at(&good[at..=at], at as u64).unwrap();
    }
    // The mark of a quick check is removed by a quick one.
    world.heirloom(quick).success();
    assert!(!world.path("backups").join(format!("{name}.damaged")).exists());
    file.set_len(good.len() as u64 - 1).unwrap();
    with_key(&world, &["restore", &name, "--to", "out.db"]).exits(13);
    assert!(!world.path("out.db").exists());
}

#[test]
fn a_missing_digest_is_a_finding_and_is_not_made_up() {
    let world = World::new();
    world.database("app.db");
    encrypt(&world);
    world.heirloom(["backup", "app.db"]).success();
    let [name] = world.archives().try_into().unwrap();
    let sidecar = world.path("backups").join(format!("{name}.sha256"));
    fs::remove_file(&sidecar).unwrap();
    world.heirloom(["verify", "--all", "--depth", "quick"]).success().says("no digest beside it");
    with_key(&world, &["verify", "--all"]).success().says("no digest beside it");
    let health = world.heirloom(["health", "--json"]).json();
    let checks = health["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["check"] == "digests" && check["state"] == "warning"), "{health}");
    assert!(!sidecar.exists() && !world.path("backups").join(format!("{name}.damaged")).exists());
    // A host that does not remember it has nothing to compare with.
    fs::remove_dir_all(world.path("backups/.heirloom")).unwrap();
    world.heirloom(["verify", "--all", "--depth", "quick"]).exits(17);

    world.heirloom(["delete", &name, "--force", "--even-last"]).success();
    world.heirloom(["backup", "app.db", "--name", "again"]).success();
    world.heirloom(["delete", "again.tar.gz.age", "--force", "--even-last"]).success();
    assert_eq!(world.files("backups"), [".heirloom", "heirloom-store.json"], "the digest goes with its archive");
}

#[test]
fn nothing_plain_is_ever_below_the_store() {
    let world = World::new();
    world.database("app.db");
    let recipient = encrypt(&world);
    for wrong in ["backups/scratch", "./backups", "backups/.heirloom"] {
        let config = format!("[encryption]\nrecipients = ['{recipient}']\n[store]\nscratch_dir = '{wrong}'\n");
        fs::write(world.path("heirloom.toml"), config).unwrap();
        world.heirloom(["backup", "app.db"]).exits(2).says("heirloom.toml:4").says("store.scratch_dir");
    }
    let config = format!("[encryption]\nrecipients = ['{recipient}']\n[store]\nscratch_dir = 'plain'\n");
    fs::write(world.path("heirloom.toml"), config).unwrap();
    world.heirloom(["backup", "app.db"]).success();
    let found = fs::metadata(world.path("plain")).unwrap();
    assert_eq!((found.permissions().mode() & 0o777, world.files("plain").len()), (0o700, 0));

    // Killed in the middle: what stays is outside of the store, and the next run removes it.
    fs::create_dir(world.path("plain/run-1-0")).unwrap();
    fs::write(world.path("plain/run-1-0/0.db"), "plain").unwrap();
    world.heirloom(["backup", "app.db"]).success();
    assert_eq!(world.files("plain"), [""; 0]);
}

#[test]
fn a_key_is_private_never_overwritten_and_shown_nowhere() {
    let world = World::new();
    let made = world.heirloom(["key", "new", "mine.key"]).success();
    let recipient = made.stdout.trim().to_owned();
    assert!(recipient.starts_with("age1") && !made.stderr.contains("AGE-SECRET-KEY"));
    let text = fs::read_to_string(world.path("mine.key")).unwrap();
    assert!(text.contains("AGE-SECRET-KEY-1") && text.contains(&recipient));
    assert_eq!(fs::metadata(world.path("mine.key")).unwrap().permissions().mode() & 0o777, 0o600);
    world.heirloom(["key", "new", "mine.key"]).exits(14);
    world.heirloom(["key", "new", "nowhere/mine.key"]).exits(2);
    assert_eq!(fs::read_to_string(world.path("mine.key")).unwrap(), text);
    if tools::installed("keys as age-keygen reads them", &["age-keygen"]) {
        let mut shell = world.shell("age-keygen -y mine.key");
        assert_eq!(world.run(&mut shell).success().stdout.trim(), recipient);
    }
}

#[test]
fn a_key_check_counts_what_a_replaced_key_is_still_needed_for() {
    let mut world = World::new();
    world.database("app.db");
    let old = encrypt(&world);
    for month in 1..=3 {
        world.at(&format!("2026-0{month}-15")).heirloom(["backup", "app.db"]).success();
    }
    let new = new_key(&world, "new.txt");
    fs::write(world.path("heirloom.toml"), format!("[encryption]\nrecipients = ['{new}']\n")).unwrap();
    world.at("2026-04-15").heirloom(["backup", "app.db"]).success();

    world.heirloom(["key", "check"]).exits(17).says("no key on this host");
    let new_key = key(&world, "new.txt");
    let checked = world.heirloom(["key", "check", "--identity", &new_key, "--json"]).exits(17).json();
    let store = &checked["stores"][0];
    assert_eq!(store["opened"], 1);
    assert_eq!(store["locked"], serde_json::json!({"2026-01": 1, "2026-02": 1, "2026-03": 1}));
    assert_eq!(store["recipients"], serde_json::json!({ old.clone(): 3 }));
    let text = world.heirloom(["key", "check", "--identity", &new_key]).exits(17);
    assert!(text.stdout.contains("2026-02  1 archive") && text.stdout.contains(&old), "{}", text.stdout);
    let both = ["key", "check", "--identity", &new_key, "--identity", &key(&world, "key.txt")];
    world.heirloom(both).success();
}

#[test]
fn health_asks_for_a_key_that_was_not_tried_for_90_days() {
    let mut world = World::new();
    world.database("app.db");
    encrypt(&world);
    let state = |world: &World| {
        let health = world.heirloom(["health", "--json"]).json();
        let checks = health["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|check| check["check"] == "key")
            .map(|check| check["state"].as_str().unwrap().to_owned())
    };
    world.at("2026-01-01").heirloom(["backup", "app.db"]).success();
    assert_eq!(state(&world).as_deref(), Some("ok"));
    world.at("2026-04-15").heirloom(["backup", "app.db"]).success();
    assert_eq!(state(&world).as_deref(), Some("warning"));
    with_key(&world, &["key", "check"]).success();
    assert_eq!(state(&world).as_deref(), Some("ok"));
    world.at("2026-08-15").heirloom(["backup", "app.db"]).success();
    assert_eq!(state(&world).as_deref(), Some("warning"));
    let config = fs::read_to_string(world.path("heirloom.toml")).unwrap();
    fs::write(world.path("heirloom.toml"), format!("{config}key_checked = \"2026-08-01\"\n")).unwrap();
    assert_eq!(state(&world).as_deref(), Some("ok"), "somebody checked it elsewhere");
}

#[test]
fn every_mistake_in_the_section_is_named_with_its_line() {
    let world = World::new();
    world.database("app.db");
    let recipient = new_key(&world, "key.txt");
    fs::write(world.path("key.txt"), fs::read(key(&world, "key.txt")).unwrap()).unwrap();
    fs::write(world.path("locked.txt"), "age-encryption.org/v1\n-> scrypt x 18\n").unwrap();
    fs::write(world.path("empty.txt"), "# nothing\n").unwrap();
    fs::write(world.path("wrong.txt"), format!("{recipient}\nnobody\n")).unwrap();
    for (line, said) in [
        ("recipients = ['age1nobody']", "encryption.recipients: \"age1nobody\" is not a recipient"),
        ("recipients = ['ssh-ed25519 AAAA']", "the `age` program"),
        ("recipients = 'age1'", "must be a list of strings"),
        ("recipients_file = 'gone.txt'", "encryption.recipients_file: cannot read"),
        ("recipients_file = 'empty.txt'", "has no recipient"),
        ("recipients_file = 'wrong.txt'", "line 2"),
        ("scope = 'some'", "must be \"all\" or \"copies\""),
        ("key_checked = 'yesterday'", "must be a date like"),
        ("recipient = ['x']", "did you mean \"recipients\"?"),
        ("trust_labels = 'yes'", "must be true or false"),
    ] {
        fs::write(world.path("heirloom.toml"), format!("[encryption]\n{line}\n")).unwrap();
        let checked = world.heirloom(["config", "check"]).exits(2);
        assert!(
            checked.stdout.contains("heirloom.toml:2") && checked.stdout.contains(said),
            "{line}: {}",
            checked.stdout
        );
        world.heirloom(["backup", "app.db"]).exits(2);
    }
    let secret = fs::read_to_string(key(&world, "key.txt")).unwrap();
    let secret = secret.lines().last().unwrap();
    fs::write(world.path("heirloom.toml"), format!("[encryption]\nrecipients = ['{secret}']\n")).unwrap();
    let checked = world.heirloom(["config", "check"]).exits(2);
    assert!(
        checked.stdout.contains("is a secret key") && !checked.stdout.contains(&secret[20..]),
        "{}",
        checked.stdout
    );

    for (identity, said) in [
        ("gone.txt", "cannot read"),
        ("locked.txt", "passphrase"),
        ("empty.txt", "holds no key"),
        ("key.txt", "can be read by other users"),
    ] {
        if identity == "key.txt" {
            fs::set_permissions(world.path(identity), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let config = format!("[encryption]\nrecipients = ['{recipient}']\nidentity_file = ['{identity}']\n");
        fs::write(world.path("heirloom.toml"), config).unwrap();
        let checked = world.heirloom(["config", "check"]);
        assert!(checked.stdout.contains(said) && checked.stdout.contains("warning"), "{said}: {}", checked.stdout);
        world.heirloom(["backup", "app.db"]).success();
    }
    let other = new_key(&world, "other.txt");
    let config = format!("[encryption]\nrecipients = ['{other}']\nidentity_file = ['../key.txt']\n");
    fs::write(world.path("heirloom.toml"), config).unwrap();
    let checked = world.heirloom(["config", "check"]);
    assert!(checked.stdout.contains("opens nothing that is encrypted for the recipients"), "{}", checked.stdout);
}

#[test]
fn a_pipe_in_place_of_a_key_is_refused_without_waiting() {
    let world = World::new();
    world.run(&mut world.shell("mkfifo key")).success();
    let mut child = world.command(["list", "--identity", "key"]).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
}
