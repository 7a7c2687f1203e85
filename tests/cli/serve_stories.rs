//! Stories of administrators that nobody planned.

use std::fs;

use crate::run_world::{Run, live};
use crate::serve_page::{Browser, digest, newest, request};
use crate::serve_world::{ADMIN, Server, world};
use crate::world::World;

fn count(world: &World, database: &str) -> String {
    world.ask(database, "SELECT count(*) FROM notes")
}

/// Restores the newest backup as a form, and returns the answer.
fn restore(browser: &Browser, name: &str, plan: &str) -> crate::serve_world::Answer {
    let act = format!("databases=app&plan={}&confirm=app", digest(plan));
    browser.post(&format!("/backups/{name}/restore"), &act)
}

/// Somebody moved the database and left the configuration alone, then moved the configuration on.
#[test]
fn a_database_that_was_moved_is_missed_and_not_made_again_behind_its_back() {
    let world = world("");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    browser.job(browser.post("/backups", "set=app"));
    fs::create_dir(world.path("data")).unwrap();
    fs::rename(world.path("app.db"), world.path("data/app.db")).unwrap();
    let page = browser.get("/").is(200).text();
    assert!(!page.contains("No problems found") && page.contains("app.db"), "{page}");
    let failed = server.post("/api/v1/backups?wait=60", "").json();
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(!world.path("app.db").exists(), "a look makes no database");
    // A restore says that it makes a new file.
    let name = newest(&world);
    let plan = browser.plan(&name);
    assert!(plan.contains("A new file is created"), "{plan}");
    // The configuration follows: the running server reads it with each command.
    let text = fs::read_to_string(world.path("h.toml")).unwrap().replace("'app.db'", "'data/app.db'");
    fs::write(world.path("h.toml"), text).unwrap();
    let refused = browser.planned(restore(&browser, &name, &plan)).is(200).text();
    assert!(refused.contains("Nothing was restored"), "another target is another plan: {refused}");
    assert_eq!((count(&world, "data/app.db"), world.path("app.db").exists()), ("100".into(), false));
}

/// The configuration is copied to a second host, which has a database of its own and the same store.
#[test]
fn a_second_host_with_the_same_token_shows_whose_backups_they_are_and_restores_its_own() {
    let mut world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let theirs = newest(&world);
    world.env("HEIRLOOM_HOST", "second");
    world.sql("app.db", "DELETE FROM notes WHERE id > 50");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    browser.get("/").is(200);
    let page = browser.get(&format!("/backups/{theirs}")).is(200).text();
    assert!(page.contains("here"), "the host it was made on: {page}");
    let shown = server.get(&format!("/api/v1/backups/{theirs}")).is(200).json();
    assert_eq!(shown["metadata"]["host_label"], "here");
    let plan = browser.plan(&theirs);
    browser.job(browser.post("/backups", "set=app"));
    assert!(!plan.contains("No such"), "{plan}");
    assert!(plan.contains("app comes from here, ") && plan.contains(" on second"), "the warning of the plan: {plan}");
    assert_eq!(count(&world, "app.db"), "50", "a look changes nothing");
}

/// Two servers on one host under two ports, in one browser, which sends the cookies of one to the other.
#[test]
fn a_second_server_on_the_host_signs_nobody_in_or_out_at_the_first() {
    let (one, two) = (world(""), world(""));
    let (first, second) = (Server::start(&one), Server::start(&two));
    let at_first = Browser::enter(&first, &first.address.clone(), ADMIN);
    let at_second = Browser::enter(&second, &second.address.clone(), ADMIN);
    let name = |cookie: &str| cookie.split('=').next().unwrap().to_owned();
    assert_ne!(name(&at_first.cookie), name(&at_second.cookie), "one would overwrite the other");
    let jar = format!("{}; {}", at_first.cookie, at_second.cookie);
    let at = |server: &Server, cookie: &str| {
        request(server, "GET", "/", &format!("Host: {}\r\nCookie: {cookie}\r\n", server.address), "").status
    };
    assert_eq!((at(&first, &jar), at(&second, &jar)), (200, 200));
    assert_eq!((at(&first, &at_second.cookie), at(&second, &at_first.cookie)), (303, 303));
    let left = at_second.post("/sign-out", "").is(303).header("set-cookie").unwrap();
    assert_eq!(name(&left), name(&at_second.cookie), "{left}");
    assert_eq!((at(&first, &jar), at(&second, &jar)), (200, 303));
}

/// cron makes a backup while an administrator restores; the application holds its database for minutes.
#[test]
fn a_restore_waits_for_the_backup_of_cron_and_can_be_cancelled_while_it_waits() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let name = newest(&world);
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let plan = browser.plan(&name);
    let lock = rusqlite::Connection::open(world.path("app.db")).unwrap();
    lock.execute_batch("DELETE FROM notes WHERE id > 90; BEGIN EXCLUSIVE").unwrap();
    let mut cron = Run::start(&world, &mut live(&world, ["backup", "--config", "h.toml", "--progress", "json"]));
    cron.says("\"lock\"");
    // What the database holds cannot be read now, so the plan is another one; that is said.
    let plan = browser.planned(restore(&browser, &name, &plan)).is(200).text();
    assert!(plan.contains("Nothing was restored"), "{plan}");
    let started = restore(&browser, &name, &plan).is(303);
    let place = started.header("location").unwrap();
    let job = || browser.get(&format!("/api/v1{place}")).is(200).json();
    while job()["state"] == "running" && job()["stage"].is_null() {}
    let waiting = browser.get(&place).is(200).text();
    assert!(waiting.contains("Waiting for") || job()["state"] != "running", "{waiting}");
    browser.post(&format!("{place}/cancel"), "").is(303);
    while job()["state"] == "running" {}
    let ended = job();
    assert!(ended["state"] == "cancelled" || ended["state"] == "failed", "{ended}");
    lock.execute_batch("COMMIT").unwrap();
    drop(lock);
    assert_eq!(cron.code(), 0, "{}", cron.said());
    assert_eq!((count(&world, "app.db"), world.archives().len()), ("90".into(), 2), "{ended}");
    assert_eq!(world.leftovers(), [""; 0]);
}

/// Somebody restores at a shell while a page shows what a restore would do, and somebody else undoes it.
#[test]
fn what_was_shown_before_somebody_else_restored_is_not_carried_out() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let old = newest(&world);
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    world.sql("app.db", "DELETE FROM notes WHERE id > 50; CREATE TABLE more(x)");
    let plan = browser.plan(&old);
    world.heirloom(["restore", &old, "--force", "--config", "h.toml"]).success();
    let refused = browser.planned(restore(&browser, &old, &plan)).is(200).text();
    assert!(refused.contains("Nothing was restored"), "{refused}");
    // The undo of that restore is shown; then the operator restores again, and there is another one to undo.
    let undo = browser.planned(browser.get("/undo")).is(200).text();
    world.sql("app.db", "DELETE FROM notes WHERE id > 70");
    world.heirloom(["restore", &old, "--force", "--config", "h.toml"]).success();
    let refused = browser.planned(browser.post("/undo", &format!("plan={}", digest(&undo)))).is(200).text();
    assert!(refused.contains("Nothing was undone"), "{refused}");
    assert_eq!(count(&world, "app.db"), "100");
    browser.job(browser.post("/undo", &format!("plan={}", digest(&refused))));
    assert_eq!(count(&world, "app.db"), "70");
}

/// The set gets another name in the configuration while a page is open.
#[test]
fn a_set_that_was_renamed_is_not_found_under_its_old_name() {
    let world = world("");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    browser.job(browser.post("/backups", "set=app"));
    let name = newest(&world);
    let plan = browser.plan(&name);
    let text = fs::read_to_string(world.path("h.toml")).unwrap().replace("[sets.app.", "[sets.shop.");
    fs::write(world.path("h.toml"), text).unwrap();
    let place = browser.post("/backups", "set=app").is(303).header("location").unwrap();
    let job = || browser.get(&format!("/api/v1{place}")).is(200).json();
    while job()["state"] == "running" {}
    assert_eq!(job()["state"], "failed");
    let page = browser.get(&place).is(200).text();
    assert!(page.contains("there is no set &quot;app&quot;") && page.contains("there are: shop"), "{page}");
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    // The backup still says of which set it is, and either it is restored as shown or nothing is.
    let place = restore(&browser, &name, &plan).is(303).header("location").unwrap();
    let restored = browser.ended(&place);
    let is_done = restored["state"] == "done";
    assert_eq!(count(&world, "app.db"), if is_done { "100" } else { "10" }, "{restored}");
    assert!(is_done || browser.get(&place).is(200).text().contains("no restore target known"), "{restored}");
    browser.job(browser.post("/backups", "set=shop"));
    assert_eq!(world.archives().len() - world.pending().len(), world.archives().len());
}

/// Of the two databases of a set the archive has one.
#[test]
fn half_of_a_set_is_restored_as_half_and_says_so() {
    let world = world("");
    world.database("users.db");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let half = newest(&world);
    let text = fs::read_to_string(world.path("h.toml"))
        .unwrap()
        .replace("app = 'app.db'", "app = 'app.db'\nusers = 'users.db'");
    fs::write(world.path("h.toml"), text).unwrap();
    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    world.sql("users.db", "DELETE FROM notes WHERE id > 20");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let choice = browser.get(&format!("/backups/{half}/restore")).is(200).text();
    assert!(choice.contains("value=\"app\"") && !choice.contains("value=\"users\""), "{choice}");
    let plan = browser.plan(&half);
    browser.planned(browser.post(&format!("/backups/{half}/restore/plan"), "databases=users")).is(404);
    assert!(plan.contains("Other databases are not touched"), "{plan}");
    browser.job(restore(&browser, &half, &plan));
    assert_eq!((count(&world, "app.db"), count(&world, "users.db")), ("100".into(), "20".into()));
}

/// The service manager starts the server in another folder than the administrator had.
#[test]
fn relative_paths_mean_the_folder_of_the_configuration_wherever_the_server_starts() {
    let world = world("");
    let file = world.path("h.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("[store]\ndir = 'backups'\n{text}")).unwrap();
    let mut command = live(&world, ["serve", "--listen", "127.0.0.1:0", "--as-root", "--config"]);
    let mut run = Run::start(&world, command.arg(&file).current_dir("/"));
    run.says("listening on http://");
    let said = run.said();
    let address = said.split("listening on http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let server = Server { run, address };
    let made = server.post("/api/v1/backups?wait=60", "").json();
    assert_eq!(made["state"], "done", "{made}");
    assert_eq!(made["document"]["databases"][0]["tables"][0]["rows"], 100, "{made}");
    assert_eq!(world.archives().len(), 1, "{made}");
}

/// A download is under way in a second tab when the backup is deleted: it has the file open.
#[test]
fn a_download_under_way_ends_with_the_whole_file_though_it_was_deleted() {
    use std::io::{Read as _, Write as _};
    let world = world("");
    world.sql("app.db", "CREATE TABLE b(x); INSERT INTO b VALUES(randomblob(20000000))");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    browser.job(browser.post("/backups", "set=app"));
    let name = newest(&world);
    let whole = fs::read(world.path(format!("backups/{name}"))).unwrap();
    let mut stream = server.connect();
    let head = format!(
        "GET /backups/{name}/download HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\nConnection: close\r\n\r\n",
        browser.cookie
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    world.sql("app.db", "DELETE FROM notes WHERE id = 1");
    browser.job(browser.post("/backups", "set=app"));
    let ask = browser.planned(browser.get(&format!("/backups/{name}/delete"))).is(200).text();
    browser.job(browser.post(&format!("/backups/{name}/delete"), &format!("plan={}", digest(&ask))));
    assert!(!world.path(format!("backups/{name}")).exists());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&whole), "{} of {}", rest.len(), whole.len());
    browser.get(&format!("/backups/{name}/download")).is(404);
}

/// Something wrote over the newest backup: an administrator without a shell sees it, and makes a new one.
#[test]
fn a_backup_that_was_overwritten_is_said_and_replaced_from_the_page() {
    let world = world("");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    browser.job(browser.post("/backups", "set=app"));
    let name = newest(&world);
    let bytes = fs::metadata(world.path("backups").join(&name)).unwrap().len();
    fs::write(world.path("backups").join(&name), vec![0xa5; usize::try_from(bytes).unwrap()]).unwrap();
    let critical =
        |page: &str| page.split("What needs attention").nth(1)?.split("</section>").next().map(str::to_owned);
    let page = critical(&browser.get("/").is(200).text()).unwrap();
    assert!(page.contains("damaged") && page.contains(&name) && page.contains("Back up now"), "{page}");
    let list = browser.get("/backups").is(200).text();
    let files = list.split("Files that cannot be read as backups").nth(1).unwrap();
    assert!(files.contains("Damaged") && files.contains(&name), "{files}");
    browser.job(browser.post("/backups", "set=app"));
    let page = browser.get("/").is(200).text();
    assert!(!page.contains("Critical"), "{page}");
}

/// Somebody is in the middle of editing the configuration, or broke it.
#[test]
fn a_configuration_that_cannot_be_read_is_named_on_the_overview() {
    let world = world("");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    fs::write(world.path("h.toml"), "[sets").unwrap();
    let page = browser.get("/").is(200).text();
    assert!(page.contains("The state is not known") && page.contains("h.toml:1: "), "{page}");
}

#[test]
fn the_log_names_the_backup_that_somebody_no_longer_keeps() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let name = newest(&world);
    for mark in ["pin", "unpin"] {
        browser.post(&format!("/backups/{name}/{mark}"), "").is(303);
    }
    let log = server.get("/api/v1/log").is(200).json();
    let who = "ops from 127.0.0.1";
    for (at, command) in ["unpin", "pin"].iter().enumerate() {
        let entry = &log["activities"][at];
        assert_eq!((&entry["command"], &entry["user"]), (&(*command).into(), &who.into()), "{entry}");
        assert_eq!(entry["archive"], name, "{entry}");
    }
}

/// The hosts that back up need no secret key. Old backups can be deleted all the same.
#[test]
fn a_backup_that_no_key_here_opens_is_deleted_on_the_page() {
    let world = world("");
    let recipient = world.heirloom(["key", "new", "far.key"]).success().stdout;
    let text = fs::read_to_string(world.path("h.toml")).unwrap();
    let encryption = format!("[encryption]\nrecipients = ['{}']\n", recipient.trim());
    fs::write(world.path("h.toml"), encryption + &text).unwrap();
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let old = newest(&world);
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    browser.job(browser.post("/backups", "set=app"));
    let page = browser.planned(browser.get(&format!("/backups/{old}/delete"))).is(200).text();
    assert!(page.contains("Delete this backup?") && page.contains("other backups of <strong>app</strong>"), "{page}");
    browser.job(browser.post(&format!("/backups/{old}/delete"), &format!("plan={}", digest(&page))));
    assert!(!world.path(format!("backups/{old}")).exists());
    let last = newest(&world);
    let refused = browser.planned(browser.get(&format!("/backups/{last}/delete"))).is(409).text();
    assert!(refused.contains("last good"), "{refused}");
}

/// The disk of the store is away. What is said can be followed by a person.
#[test]
fn a_store_that_is_gone_is_reported_with_what_to_do() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let name = newest(&world);
    let server = Server::start(&world);
    fs::rename(world.path("backups"), world.path("away")).unwrap();
    let made = server.post("/api/v1/backups?wait=60", "").is(503).json();
    let hint = made["error"]["hint"].as_str().unwrap();
    assert!(hint.ends_with("heirloom backup --config h.toml --new-store"), "{hint}");
    let download = server.get(&format!("/api/v1/backups/{name}/download")).is(503).json();
    assert_eq!(
        (&download["error"]["kind"], download["error"]["code"].as_u64()),
        (&"store_unreachable".into(), Some(16))
    );
    assert!(download["error"]["hint"].as_str().is_some_and(|hint| hint.contains("mount the disk")), "{download}");
}
