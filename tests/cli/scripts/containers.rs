//! The examples for Compose and Kubernetes: read by real parsers, and their commands run as they are written.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::run_world::{self, Run, live, newest_saved, nobody_is_left};
use crate::tools::{have_modules, python};
use crate::world::World;

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(file)
}

/// Reads the documents of a YAML file.
fn documents(file: &str) -> Vec<Value> {
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output = python().args(["-c", script]).arg(example(file)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn seconds(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.strip_suffix('s')?.parse().ok()).unwrap()
}

/// Runs the application with the command line of an example around it, until it was stopped and saved.
fn save_once(world: &World, before: &[String], application: &[&str]) {
    let _ = fs::remove_file(world.path("acks"));
    let words = before.iter().map(String::as_str).chain(application.iter().copied());
    let mut run = Run::start(world, &mut live(world, words));
    run.acknowledged(world, 20);
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 7, "{}", run.said());
    nobody_is_left(world);
}

const APPLICATION: [&str; 6] = ["python3", "app.py", "wal", "app.db", "acks", "5"];

#[test]
fn the_compose_example_restores_an_empty_volume() {
    if !have_modules("the compose example", "yaml") {
        return;
    }
    let [file] = &documents("compose.example.yml")[..] else { panic!() };
    let app = &file["services"]["app"];
    assert!(seconds(&app["stop_grace_period"]) > 10, "longer than the grace of `run`");
    let environment = &app["environment"];
    assert!(environment["HEIRLOOM_HOST"].is_string());
    for folder in ["DATABASE_PATH", "HEIRLOOM_STATE_DIR", "BACKUP_DIR"] {
        let path = environment[folder].as_str().unwrap();
        let mounted = |volume: &String| path.starts_with(volume.split(':').nth(1).unwrap());
        assert!(words(&app["volumes"]).iter().any(mounted), "{folder}={path} is in no volume");
    }

    let entry = words(&app["entrypoint"]);
    assert_eq!(entry[0], "heirloom");
    let mut world = run_world::world();
    world.env("BACKUP_DIR", "store");
    save_once(&world, &entry[1..], &APPLICATION);
    let saved = newest_saved(&world);
    for name in ["app.db", "app.db-wal", "app.db-shm"] {
        fs::remove_file(world.path(name)).unwrap_or_default();
    }
    save_once(&world, &entry[1..], &APPLICATION);
    assert!(run_world::acks(&world.work())[0].0 == saved + 1, "it did not go on where it was saved");
}

#[test]
fn podman_compose_reads_the_compose_example() {
    if !have_modules("podman-compose reads the compose example", "podman_compose") {
        return;
    }
    let world = World::new();
    // To read a file it asks the engine for its version only.
    let engine = world.path("podman");
    fs::write(&engine, "#!/bin/sh\necho podman version 5.0.0\n").unwrap();
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = python();
    command.args(["-m", "podman_compose", "--podman-path"]).arg(&engine).arg("-f").arg(example("compose.example.yml"));
    let output = command.args(["--profile", "tools", "config"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in ["stop_grace_period: 60s", "HEIRLOOM_HOST: app-1", "image: heirloom", "name: app-backups"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn the_kubernetes_example_restores_before_and_saves_after_the_application() {
    if !have_modules("the kubernetes example", "yaml") {
        return;
    }
    let [deployment, claim] = &documents("kubernetes.example.yml")[..] else { panic!() };
    assert_eq!((&deployment["kind"], &claim["kind"]), (&"Deployment".into(), &"PersistentVolumeClaim".into()));
    let spec = &deployment["spec"];
    assert_eq!((spec["replicas"].as_u64(), &spec["strategy"]["type"]), (Some(1), &"Recreate".into()));
    assert_eq!(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]);
    let pod = &spec["template"]["spec"];
    // What `run` takes for its grace on Kubernetes.
    assert!(seconds(&pod["terminationGracePeriodSeconds"]) > 30);
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"]);
    let [restore, sidecar] = &pod["initContainers"].as_array().unwrap()[..] else { panic!() };
    assert_eq!((&restore["restartPolicy"], &sidecar["restartPolicy"]), (&Value::Null, &"Always".into()));
    let of = |container: &Value, name: &str| {
        let variables = container["env"].as_array().unwrap();
        variables.iter().find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
    };
    for name in ["DATABASE_PATH", "HEIRLOOM_DIR", "HEIRLOOM_STATE_DIR", "HEIRLOOM_HOST"] {
        assert!(of(restore, name).is_some() && of(restore, name) == of(sidecar, name), "{name}");
    }
    assert_eq!(of(&pod["containers"][0], "DATABASE_PATH"), of(sidecar, "DATABASE_PATH"));

    let mut world = World::new();
    world.env("DATABASE_PATH", "app.db").env("HEIRLOOM_HOST", "app-production");
    let restore = words(&restore["args"]);
    // The first deployment.
    world.run(&mut live(&world, &restore)).success();
    world.database("app.db");
    let mut run = Run::start(&world, &mut live(&world, words(&sidecar["args"])));
    run.says("saved app_");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    run.signal(Signal::TERM);
    assert_eq!(run.code(), 0, "{}", run.said());
    // Another node, whose disk is empty.
    fs::remove_file(world.path("app.db")).unwrap();
    world.run(&mut live(&world, &restore)).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10");
}
