//! Programs and rights that a test needs from the machine, and the record of the tests that did not get them.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reports whether this is root and all programs are installed. If not, the test is recorded as not run.
pub fn have(promise: &str, programs: &[&str]) -> bool {
    let root = if is_root() { None } else { Some("root") };
    let missing: Vec<&str> = programs.iter().copied().filter(|name| !is_installed(name)).chain(root).collect();
    if !missing.is_empty() {
        not_tested(promise, &missing.join(", "));
    }
    missing.is_empty()
}

/// Reports whether all programs are installed. If not, the test is recorded as not run.
pub fn installed(promise: &str, programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|name| !is_installed(name)).collect();
    if !missing.is_empty() {
        not_tested(promise, &missing.join(", "));
    }
    missing.is_empty()
}

/// Reports whether Python has these modules. If not, the test is recorded as not run.
pub fn have_modules(promise: &str, modules: &str) -> bool {
    let found =
        python().args(["-c", &format!("import {modules}")]).output().is_ok_and(|output| output.status.success());
    if !found {
        not_tested(promise, &format!("the Python packages {modules}"));
    }
    found
}

/// The Python that `scripts/check.sh` installs the packages of the tests for; elsewhere the one of the system.
pub fn python() -> Command {
    Command::new(std::env::var_os("HEIRLOOM_TEST_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Reports whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Reports whether a program is installed.
pub fn is_installed(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .chain(["/sbin", "/usr/sbin"].map(PathBuf::from))
        .any(|folder| folder.join(program).is_file())
}

/// Records that this test did not run because something is missing. In CI (`CI=true`), where everything is installed,
/// it fails.
pub fn not_tested(promise: &str, missing: &str) {
    let reason = format!("not tested: {promise} (missing: {missing})");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{reason}");
    record(&reason);
}

/// Records that this machine cannot test something, whatever is installed on it. No failure in CI, whose machine may be
/// a container.
pub fn cannot_be_tested_here(promise: &str, why: &str) {
    record(&format!("cannot be tested here: {promise} ({why})"));
}

/// Appends a line to the file that `scripts/check.sh` prints at its end: output of a test that passes is not shown.
fn record(reason: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("a test"));
    eprint!("{line}");
    if let Some(path) = std::env::var_os("HEIRLOOM_NOT_TESTED") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
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
        let args: Vec<_> =
            args.into_iter().map(|arg| arg.as_ref().to_owned()).chain([on.as_os_str().to_owned()]).collect();
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
