//! Runs the operators' stories of `tests/workflows/`: scripts of commands on real databases, and what must hold after
//! each.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::world::World;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows")
}

/// Runs a story in an empty world. It sets the clock and the host itself.
fn run(story: &str) {
    let world = World::new();
    let mut command = world.shell(&format!(". '{}'", folder().join(format!("{story}.sh")).display()));
    command.env_remove("HEIRLOOM_NOW").env_remove("HEIRLOOM_HOST").env("LIB", folder().join("lib.sh"));
    world.run(command.env("HEIRLOOM_CONFIG", "/dev/null")).success();
}

macro_rules! stories {
    ($($story:ident)*) => {
        $(#[test] fn $story() { run(stringify!($story)); })*

        #[test]
        fn every_story_is_run() {
            let known: BTreeSet<String> = [$(stringify!($story)),*].iter().map(|story| format!("{story}.sh")).collect();
            let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let found: BTreeSet<String> = names.filter(|name| name != "lib.sh").collect();
            assert_eq!(found, known);
        }
    };
}

stories! {
    a_backup_in_the_middle_of_an_update
    a_clock_two_years_ahead_for_one_night
    a_database_that_leaves_the_set
    a_fresh_disk_for_a_set_that_grew
    a_guard_that_fails_in_a_loop
    a_host_that_was_renamed
    a_loss_of_rows_is_not_rotated_away
    a_night_of_restores
    a_partial_archive_is_not_the_latest
    a_release_folder
    a_rolling_deployment_makes_a_new_file_daily
    a_second_cron_line
    a_sidecar_beside_exec
    a_synchroniser_that_makes_copies
    an_undo_takes_back_the_last_restore_only
    another_tenant_with_the_same_configuration
    blue_and_green_change_places_every_3_days
    rows_that_dwindle_in_batches_are_a_shrink
    two_hosts_rotate_one_store_for_400_days
    two_replicas_with_one_label_for_400_days
    two_sites_rotate_one_store_for_400_days
}
