//! Programs and rights that a test needs from the machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says whether this is root and all programs are there. If not, fails in CI, and elsewhere prints what is not tested.
pub fn have(promise: &str, programs: &[&str]) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).chain(["/sbin", "/usr/sbin"].map(PathBuf::from)).collect();
    let is_there = |name: &&str| folders.iter().any(|folder| folder.join(name).is_file());
    let mut missing: Vec<&str> = programs.iter().copied().filter(|name| !is_there(name)).collect();
    if !rustix::process::geteuid().is_root() {
        missing.push("root");
    }
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "not tested: {promise} (missing: {missing})");
    eprintln!("not tested: {promise} (missing: {missing})");
    false
}

/// Runs a program that must succeed, and returns its output.
#[track_caller]
pub fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Something that is mounted until this is dropped.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts with this command, whose last argument is the mount point.
    #[track_caller]
    pub fn new<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>, on: &Path) -> Self {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).chain([on.as_os_str().to_owned()]).collect();
        run(program, args);
        Self(on.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, so that a test that fails leaves nothing mounted.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
