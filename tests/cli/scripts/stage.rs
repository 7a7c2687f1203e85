//! A world with the scripts, the binary on PATH, and container engines that are played.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{Ran, World};

/// The shells that every script is run with.
pub const SHELLS: [&str; 2] = ["bash", "dash"];

pub struct Stage {
    pub world: World,
    shell: &'static str,
}

impl Stage {
    pub fn new(shell: &'static str) -> Self {
        let mut world = World::new();
        // These tests may run in a container, whose host name is not a label.
        world.env("HEIRLOOM_HOST", "test-host");
        for folder in ["bin", "engine/volumes", "engine/containers", "engine/services", "engine/users"] {
            fs::create_dir_all(world.path("..").join(folder)).unwrap();
        }
        let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/scripts/stub/engine");
        for engine in ["docker", "podman"] {
            symlink(&stub, world.path("../bin").join(engine)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_heirloom"), world.path("../bin/heirloom")).unwrap();
        Self { world, shell }
    }

    /// The folder that stands for what the engine keeps.
    pub fn engine(&self) -> PathBuf {
        fs::canonicalize(self.world.path("../engine")).unwrap()
    }

    /// What was asked of the engine, one call a line.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.engine().join("calls")).unwrap_or_default()
    }

    /// Prepares a script without running it.
    pub fn command(&self, script: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.shell);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(script)).args(args);
        let template = self.world.command([""]);
        command.current_dir(self.world.work()).stdin(std::process::Stdio::null()).env_clear();
        for (name, value) in template.get_envs() {
            command.env(name, value.unwrap());
        }
        let bin = fs::canonicalize(self.world.path("../bin")).unwrap();
        command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
        command.env("STUB_ROOT", self.engine());
        command
    }

    /// Prepares a line of shell, with the environment of a script.
    pub fn line(&self, line: &str) -> Command {
        let like = self.command("", &[]);
        let mut command = Command::new(self.shell);
        command.args(["-c", line]).current_dir(self.world.work()).stdin(std::process::Stdio::null()).env_clear();
        for (name, value) in like.get_envs() {
            command.env(name, value.unwrap());
        }
        command
    }

    pub fn run(&self, script: &str, args: &[&str]) -> Ran {
        self.world.run(&mut self.command(script, args))
    }

    /// Makes the demo data in a folder below the working directory.
    pub fn demo(&self, folder: &Path) {
        self.run("populate-demo-data.sh", &["--rows", "50", folder.to_str().unwrap()]).success();
    }

    /// Makes the working directory the demo folder, in place.
    pub fn demo_here(&self) {
        self.demo(Path::new("."));
    }
}

/// Flips a bit in the first database of an archive: the first gzip member is the metadata, the second one that header
/// of tar, the third is data.
pub fn flip_in_database(archive: &mut [u8]) {
    let members: Vec<usize> =
        (0..archive.len() - 4).filter(|at| archive[*at..].starts_with(&[0x1f, 0x8b, 8, 4])).collect();
    archive[members[2] + 100] ^= 0x10;
}

/// Runs a test with every shell.
pub fn with_every_shell(test: impl Fn(Stage)) {
    for shell in SHELLS {
        eprintln!("with {shell}");
        test(Stage::new(shell));
    }
}

#[test]
fn every_script_explains_itself_and_refuses_what_it_does_not_know() {
    with_every_shell(|stage| {
        let mut scripts = 0;
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // Those are for the developers of the project.
            if path.extension().is_none_or(|ending| ending != "sh")
                || [
                    "bench.sh",
                    "check.sh",
                    "demo.sh",
                    "fuzz.sh",
                    "install-test-tools.sh",
                    "planted.sh",
                    "strings.sh",
                    "torture.sh",
                ]
                .contains(&name)
            {
                continue;
            }
            scripts += 1;
            let help = stage.run(name, &["--help"]).success();
            for part in ["Usage: ", "--help", "Exit codes:", name] {
                assert!(help.stdout.contains(part), "{name}: no {part:?} in {}", help.stdout);
            }
            assert!(!help.stdout.contains('\u{1b}') && help.stderr.is_empty());
            stage.run(name, &["--no-such-option"]).exits(2).says("--no-such-option");
        }
        assert!(scripts >= 7, "only {scripts} scripts were found");
        assert_eq!(stage.calls(), "");
    });
}
