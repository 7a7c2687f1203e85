//! Access rights: owner, group, mode, ACL and extended attributes of a database that is replaced or made anew.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use crate::tools::{have, run};
use crate::world::World;

const ACL: &str = "user::rw-\nuser:10001:rw-\ngroup::r--\nmask::rw-\nother::---";

fn acl(world: &World, name: &str) -> String {
    run("getfacl", ["-cnpE", world.path(name).to_str().unwrap()]).trim().to_owned()
}

fn attribute(world: &World, name: &str) -> String {
    run("getfattr", ["--only-values", "-n", "user.owner", world.path(name).to_str().unwrap()])
}

fn mode(world: &World, name: &str) -> u32 {
    fs::metadata(world.path(name)).unwrap().mode() & 0o777
}

/// A database with an ACL and an extended attribute, and an archive of it.
fn with_acl() -> World {
    let mut world = World::new();
    world.database("app.db");
    let path = world.path("app.db");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    run("setfacl", ["-m", "u:10001:rw", path.to_str().unwrap()]);
    run("setfattr", ["-n", "user.owner", "-v", "accounting", path.to_str().unwrap()]);
    assert_eq!(acl(&world, "app.db"), ACL);
    world.heirloom(["backup", "app.db"]).success();
    world.at("2026-03-02");
    world
}

#[test]
fn acl_and_attributes_were_gone_after_an_offline_restore() {
    if !have("ACLs are kept", &["setfacl", "setfattr"]) {
        return;
    }
    let world = with_acl();
    world.sql("app.db", "DELETE FROM notes");
    world.heirloom(["restore", "latest", "--force", "--offline", "--assume-unused"]).success();
    assert_eq!((acl(&world, "app.db").as_str(), attribute(&world, "app.db").as_str()), (ACL, "accounting"));
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn acl_and_attributes_were_gone_after_a_restore_over_a_damaged_file() {
    if !have("ACLs are kept", &["setfacl", "setfattr"]) {
        return;
    }
    let world = with_acl();
    let mut bytes = fs::read(world.path("app.db")).unwrap();
    bytes[..4096].fill(0x55);
    fs::write(world.path("app.db"), bytes).unwrap();
    world.heirloom(["restore", "latest", "--force"]).success();
    assert_eq!((acl(&world, "app.db").as_str(), attribute(&world, "app.db").as_str()), (ACL, "accounting"));
}

#[test]
fn a_missing_file_gets_the_acl_that_was_recorded() {
    if !have("ACLs are kept", &["setfacl", "setfattr"]) {
        return;
    }
    let world = with_acl();
    fs::remove_file(world.path("app.db")).unwrap();
    world.heirloom(["restore", "latest"]).success();
    assert_eq!(acl(&world, "app.db"), ACL);
}

/// An ACL names accounts by number, and on another machine a number is somebody else.
#[test]
fn the_acl_of_another_host_is_not_set_and_its_mask_is_not_the_group_s_mode() {
    if !have("ACLs are kept", &["setfacl", "setfattr"]) {
        return;
    }
    let mut world = with_acl();
    world.env("HEIRLOOM_HOST", "there");
    let ran = world.heirloom(["restore", world.archives()[0].as_str(), "--to", "new.db"]).success();
    ran.says("its ACL was recorded on another host");
    assert_eq!(acl(&world, "new.db"), "user::rw-\ngroup::r--\nother::---");
}

/// The scratch folder inherits the default ACL, and a chmod of the copy would have put its entries in force.
#[test]
fn a_default_acl_of_the_folder_widens_nothing() {
    if !have("ACLs are kept", &["setfacl", "setfattr"]) {
        return;
    }
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    world.database("data/app.db");
    fs::set_permissions(world.path("data/app.db"), Permissions::from_mode(0o640)).unwrap();
    run("setfacl", ["-d", "-m", "u:10001:rwx", world.path("data").to_str().unwrap()]);
    world.heirloom(["backup", "data/app.db"]).success();
    world.sql("data/app.db", "DELETE FROM notes");
    let plain = "user::rw-\ngroup::r--\nother::---";
    world.heirloom(["restore", "latest", "--force", "--offline", "--assume-unused"]).success();
    assert_eq!(acl(&world, "data/app.db"), plain);
    fs::remove_file(world.path("data/app.db")).unwrap();
    world.heirloom(["restore", "latest"]).success();
    assert_eq!(acl(&world, "data/app.db"), plain);
}

#[test]
fn root_restored_a_missing_file_that_the_group_of_the_application_could_not_open() {
    if !have("a group keeps its rights", &[]) {
        return;
    }
    let world = World::new();
    fs::create_dir(world.path("data")).unwrap();
    chown(world.path("data"), Some(0), Some(10002)).unwrap();
    fs::set_permissions(world.path("data"), Permissions::from_mode(0o2775)).unwrap();
    world.database("data/app.db");
    fs::set_permissions(world.path("data/app.db"), Permissions::from_mode(0o664)).unwrap();
    world.heirloom(["backup", "data/app.db"]).success();
    fs::remove_file(world.path("data/app.db")).unwrap();
    let ran = world.heirloom(["restore", "latest"]).success();
    let found = fs::metadata(world.path("data/app.db")).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (0, 10002, 0o664), "{}", ran.stderr);
    assert!(!ran.stderr.contains("could not be set"), "{}", ran.stderr);
}

/// Without the right to give files away: the owner's rights stay, nobody else gets those that were meant for another
/// group.
#[test]
fn a_file_that_cannot_be_given_to_its_group_is_opened_to_no_other_group() {
    if !have("a group keeps its rights", &["setpriv"]) {
        return;
    }
    let world = World::new();
    world.database("app.db");
    chown(world.path("app.db"), Some(0), Some(10002)).unwrap();
    fs::set_permissions(world.path("app.db"), Permissions::from_mode(0o664)).unwrap();
    world.heirloom(["backup", "app.db"]).success();
    fs::remove_file(world.path("app.db")).unwrap();
    let inner = world.command(["restore", "latest"]);
    let mut command = std::process::Command::new("setpriv");
    command.args(["--bounding-set=-chown", "--inh-caps=-chown"]).arg(inner.get_program()).args(inner.get_args());
    command
        .current_dir(world.work())
        .env_clear()
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = world.run(&mut command).success();
    let found = fs::metadata(world.path("app.db")).unwrap();
    assert_eq!((found.gid(), found.mode() & 0o777), (0, 0o600), "{}", ran.stderr);
    ran.says("its group could not be set to 10002");
}

#[test]
fn an_archive_without_recorded_rights_makes_a_file_for_its_owner_alone() {
    let world = World::new();
    world.database("app.db");
    fs::set_permissions(world.path("app.db"), Permissions::from_mode(0o664)).unwrap();
    fs::create_dir(world.path("backups")).unwrap();
    fs::set_permissions(world.path("backups"), Permissions::from_mode(0o700)).unwrap();
    fs::copy(world.path("app.db"), world.path("backups/app.db")).unwrap();
    world.heirloom(["restore", "backups/app.db", "--to", "new.db"]).success();
    assert_eq!(mode(&world, "new.db"), 0o600);
}

#[test]
fn a_guard_that_makes_a_lost_file_anew_gives_it_its_acl_and_attributes() {
    if !have("ACLs are kept", &["setfacl", "setfattr"]) {
        return;
    }
    let world = with_acl();
    let ran = world.heirloom(["guard", "app.db", "--", "sh", "-c", "rm app.db; exit 1"]);
    assert_eq!(acl(&world, "app.db"), ACL, "{}", ran.stderr);
    assert_eq!(attribute(&world, "app.db"), "accounting");
}
