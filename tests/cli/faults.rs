//! Fault injection: runs as much of `tests/faults/*.py` as fits into a few
//! minutes.
//!
//! The harnesses check from outside, with tar, gzip, SHA-256 and another build of SQLite. `scripts/torture.sh` runs
//! them for hours.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

use std::path::Path;
use std::process::Command;

use crate::tools::{have, installed};

/// The rights of root: mounts, other users, tracing.
const ROOT: &str = "root";

/// Runs a harness if the machine has what it needs. `promise` completes "not tested: ".
fn harness(promise: &str, needs: &[&str], script: &str, args: &[&str]) {
    let root = needs.contains(&ROOT);
    let programs: Vec<&str> = needs.iter().copied().filter(|need| *need != ROOT).chain(["python3"]).collect();
    if !(if root { have(promise, &programs) } else { installed(promise, &programs) }) {
        return;
    }
    let seed = std::env::var("HEIRLOOM_FAULTS_SEED").unwrap_or_else(|_| "1".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults").join(script);
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).args(["--bin", env!("CARGO_BIN_EXE_heirloom"), "--seed", &seed]).args(args);
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{stdout}");
    assert!(output.status.success(), "broken: {promise}\n{command:?}\n{stdout}{stderr}");
}

#[test]
fn any_file_system_call_may_fail_or_be_the_last() {
    let cases = std::env::var("HEIRLOOM_FAULTS_CASES").unwrap_or_else(|_| "700".into());
    harness(
        "a failed file system call, or a kill at one, loses nothing",
        &["strace", "gzip"],
        "syscall_sweep.py",
        &["--cases", &cases],
    );
}

#[test]
fn a_disk_that_does_not_answer_is_not_called_damage() {
    let reads = "pread64@app.db:EIO,read@app.db:EIO,pread64@app.db-wal:EIO,pread64@user.db:EIO";
    harness(
        "a source that cannot be read is reported as that, not as damaged",
        &["strace", ROOT],
        "syscall_sweep.py",
        &["--scenario", "backup,backup-wal,backup-idle-wal,backup-hot,backup-two", "--only", reads, "--cases", "100"],
    );
    harness(
        "an archive that cannot be read is not taken for one that lost no rows",
        &["strace", ROOT],
        "syscall_sweep.py",
        &["--scenario", "accept", "--only", "pread64:EIO,read:EIO"],
    );
}

#[test]
fn a_kill_at_any_moment_many_times_in_a_row_loses_nothing() {
    harness("a run that is killed loses nothing, and the next one cleans up", &[], "killloop.py", &["--kills", "300"]);
}

#[test]
fn signals_leave_nothing_and_end_with_their_number() {
    harness("SIGTERM, SIGINT and SIGHUP leave nothing behind", &[], "limits.py", &["--only", "signals"]);
}

#[test]
fn a_full_disk_loses_nothing() {
    harness("a full disk loses nothing, and says so with exit 15", &[ROOT, "mount"], "limits.py", &["--only", "full"]);
}

#[test]
fn too_few_descriptors_or_too_little_memory_lose_nothing() {
    harness("limits of the system lose nothing", &["python3"], "limits.py", &["--only", "limits,output"]);
}

#[test]
fn folders_that_cannot_be_written_and_other_users_lose_nothing() {
    let needs = &[ROOT, "mount", "chattr", "setpriv"];
    harness(
        "read-only and append-only folders, other users, any umask",
        needs,
        "limits.py",
        &["--only", "folders,umask"],
    );
}

#[test]
fn hostile_archives_are_refused_and_every_changed_byte_is_found() {
    harness("hostile archives are refused, and every changed byte is found", &[], "hostile.py", &["--flips", "1000"]);
}

#[test]
fn a_power_cut_undoes_nothing_that_was_acknowledged() {
    let needs = &[ROOT, "nbdkit", "nbdfuse", "losetup", "mkfs.ext4"];
    let cuts = std::env::var("HEIRLOOM_FAULTS_CUTS").unwrap_or_else(|_| "14".into());
    harness("a power cut undoes nothing that was acknowledged", needs, "powercut.py", &["--cuts", &cuts]);
}

#[test]
fn runs_at_once_writers_that_die_and_clocks_that_jump_lose_nothing() {
    harness("several runs at once, writers that die, clocks that jump", &[], "runs.py", &[]);
}

/// The admin server. Two tests, which run at the same time.
#[cfg(feature = "server")]
#[test]
fn a_server_or_its_job_that_is_killed_loses_nothing() {
    let cases = std::env::var("HEIRLOOM_FAULTS_CASES").unwrap_or_else(|_| "24".into());
    let needs = &["strace", "gzip"];
    harness(
        "jobs started over HTTP lose nothing when killed",
        needs,
        "web.py",
        &["--only", "calls,servers", "--cases", &cases],
    );
}

#[cfg(feature = "server")]
#[test]
fn full_disks_stores_that_are_away_and_clients_that_leave_lose_nothing() {
    let cases = std::env::var("HEIRLOOM_FAULTS_CASES").unwrap_or_else(|_| "20".into());
    let only = "full,away,gone,two";
    harness(
        "the server copes with faults of the disk and of clients",
        &[ROOT, "mount"],
        "web.py",
        &["--only", only, "--cases", &cases],
    );
}

/// `scripts/planted.sh` builds each and requires that it is caught; here each patch only has to apply.
#[test]
fn every_planted_bug_still_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut patches = 0;
    for patch in std::fs::read_dir(root.join("tests/faults/planted")).unwrap() {
        let patch = patch.unwrap().path();
        let text = std::fs::read_to_string(&patch).unwrap();
        assert!(
            text.lines().nth(1).unwrap_or_default().starts_with("caught by: "),
            "{} names no harness",
            patch.display()
        );
        let applies = Command::new("git").args(["apply", "--check"]).arg(&patch).current_dir(root).output().unwrap();
        assert!(applies.status.success(), "{}: {}", patch.display(), String::from_utf8_lossy(&applies.stderr));
        patches += 1;
    }
    assert!(patches >= 12, "{patches} planted bugs");
}
