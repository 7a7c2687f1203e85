//! Plans of `heirloom serve` are jobs: they may take longer than a request waits, can be cancelled, and what was
//! confirmed is carried out only as long as it is what was shown.

use std::fs;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::serve_page::{Browser, digest, newest};
use crate::serve_scale::store_that_hangs;
use crate::serve_world::{ADMIN, Answer, Server, VIEWER, world};
use crate::world::World;

const DRY_RUN: &str = r#"{"dry_run": true}"#;

/// A process that stands still until this is dropped.
struct Held(Pid);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Stops the process that plans, if there is one.
fn stop_plan(server: &Server) -> Option<Held> {
    server.children().into_iter().find_map(|pid| {
        let of = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        if !of("cmdline").contains("\0--dry-run\0") {
            return None;
        }
        let held = Held(Pid::from_raw(pid.cast_signed())?);
        kill_process(held.0, Signal::STOP).ok()?;
        loop {
            // It takes effect a moment later, or it had ended.
            match of("stat").rsplit(") ").next()?.chars().next()? {
                'T' => return Some(held),
                'Z' | 'X' => return None,
                _ => {}
            }
        }
    })
}

/// Sends a request whose plan is stopped before it ends, so that the answer cannot wait for it.
fn slowly(server: &Server, request: impl Fn() -> Answer + Sync) -> (Answer, Held) {
    loop {
        let tried = thread::scope(|scope| {
            let asked = scope.spawn(&request);
            while !asked.is_finished() {
                if let Some(held) = stop_plan(server) {
                    return Some((asked.join().unwrap(), held));
                }
            }
            None
        });
        // It may have ended first.
        if let Some(tried) = tried {
            return tried;
        }
    }
}

fn ended(server: &Server, job: &Value) -> Value {
    loop {
        let job = server.get(&format!("/api/v1/jobs/{}", job["id"].as_str().unwrap())).is(200).json();
        if job["state"] != "running" {
            return job;
        }
    }
}

fn rows(world: &World) -> String {
    world.ask("app.db", "SELECT count(*) FROM notes")
}

/// A world with a backup, and the path of its restore.
fn backed_up() -> (World, String) {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let path = format!("/api/v1/backups/{}/restore", newest(&world));
    (world, path)
}

#[test]
fn a_plan_that_takes_longer_than_its_request_is_fetched_from_its_job() {
    let (world, path) = backed_up();
    let server = Server::start(&world);
    server.ask("POST", &path, Some(VIEWER), DRY_RUN).is(403);
    for (method, path) in [
        ("POST", path.as_str()),
        ("POST", "/api/v1/rotate"),
        ("DELETE", path.strip_suffix("/restore").unwrap()),
        ("POST", "/api/v1/restore/undo"),
    ] {
        let started = server.ask(method, path, Some(ADMIN), DRY_RUN).is(202);
        let job = started.json();
        assert_eq!((&job["state"], &job["dry_run"], &job["plan"]), (&"running".into(), &true.into(), &Value::Null));
        assert_eq!(started.header("location"), Some(format!("/api/v1/jobs/{}", job["id"].as_str().unwrap())));
        ended(&server, &job);
    }
    let (started, held) = slowly(&server, || server.post(&format!("{path}?wait=1"), DRY_RUN));
    let job = started.is(202).json();
    assert_eq!(job["state"], "running", "{job}");
    server.get("/readyz").is(200);
    // It changes nothing, so it is in nobody's way.
    server.post("/api/v1/backups?wait=60", "").is(200);
    drop(held);
    let plan = ended(&server, &job);
    assert_eq!((&plan["state"], &plan["document"]["dry_run"]), (&"done".into(), &true.into()), "{plan}");
    let at_once = server.post(&format!("{path}?wait=60"), DRY_RUN).is(200).json();
    assert_eq!((&at_once["plan"], &at_once["document"]), (&plan["plan"], &plan["document"]));
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    let act = format!("{{\"plan\": {}}}", plan["plan"]);
    let done = server.post(&format!("{path}?wait=60"), &act).is(200).json();
    assert_eq!((&done["state"], &done["dry_run"], &done["plan"]), (&"done".into(), &false.into(), &Value::Null));
    assert_eq!((rows(&world).as_str(), server.stop().0), ("100", 0));
}

#[test]
fn what_is_no_longer_what_was_shown_is_refused_at_once_or_in_the_job() {
    let (world, path) = backed_up();
    let server = Server::start(&world);
    let shown = server.post(&format!("{path}?wait=60"), DRY_RUN).is(200).json();
    world.sql("app.db", "DELETE FROM notes WHERE id > 10; CREATE TABLE more(x)");
    let act = format!("{{\"plan\": {}}}", shown["plan"]);
    let check = |refused: &Value| {
        assert_eq!((&refused["state"], refused["code"].as_u64()), (&"failed".into(), Some(11)), "{refused}");
        assert_eq!(refused["error"]["message"], "what would happen has changed since it was planned", "{refused}");
        assert_ne!(refused["plan"], shown["plan"]);
        assert_eq!(refused["document"]["databases"][0]["schema"]["tables_lost"][0], "more", "{refused}");
        assert_eq!(rows(&world), "10");
    };
    let refused = server.post(&format!("{path}?wait=60"), &act).is(409).json();
    check(&refused);
    let (late, held) = slowly(&server, || server.post(&path, &act));
    let job = late.is(202).json();
    drop(held);
    check(&ended(&server, &job));
    let act = format!("{{\"plan\": {}}}", refused["plan"]);
    server.post(&format!("{path}?wait=60"), &act).is(200);
    assert_eq!(rows(&world), "100");
    server.post(&path, "{}").is(400);
}

#[test]
fn of_two_who_confirm_the_second_hears_of_the_first_while_that_plans() {
    let (world, path) = backed_up();
    let server = Server::start(&world);
    let plans = [(); 2].map(|()| server.post(&format!("{path}?wait=60"), DRY_RUN).is(200).json());
    assert_eq!(plans[0]["plan"], plans[1]["plan"]);
    let act = format!("{{\"plan\": {}}}", plans[0]["plan"]);
    let (first, held) = slowly(&server, || {
        world.sql("app.db", "DELETE FROM notes WHERE id > 10");
        server.post(&path, &act)
    });
    let first = first.is(202).json();
    let second = server.post(&path, &act).is(409).json();
    assert_eq!(second["job"], first["id"], "{second}");
    server.post("/api/v1/backups", "").is(409);
    assert_eq!(server.get("/readyz").status, 200, "nothing is restored yet");
    drop(held);
    assert_eq!(ended(&server, &first)["state"], "done");
    assert_eq!(rows(&world), "100");
}

#[test]
fn what_is_cancelled_while_it_is_planned_is_not_carried_out() {
    let (world, path) = backed_up();
    let server = Server::start(&world);
    let plan = server.post(&format!("{path}?wait=60"), DRY_RUN).is(200).json();
    for body in [DRY_RUN, &format!("{{\"plan\": {}}}", plan["plan"])] {
        let (started, held) = slowly(&server, || {
            world.sql("app.db", "DELETE FROM notes WHERE id > 10");
            server.post(&format!("{path}?wait=1"), body)
        });
        let job = started.is(202).json();
        let cancel = format!("/api/v1/jobs/{}/cancel", job["id"].as_str().unwrap());
        server.ask("POST", &cancel, Some(VIEWER), "").is(403);
        server.post(&cancel, "").is(202);
        drop(held);
        let job = ended(&server, &job);
        assert_eq!((&job["state"], job["code"].as_u64()), (&"cancelled".into(), Some(143)), "{job}");
        assert_eq!((&job["plan"], &job["document"]), (&Value::Null, &Value::Null), "{job}");
        assert_eq!((rows(&world).as_str(), world.archives().len()), ("10", 1));
        assert_eq!(world.leftovers(), [""; 0]);
    }
}

#[test]
fn two_plans_are_made_at_a_time_and_go_on_once_their_clients_have_their_addresses() {
    let mut world = world("");
    let _listener = store_that_hangs(&mut world);
    let server = Server::start(&world);
    let path = "/api/v1/backups/app_20260101T000000Z.tar.gz/restore";
    let plans = [(); 2].map(|()| server.post(path, DRY_RUN).is(202).json());
    while server.children().len() < 2 {
        thread::sleep(Duration::from_millis(10));
    }
    let third = server.post(path, DRY_RUN).is(503);
    assert_eq!(third.header("retry-after").as_deref(), Some("10"));
    assert!(third.text().contains("too much is being planned"), "{}", third.text());
    // They take nobody else's turn.
    server.get("/api/v1/status").is(200);
    server.post(&format!("/api/v1/jobs/{}/cancel", plans[0]["id"].as_str().unwrap()), "").is(202);
    assert_eq!(ended(&server, &plans[0])["state"], "cancelled");
    let third = server.post(path, DRY_RUN).is(202).json();
    assert_eq!((&third["state"], server.stop().0), (&"running".into(), 0));
}

/// Nobody can see a plan of a server that ends. This one would never end by itself.
#[test]
fn a_server_that_ends_waits_for_no_plan() {
    let world = world("stop_timeout = '1h'");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let path = format!("/api/v1/backups/{}/restore?wait=1", newest(&world));
    let server = Server::start(&world);
    let (started, _held) = slowly(&server, || server.post(&path, DRY_RUN));
    started.is(202);
    assert_eq!(server.stop().0, 0);
    assert_eq!(world.leftovers(), [""; 0]);
}

#[test]
fn on_the_page_a_plan_that_takes_long_is_a_job_that_becomes_the_plan() {
    let (world, _) = backed_up();
    let name = newest(&world);
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    let place = |answer: Answer| answer.is(303).header("location").unwrap();
    // The overview, where the token is read, plans a rotation.
    let token = browser.form_token();
    let post = |path: &str, fields: &str| browser.post_from(path, fields, "Origin: http://localhost\r\n", &token);

    let plan = format!("/backups/{name}/restore/plan");
    let (started, held) = slowly(&server, || post(&plan, "databases=app"));
    let job = place(started);
    let running = browser.get(&job).is(200).text();
    assert!(running.contains("Restore (plan): running") && running.contains("http-equiv=\"refresh\""), "{running}");
    assert!(running.contains(&format!("action=\"{job}/cancel\"")), "{running}");
    drop(held);
    browser.ended(&job);
    let shown = browser.get(&job).is(200).text();
    assert!(shown.contains("Type the name of the set") && !shown.contains("http-equiv=\"refresh\""), "{shown}");
    let viewer = Browser::enter(&server, "localhost", VIEWER);
    assert!(!viewer.get(&job).is(200).text().contains("name=\"plan\""), "a viewer cannot confirm it");

    // Another name shows the same plan again, without a new one.
    let act = |confirm: &str| format!("databases=app&plan={}&confirm={confirm}", digest(&shown));
    let restore = format!("/backups/{name}/restore");
    let mistyped = browser.post(&restore, &act("other")).is(200).text();
    assert!(mistyped.contains("not the name of the set") && digest(&mistyped) == digest(&shown), "{mistyped}");
    world.sql("app.db", "CREATE TABLE more(x)");
    let (started, held) = slowly(&server, || post(&restore, &act("app")));
    let job = place(started);
    let running = browser.get(&job).is(200).text();
    assert!(running.contains("Restore: running"), "{running}");
    drop(held);
    browser.ended(&job);
    let refused = browser.get(&job).is(200).text();
    assert!(refused.contains("Nothing was restored: something changed since the plan was shown"), "{refused}");
    assert!(refused.contains("table &quot;more&quot; is removed"), "{refused}");
    assert_eq!(rows(&world), "10");
    let act = format!("databases=app&plan={}&confirm=app", digest(&refused));
    let (started, held) = slowly(&server, || post(&restore, &act));
    drop(held);
    browser.job(started);
    assert_eq!(rows(&world), "100");

    let (started, held) = slowly(&server, || browser.get("/undo"));
    let job = place(started);
    browser.post(&format!("{job}/cancel"), "").is(303);
    drop(held);
    assert_eq!(browser.ended(&job)["state"], "cancelled");
    let cancelled = browser.get(&job).is(200).text();
    assert!(cancelled.contains("Undo (plan): cancelled") && !cancelled.contains("name=\"plan\""), "{cancelled}");
    // A plan that fails says why, at once or late.
    let missing = browser.get("/backups/app_20200101T000000Z.tar.gz/delete");
    assert!(browser.planned(missing).is(404).text().contains("app_20200101T000000Z"));
    let (late, held) = slowly(&server, || browser.get("/backups/app_20200101T000000Z.tar.gz/delete"));
    drop(held);
    assert!(browser.planned(late).is(404).text().contains("app_20200101T000000Z"));
}

/// Until its client has the address of a plan, no one else can see it.
#[test]
fn a_plan_whose_client_left_is_cancelled() {
    let (world, path) = backed_up();
    let server = Server::start(&world);
    let asked = |path: &str| {
        let body = DRY_RUN.len();
        let head = format!("POST {path}?wait=600 HTTP/1.1\r\nHost: x\r\nContent-Length: {body}\r\n");
        let mut stream = server.connect();
        write!(stream, "{head}Authorization: Bearer {ADMIN}\r\n\r\n{DRY_RUN}").unwrap();
        stream
    };
    let (pid, _held) = loop {
        let client = asked(&path);
        let held = loop {
            match stop_plan(&server) {
                Some(held) => break Some(held),
                // It had ended before it could be stopped.
                None if client.peek(&mut [0]).is_ok() => break None,
                None => {}
            }
        };
        if let Some(held) = held {
            break (held.0.as_raw_nonzero(), held);
        }
    };
    // The client is gone. A process that stands still has its signal pending until it is killed.
    let mut looks = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:\t")).unwrap_or("4000");
        if u64::from_str_radix(pending, 16).unwrap() & 0x4000 != 0 {
            break;
        }
        looks += 1;
        assert!(looks < 3000, "it plans for nobody");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Each set has a last restore of its own.
#[test]
fn an_undo_of_one_of_several_sets_is_confirmed_on_the_page() {
    let world = world("");
    world.database("other.db");
    let text = fs::read_to_string(world.path("h.toml")).unwrap();
    fs::write(world.path("h.toml"), format!("[sets.other.databases]\nother = 'other.db'\n{text}")).unwrap();
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let of = |name: &str| world.ask(&format!("{name}.db"), "SELECT count(*) FROM notes");
    for name in ["app", "other"] {
        world.sql(&format!("{name}.db"), "DELETE FROM notes WHERE id > 10");
        let archive = world.archives().into_iter().find(|archive| archive.starts_with(name)).unwrap();
        let plan = browser.post(&format!("/backups/{archive}/restore/plan"), &format!("databases={name}"));
        let plan = browser.planned(plan).is(200).text();
        let confirmed = format!("databases={name}&plan={}&confirm={name}", digest(&plan));
        let done = browser.job(browser.post(&format!("/backups/{archive}/restore"), &confirmed));
        assert!(done.contains(&format!(r#"href="/undo?set={name}""#)), "{done}");
    }
    let list = browser.get("/backups").is(200).text();
    assert!(list.contains(r#"href="/undo?set=app""#) && list.contains(r#"href="/undo?set=other""#), "{list}");
    assert!(browser.get("/backups?set=app").text().contains(r#"<a href="/undo?set=app">Undo the last restore</a>"#));
    assert!(browser.planned(browser.get("/undo")).is(400).text().contains("several sets"));
    // What the API planned, and what the page plans itself.
    let plan = server.post("/api/v1/restore/undo?wait=60", r#"{"set": "app", "dry_run": true}"#).is(200).json();
    let page = browser.get(&format!("/jobs/{}", plan["id"].as_str().unwrap())).is(200).text();
    assert_eq!(plan["plan"], digest(&page));
    assert!(page.contains(r#"action="/undo?set=app""#), "{page}");
    browser.job(browser.post("/undo?set=app", &format!("plan={}", digest(&page))));
    assert_eq!((of("app").as_str(), of("other").as_str()), ("10", "100"));
    let page = browser.planned(browser.get("/undo?set=other")).is(200).text();
    browser.job(browser.post("/undo?set=other", &format!("plan={}", digest(&page))));
    assert_eq!((of("app").as_str(), of("other").as_str()), ("10", "10"));
    browser.get("/undo?set=..").is(400);
}

#[test]
fn a_plan_of_the_api_can_be_confirmed_on_the_page() {
    let (world, path) = backed_up();
    let server = Server::start(&world);
    let plan = server.post(&format!("{path}?wait=60"), DRY_RUN).is(200).json();
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let page = browser.get(&format!("/jobs/{}", plan["id"].as_str().unwrap())).is(200).text();
    assert!(page.contains(r#"name="databases" value="app""#), "{page}");
    assert_eq!(plan["plan"], digest(&page));
    let confirmed = format!("databases=app&plan={}&confirm=app", digest(&page));
    browser.job(browser.post(path.strip_prefix("/api/v1").unwrap(), &confirmed));
    assert_eq!(rows(&world), "100");
}
