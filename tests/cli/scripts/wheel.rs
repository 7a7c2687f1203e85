//! The Python wheel with the binary.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::tools::{have_modules, python};
use crate::world::World;

/// Writes a `cargo` that does not compile: it reports a copy of the binary of the tests, because a build would replace
/// it while they run, and maturin moves what it is given. The real one does everything else, and describes the packages
/// of this platform alone: those of others were never fetched by a build.
fn cargo_without_compiler(world: &World) -> PathBuf {
    let project = env!("CARGO_MANIFEST_DIR");
    // The program gets the name of this file.
    let binary = world.path("built/heirloom");
    fs::create_dir(world.path("built")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_heirloom"), &binary).unwrap();
    let artifact = json!({
        "reason": "compiler-artifact",
        "package_id": format!("path+file://{project}#heirloom@{}", env!("CARGO_PKG_VERSION")),
        "manifest_path": format!("{project}/Cargo.toml"),
        "target": {
            "kind": ["bin"], "crate_types": ["bin"], "name": "heirloom", "src_path": format!("{project}/src/main.rs"),
            "edition": "2024", "doc": true, "doctest": false, "test": true,
        },
        "profile": {
            "opt_level": "0", "debuginfo": 0, "debug_assertions": true, "overflow_checks": true, "test": false,
        },
        "features": ["default"],
        "filenames": [&binary],
        "executable": &binary,
        "fresh": true,
    });
    fs::write(
        world.path("artifact"),
        format!("{artifact}\n{}\n", json!({"reason": "build-finished", "success": true})),
    )
    .unwrap();
    let version = String::from_utf8(Command::new("rustc").arg("-vV").output().unwrap().stdout).unwrap();
    let platform = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let folder = world.path("cargo");
    fs::create_dir(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\ncase $1 in\nrustc) echo \"$*\" >'{asked}'; cat '{artifact}' ;;\nmetadata) exec '{cargo}' \"$@\" \
         --filter-platform {platform} ;;\n*) exec '{cargo}' \"$@\" ;;\nesac\n",
        asked = world.path("asked").display(),
        artifact = world.path("artifact").display(),
        cargo = env!("CARGO"),
    );
    let program = folder.join("cargo");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn pip_installs_the_wheel_into_an_empty_environment() {
    if !have_modules("the Python wheel", "maturin, ensurepip") {
        return;
    }
    let world = World::new();
    let stub = cargo_without_compiler(&world);
    let path = format!("{}:{}", stub.display(), std::env::var("PATH").unwrap());
    let mut command = python();
    command.args(["-m", "maturin", "build", "--profile", "dev", "--locked", "--offline", "--out"]);
    command.arg(world.path("wheels")).env("PATH", &path).env_remove("CARGO");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/wheel"));
    world.run(&mut command).success();
    let asked = fs::read_to_string(world.path("asked")).unwrap();
    assert!(asked.contains("--bin heirloom") && asked.contains(env!("CARGO_MANIFEST_DIR")), "{asked}");

    let wheels: Vec<PathBuf> = fs::read_dir(world.path("wheels")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [wheel] = &wheels[..] else { panic!("{wheels:?}") };
    // Of no version of Python.
    let start = format!("heirloom-{}-py3-none-", env!("CARGO_PKG_VERSION"));
    assert!(wheel.file_name().unwrap().to_str().unwrap().starts_with(&start), "{wheel:?}");
    world.run(python().args(["-m", "venv"]).arg(world.path("venv"))).success();
    let program = |name: &str| Command::new(world.path("venv/bin").join(name));
    world.run(program("pip").args(["install", "--no-index", "--no-cache-dir"]).arg(wheel)).success();
    let ran = world.run(program("heirloom").arg("--version")).success();
    assert!(ran.stdout.starts_with(concat!("heirloom ", env!("CARGO_PKG_VERSION"))), "{}", ran.stdout);
    let shown = world.run(program("pip").args(["show", "heirloom"])).success().stdout;
    assert!(shown.contains("License") && shown.contains("MIT OR Apache-2.0"), "{shown}");
}
