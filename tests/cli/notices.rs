//! Notices: what is sent to whom, and when. Receivers are real servers on loopback.

use std::fs;

use crate::world::World;

#[test]
fn a_file_found_by_chance_runs_no_program() {
    let mut world = World::new();
    fs::write(world.path("heirloom.toml"), "[copies.drive]\nurl = 'rclone:drive:backups'\n").unwrap();
    let refused = |world: &World| {
        let ran = world.heirloom(["config", "show"]).exits(2).says("copies.drive.url: runs a program");
        assert!(ran.stderr.contains("if you trust it, name it with `--config heirloom.toml`"), "{}", ran.stderr);
    };
    refused(&world);
    world.heirloom(["config", "show", "--config", "heirloom.toml"]).success();
    // A `.env` in the same folder was found by chance, too.
    fs::write(world.path(".env"), "HEIRLOOM_CONFIG=heirloom.toml\n").unwrap();
    refused(&world);
    world.env("HEIRLOOM_CONFIG", "heirloom.toml").heirloom(["config", "show"]).success();
}
