//! The API against its own description: schemathesis sends what the OpenAPI document allows, and what it does not
//! allow.

#![allow(clippy::print_stdout, reason = "says how many requests were sent")]

use std::fs;

use serde_json::{Value, json};

use crate::serve_world::{ADMIN, Server, VIEWER, world};
use crate::tools::{have_modules, python};
use crate::world::World;

/// What each answer is held against. Whether a body that the document allows is accepted depends on the archives.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,ignored_auth";

/// The document, with names of archives of which some exist.
fn document(server: &Server, world: &World) -> Value {
    let mut document = server.get("/api/v1/openapi.json").is(200).json();
    let mut names = world.archives();
    names.push("app_20200101T000000Z.tar.gz".into());
    let mut named = 0;
    each_parameter(&mut document, &mut |parameter| {
        if parameter["in"] == "path" && parameter["name"] == "name" {
            parameter["schema"]["enum"] = json!(names);
            named += 1;
        }
    });
    assert!(named > 0, "no parameter is the name of an archive");
    document
}

fn each_parameter(value: &mut Value, change: &mut impl FnMut(&mut Value)) {
    if value.get("in").is_some() && value.get("schema").is_some() {
        change(value);
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|field| each_parameter(field, change)),
        Value::Array(items) => items.iter_mut().for_each(|item| each_parameter(item, change)),
        _ => {}
    }
}

/// Returns whether all answers are as described, and what was said.
fn check(server: &Server, world: &World, document: &Value, token: &str) -> (bool, String) {
    fs::write(world.path("openapi.json"), document.to_string()).unwrap();
    let mut command = python();
    command.current_dir(world.work()).args(["-m", "schemathesis.cli", "run", "openapi.json"]);
    command.args(["--url", &format!("http://{}", server.address), "--phases", "coverage,fuzzing"]);
    command.args(["--max-examples", "3", "--generation-deterministic", "--checks", CHECKS, "--no-color"]);
    command.args(["--header", &format!("Authorization: Bearer {token}"), "--suppress-health-check", "all"]);
    let output = command.output().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn every_answer_is_one_that_the_document_describes() {
    if !have_modules("the API is as its document says", "schemathesis") {
        return;
    }
    for token in [ADMIN, VIEWER] {
        let world = world("");
        for note in ["one", "two", "three"] {
            world.heirloom(["backup", "--config", "h.toml", "--note", note]).success();
        }
        let server = Server::start(&world);
        let (is_good, said) = check(&server, &world, &document(&server, &world), token);
        assert!(is_good, "{said}");
        println!("{}", said.lines().filter(|line| line.contains("generated")).collect::<String>());
        server.get("/api/v1/status").is(200);
    }
}

#[test]
fn a_document_that_is_wrong_is_noticed() {
    if !have_modules("a wrong document of the API is noticed", "schemathesis") {
        return;
    }
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    let mut wrong = server.get("/api/v1/openapi.json").is(200).json();
    let status = wrong["paths"]["/api/v1/status"].take();
    wrong["paths"] = json!({ "/api/v1/status": status });
    wrong["paths"]["/api/v1/status"]["get"]["responses"]["200"] =
        json!({ "description": "wrong", "content": { "application/json": { "schema": { "type": "array" } } } });
    let (is_good, said) = check(&server, &world, &wrong, VIEWER);
    assert!(!is_good && said.contains("schema"), "{said}");
}
