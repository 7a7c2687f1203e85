//! Who reads the store: `[store] mode`, `group`, and the default ACL of its folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use crate::tools::{have, installed, not_tested};
use crate::world::World;

fn mode(world: &World, path: &str) -> u32 {
    fs::metadata(world.path(path)).unwrap().permissions().mode() & 0o7777
}

fn configure(world: &World, store: &str) {
    fs::write(world.path("heirloom.toml"), format!("[sets.app.databases]\napp = 'app.db'\n[store]\n{store}\n"))
        .unwrap();
}

const ARCHIVE: &str = "backups/app_20260301T030000Z.tar.gz";

#[test]
fn archives_are_for_their_user_alone_unless_something_else_is_asked_for() {
    let world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    let modes = ["backups", "backups/.heirloom", ARCHIVE, "backups/heirloom-store.json"].map(|path| mode(&world, path));
    assert_eq!(modes, [0o700, 0o700, 0o600, 0o600]);
}

#[test]
fn a_mode_and_a_group_let_an_account_pull_the_archives() {
    if !have("a mode and a group let an account pull the archives", &["setpriv"]) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    configure(&world, "mode = '0640'\ngroup = 10002");
    world.heirloom(["config", "check"]).success();
    world.heirloom(["backup"]).success();
    world.heirloom(["pin", "latest"]).success();
    fs::write(world.path("backups/.heirloom/mine"), "").unwrap();
    for path in [ARCHIVE, "backups/heirloom-store.json", &format!("{ARCHIVE}.keep")] {
        assert_eq!((mode(&world, path), fs::metadata(world.path(path)).unwrap().gid()), (0o640, 10002), "{path}");
    }
    assert_eq!((mode(&world, "backups"), fs::metadata(world.path("backups")).unwrap().gid()), (0o750, 10002));
    assert_eq!(mode(&world, "backups/.heirloom"), 0o700, "scratch is nobody's business");
    assert_eq!(mode(&world, "backups/.heirloom/activity.db"), 0o600);

    // A real account of that group, and one of another.
    let reads = |group: &str| {
        let cat = Command::new("setpriv")
            .args(["--reuid=10001", &format!("--regid={group}"), "--clear-groups", "cat"])
            .arg(world.path(ARCHIVE))
            .output()
            .unwrap();
        cat.status.success()
    };
    for folder in ["..", "."] {
        fs::set_permissions(world.path(folder), Permissions::from_mode(0o755)).unwrap();
    }
    assert!(reads("10002") && !reads("10003"));
}

#[test]
fn a_group_alone_may_read_and_a_store_that_was_closed_is_opened() {
    if !have("a group alone may read", &[]) {
        return;
    }
    let mut world = World::new();
    world.database("app.db");
    world.heirloom(["backup", "app.db"]).success();
    configure(&world, "group = '10002'");
    world.at("2026-03-02").heirloom(["backup"]).success();
    assert_eq!((mode(&world, "backups"), mode(&world, "backups/app_20260302T000000Z.tar.gz")), (0o750, 0o640));
    assert_eq!(mode(&world, ARCHIVE), 0o600, "what is there stays as it is");

    // A folder that others use already is theirs to manage.
    fs::set_permissions(world.path("backups"), Permissions::from_mode(0o711)).unwrap();
    world.at("2026-03-03").heirloom(["backup"]).success();
    assert_eq!(mode(&world, "backups"), 0o711);
    let checked = world.heirloom(["config", "check"]).success();
    assert!(checked.stdout.contains("chmod 0750"), "{}", checked.stdout);
}

#[test]
fn rights_that_cannot_be_given_are_reported_and_never_widened() {
    if !have("rights that cannot be given are reported", &["setpriv"]) {
        return;
    }
    let world = World::new();
    let app = world.database("app.db");
    configure(&world, "mode = '0640'\ngroup = 10002");
    for folder in ["..", ".", "../tmp"] {
        fs::set_permissions(world.path(folder), Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(world.path(folder), Some(10001), Some(10001)).unwrap();
    }
    std::os::unix::fs::chown(&app, Some(10001), Some(10001)).unwrap();
    let template = world.command(["backup"]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=10001", "--regid=10001", "--clear-groups"]).arg(template.get_program()).arg("backup");
    command.current_dir(world.work()).env_clear();
    command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    world.run(&mut command).exits(3).says("the mode or group of [store] could not be set");
    assert_eq!((mode(&world, ARCHIVE), mode(&world, "backups")), (0o600, 0o700), "not to another group instead");

    configure(&world, "group = 'no-such-group'");
    world.heirloom(["backup"]).exits(2).says("store.group").says("groupadd");
    world.heirloom(["config", "check"]).exits(2);
    world.heirloom(["list"]).success();
    for wrong in ["mode = '0666'", "mode = 640", "mode = '0755'", "group = ''"] {
        configure(&world, wrong);
        world.heirloom(["list"]).exits(2).says("store.");
    }
}

fn acl(world: &World, path: &str) -> String {
    let output = Command::new("getfacl").args(["-cpn"]).arg(world.path(path)).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_default_acl_of_the_folder_is_honoured() {
    let world = World::new();
    world.database("app.db");
    fs::create_dir(world.path("backups")).unwrap();
    fs::set_permissions(world.path("backups"), Permissions::from_mode(0o700)).unwrap();
    if !installed("the default ACL of the folder is honoured", &["setfacl", "getfacl"]) {
        return;
    }
    let set = Command::new("setfacl").args(["-m", "u:10001:rx,d:u:10001:rx"]).arg(world.path("backups")).status();
    if !set.is_ok_and(|status| status.success()) {
        not_tested("the default ACL of the folder is honoured", "a file system with ACLs");
        return;
    }
    world.heirloom(["backup", "app.db"]).success();
    world.heirloom(["pin", "latest"]).success();
    for path in [ARCHIVE, "backups/heirloom-store.json", &format!("{ARCHIVE}.keep")] {
        assert_eq!(acl(&world, path), "user::rw- user:10001:r-- group::--- mask::r-- other::---", "{path}");
    }
    let scratch = acl(&world, "backups/.heirloom/activity.db");
    assert!(scratch.contains("mask::---") || !scratch.contains("user:10001"), "{scratch}");
    assert_eq!(mode(&world, "backups/.heirloom") & 0o077, 0);

    // A mode says everything: not more than it, and not less for its group.
    configure(&world, "mode = '0640'");
    world.heirloom(["backup"]).success();
    assert_eq!(acl(&world, "backups/app_20260301T030000Z-2.tar.gz"), "user::rw- group::r-- other::---");

    // A store that is made below a folder with a default ACL can be entered.
    fs::remove_file(world.path("heirloom.toml")).unwrap();
    world.heirloom(["backup", "app.db", "--dir", "backups/more"]).success();
    assert!(
        acl(&world, "backups/more").contains("user:10001:r-x group::--- mask::r-x other::---"),
        "{}",
        acl(&world, "backups/more")
    );
}

#[test]
fn a_copy_that_a_synchroniser_made_takes_no_slot() {
    let mut world = World::new();
    world.database("app.db");
    for day in 1..=4 {
        world.at(&format!("2026-03-0{day}")).heirloom(["backup", "app.db"]).success();
    }
    let store = world.path("backups");
    for day in [3, 4] {
        let name = format!("app_2026030{day}T000000Z");
        fs::copy(store.join(format!("{name}.tar.gz")), store.join(format!("{name} (1).tar.gz"))).unwrap();
    }
    let list = world.heirloom(["list"]).success().stdout;
    assert!(list.contains("copy of app_20260304T000000Z.tar.gz"), "the copy is the one with the longer name: {list}");
    world.heirloom(["rotate", "--keep-last", "2"]).success();
    let archives = world.archives();
    for day in [3, 4] {
        assert!(archives.contains(&format!("app_2026030{day}T000000Z.tar.gz")), "{archives:?}");
    }
    assert!(!archives.iter().any(|name| name.contains("0301") || name.contains("0302")), "{archives:?}");
}
