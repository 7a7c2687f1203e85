//! Hooks: when they run, what they learn, what their failure means, and from which files they are taken.

use std::fs;

use crate::world::{Ran, World};

/// A world with two sets and a configuration that has to be named.
fn world(hooks: &str) -> World {
    let mut world = World::new();
    world.database("app.db");
    world.database("blog.db");
    write(&world, "conf.toml", hooks);
    let file = world.path("conf.toml").to_str().unwrap().to_owned();
    world.env("HEIRLOOM_CONFIG", &file);
    world
}

fn write(world: &World, file: &str, hooks: &str) {
    let text = format!(
        "[sets.app.databases]\napp = 'app.db'\n[sets.blog.databases]\nblog = 'blog.db'\n[store]\ndir = 'backups'\n\
         [hooks]\n{hooks}"
    );
    fs::write(world.path(file), text).unwrap();
}

/// A hook that runs a script of the shell.
fn sh(hook: &str, script: &str) -> String {
    format!("{hook} = ['sh', '-c', '''{script}''']\n")
}

/// A hook that notes what it learned, one line each.
fn noting(hook: &str) -> String {
    sh(
        hook,
        "echo $HEIRLOOM_HOOK $HEIRLOOM_COMMAND ${HEIRLOOM_SET-none} ${HEIRLOOM_KIND-none} $HEIRLOOM_OUTCOME \
         ${HEIRLOOM_ARCHIVE-none} ${HEIRLOOM_EXIT_CODE-none} >> notes",
    )
}

fn all() -> String {
    ["before_backup", "after_backup", "after_restore", "on_failure"].map(noting).concat()
}

fn notes(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.path("notes")).unwrap_or_default().replace(world.root(), "[world]");
    let _ = fs::remove_file(world.path("notes"));
    text.lines().map(str::to_owned).collect()
}

fn no_warning(ran: Ran) {
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
}

#[test]
fn each_backup_has_its_hooks_and_each_restore() {
    let mut world = world(&all());
    world.heirloom(["backup", "--kind", "scheduled"]).success();
    assert_eq!(
        notes(&world),
        [
            "before_backup backup app scheduled starting none none",
            "after_backup backup app scheduled done [world]/work/backups/app_20260301T030000Z.tar.gz none",
            "before_backup backup blog scheduled starting none none",
            "after_backup backup blog scheduled done [world]/work/backups/blog_20260301T030000Z.tar.gz none",
        ]
    );
    world.at("2026-03-02");
    world.heirloom(["backup", "--if-older-than", "3d"]).success();
    world.heirloom(["backup", "--dry-run"]).success();
    world.heirloom(["restore", "--set", "app", "--dry-run", "--force"]).success();
    assert_eq!(notes(&world), [""; 0], "nothing was backed up or restored");

    world.sql("app.db", "DELETE FROM notes");
    world.heirloom(["restore", "--set", "app", "--force"]).success();
    assert_eq!(notes(&world), ["after_restore restore app none done app_20260301T030000Z.tar.gz none"]);
    world.heirloom(["restore", "--undo", "--set", "app", "--force"]).success();
    assert!(notes(&world)[0].starts_with("after_restore restore app none done app"), "an undo is a restore");

    fs::remove_file(world.path("blog.db")).unwrap();
    let ran = world.heirloom(["backup", "--set", "blog"]).exits(10);
    assert_eq!(
        notes(&world),
        ["before_backup backup blog manual starting none none", "on_failure backup blog none failed none 10"]
            .map(|line| line.replace("blog none", "blog manual")),
        "{}",
        ran.stderr
    );
    world.heirloom(["backup", "--if-exists", "--set", "blog"]).exits(3);
    assert_eq!(notes(&world).last().unwrap(), "after_backup backup blog manual skipped none none");
}

#[test]
fn a_failing_before_backup_fails_the_backup_of_its_set_alone() {
    let world = world(&(sh("before_backup", "test $HEIRLOOM_SET = blog") + &noting("on_failure")));
    world
        .heirloom(["backup", "--set", "app"])
        .exits(1)
        .says("the hook before_backup (sh -c 'test $HEIRLOOM_SET = blog') failed with exit code 1")
        .says("\"app\" was not backed up");
    assert_eq!(world.archives(), [""; 0]);
    assert_eq!(world.files("backups"), [""; 0], "no store was made");
    assert_eq!(notes(&world), ["on_failure backup app manual failed none 1"]);
    world.heirloom(["backup"]).exits(3);
    assert_eq!(world.archives(), ["blog_20260301T030000Z.tar.gz"]);
    assert_eq!(notes(&world).len(), 1);

    write(&world, "conf.toml", "before_backup = ['/no/such/program']\n");
    world.heirloom(["backup", "--set", "app"]).exits(1).says("/no/such/program").says("could not be started");
    world
        .heirloom(["guard", "--set", "app", "--", "touch", "was-run"])
        .exits(125)
        .says("could not be started")
        .says("the command was not run");
    assert!(!world.path("was-run").exists());
}

#[test]
fn other_hooks_only_warn() {
    let world = world(
        &["after_backup", "after_restore", "on_failure"].map(|hook| sh(hook, "echo from a hook; exit 7")).concat(),
    );
    let ran = world.heirloom(["backup", "--set", "app", "--json"]).success();
    assert_eq!(ran.json()["set"], "app", "standard output is the document alone");
    ran.says("warning: the hook after_backup").says("failed with exit code 7").says("from a hook");
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["restore", "--set", "app"]).success().says("warning: the hook after_restore");
    world.heirloom(["restore", "--set", "blog", "--force"]).exits(12).says("warning: the hook on_failure");
}

#[test]
fn a_hook_learns_the_error_but_no_secret() {
    let mut world = world(&sh(
        "on_failure",
        "echo \"$HEIRLOOM_ERROR\" > notes; env | grep -e SECRET >> notes; cat >> notes; echo $HOME >> notes",
    ));
    world.env("AWS_SECRET_ACCESS_KEY", "SECRET1").env("CONNECT_API_KEY", "SECRET2").env("OTHER", "x");
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["backup", "--set", "app"]).exits(10);
    let found = notes(&world);
    assert!(found[0].contains("app.db") && found.len() == 2, "{found:?}");
    let passing = sh("on_failure", "env | grep -e SECRET > notes") + "pass_env = ['AWS_*']\n";
    write(&world, "conf.toml", &passing);
    world.heirloom(["backup", "--set", "app"]).exits(10);
    assert_eq!(notes(&world), ["AWS_SECRET_ACCESS_KEY=SECRET1"]);
}

#[test]
fn what_a_hook_started_ends_with_it() {
    let ended = |world: &World| {
        let pid = fs::read_to_string(world.path("pid")).unwrap();
        let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        assert!(state.is_err() || state.as_ref().unwrap().contains(") Z "), "{state:?}");
    };
    let world = world(&(sh("before_backup", "sleep 1000 & echo $! > pid; wait") + "timeout = '1s'\n"));
    world.heirloom(["backup", "--set", "app"]).exits(1).says("did not end within 1s");
    ended(&world);
    write(&world, "conf.toml", &sh("before_backup", "sleep 1000 & echo $! > pid"));
    world.heirloom(["backup", "--set", "app"]).success();
    ended(&world);
}

#[test]
fn a_hook_may_call_heirloom_and_is_not_waited_for() {
    let heirloom = env!("CARGO_BIN_EXE_heirloom");
    let hooks = sh("before_backup", &format!("{heirloom} backup --set blog --name $HEIRLOOM_SET-blog"))
        + &sh("after_backup", &format!("{heirloom} verify --all && {heirloom} rotate && {heirloom} cleanup --keep 5"))
        + &sh("after_restore", &format!("{heirloom} backup --set app --name restored --busy-timeout 1s"));
    let world = world(&hooks);
    no_warning(world.heirloom(["backup", "--set", "app", "--busy-timeout", "1s"]).success());
    assert_eq!(world.archives(), ["app-blog.tar.gz", "app_20260301T030000Z.tar.gz"], "hooks do not nest");
    world.sql("app.db", "DELETE FROM notes");
    no_warning(world.heirloom(["restore", "--set", "app", "--force"]).success());
    assert!(world.archives().contains(&"restored.tar.gz".to_owned()));
}

#[test]
fn a_guard_has_hooks_around_its_backup_and_after_its_rollback() {
    let world = world(&all());
    world
        .heirloom(["guard", "--set", "app", "--", "sh", "-c", "printf x | dd of=app.db seek=9000 bs=1; exit 4"])
        .exits(4);
    let notes = notes(&world);
    assert_eq!(notes[0], "before_backup guard app pre-update starting none none");
    assert!(notes[1].starts_with("after_backup guard app pre-update done [world]/work/backups/app_"), "{notes:?}");
    assert!(notes[2].starts_with("after_restore guard app none done app_"), "{notes:?}");
    assert_eq!(notes.len(), 3);
}

#[test]
fn a_file_that_was_found_by_chance_runs_nothing() {
    let mut world = World::new();
    world.database("app.db");
    write(&world, "heirloom.toml", &noting("before_backup"));
    let refused = |world: &World| {
        world
            .heirloom(["backup", "--set", "app"])
            .exits(2)
            .says("hooks.before_backup: runs a program, and \"heirloom.toml\" was only found in the working directory")
            .says("--config heirloom.toml");
        assert_eq!(notes(world), [""; 0]);
    };
    refused(&world);
    world.heirloom(["backup", "--set", "app", "--config", "heirloom.toml"]).success();
    assert_eq!(notes(&world).len(), 1);
    fs::write(world.path(".env"), "HEIRLOOM_CONFIG=heirloom.toml\n").unwrap();
    refused(&world);
    fs::remove_file(world.path(".env")).unwrap();

    let user = world.work().join("../home/.config/heirloom");
    fs::create_dir_all(&user).unwrap();
    fs::write(
        user.join("heirloom.toml"),
        format!(
            "[sets.app.databases]\napp = '{}'\n[hooks]\n{}",
            world.path("app.db").display(),
            noting("before_backup")
        ),
    )
    .unwrap();
    fs::remove_file(world.path("heirloom.toml")).unwrap();
    world.at("2026-03-02").heirloom(["backup", "--set", "app"]).success();
    assert_eq!(notes(&world).len(), 1);
}

#[test]
fn a_program_beside_the_configuration_is_found_from_everywhere() {
    let mut world = world("");
    fs::create_dir_all(world.path("etc/bin")).unwrap();
    fs::create_dir_all(world.path("bin")).unwrap();
    let text = format!(
        "[sets.app.databases]\napp = '{}'\n[hooks]\nbefore_backup = ['bin/hook', 'an argument; not a script']\n",
        world.path("app.db").display()
    );
    fs::write(world.path("etc/conf.toml"), text).unwrap();
    for (folder, word) in [("etc/bin", "right"), ("bin", "wrong")] {
        let script = format!("#!/bin/sh\necho {word} \"$1\" > notes\n");
        fs::write(world.path(folder).join("hook"), script).unwrap();
        world.run(&mut world.shell(&format!("chmod +x {folder}/hook"))).success();
    }
    let file = world.path("etc/conf.toml").to_str().unwrap().to_owned();
    world.env("HEIRLOOM_CONFIG", &file).heirloom(["backup"]).success();
    assert_eq!(notes(&world), ["right an argument; not a script"]);
}

#[test]
fn a_hook_that_is_no_list_of_words_is_refused() {
    for (line, why) in [
        ("before_backup = 'echo x'", "hooks.before_backup: must be a list of strings, not a string"),
        ("after_backup = []", "hooks.after_backup: must begin with a program"),
        ("on_failure = ['']", "hooks.on_failure: must begin with a program"),
        ("on_failure = ['x', 1]", "hooks.on_failure: must be a list of strings, not of a number"),
        ("timeout = 5", "hooks.timeout: must be an age"),
        ("on_failures = ['x']", "did you mean \"on_failure\"?"),
    ] {
        let world = world(&format!("{line}\n"));
        world.heirloom(["backup"]).exits(2).says(why);
    }
}
