//! The page of `heirloom serve`: sessions, forms, and who is refused.

use serde_json::Value;

use crate::serve_world::{ADMIN, Answer, Server, VIEWER, world};
use crate::world::World;

/// A browser that has signed in.
pub struct Browser<'a> {
    server: &'a Server,
    host: String,
    pub cookie: String,
}

impl<'a> Browser<'a> {
    pub fn enter(server: &'a Server, host: &str, token: &str) -> Self {
        let headers = format!("Host: {host}\r\nOrigin: http://{host}\r\n");
        let answer = request(server, "POST", "/sign-in", &headers, &format!("token={token}")).is(303);
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        Self { server, host: host.to_owned(), cookie: cookie.split(';').next().unwrap().to_owned() }
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.server, "GET", path, &format!("Host: {}\r\nCookie: {}\r\n", self.host, self.cookie), "")
    }

    /// The form token that the views carry.
    pub fn form_token(&self) -> String {
        let page = self.get("/").is(200).text();
        page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    pub fn post(&self, path: &str, fields: &str) -> Answer {
        let origin = format!("Origin: http://{}\r\n", self.host);
        self.post_from(path, fields, &origin, &self.form_token())
    }

    pub fn post_from(&self, path: &str, fields: &str, headers: &str, form_token: &str) -> Answer {
        let headers = format!("Host: {}\r\nCookie: {}\r\n{headers}", self.host, self.cookie);
        request(self.server, "POST", path, &headers, &format!("form_token={form_token}&{fields}"))
    }

    /// Waits for the job that a form started.
    pub fn job(&self, answer: Answer) -> String {
        let place = answer.is(303).header("location").unwrap();
        let job = self.ended(&place);
        assert_eq!(job["state"], "done", "{job}");
        self.get(&place).is(200).text()
    }

    /// Waits for the job at this address, and returns its document.
    pub fn ended(&self, place: &str) -> Value {
        loop {
            let job = self.get(&format!("/api/v1{place}")).is(200).json();
            if job["state"] != "running" {
                return job;
            }
        }
    }

    /// Returns what a plan leads to, or a confirmation that is refused: at once, or by way of its job if that takes
    /// long.
    pub fn planned(&self, answer: Answer) -> Answer {
        match answer.header("location") {
            Some(place) if place.starts_with("/jobs/") => {
                self.ended(&place);
                self.get(&place)
            }
            _ => answer,
        }
    }

    /// Plans the restore of the only database, and returns the view of the plan.
    pub fn plan(&self, name: &str) -> String {
        self.planned(self.post(&format!("/backups/{name}/restore/plan"), "databases=app")).is(200).text()
    }
}

pub fn request(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{kind}");
    server.send(format!("{head}{headers}\r\n{body}").as_bytes())
}

pub fn digest(page: &str) -> String {
    page.split("name=\"plan\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

pub fn newest(world: &World) -> String {
    world.archives().pop().unwrap()
}

#[test]
fn an_administrator_makes_restores_and_undoes_without_a_shell() {
    let world = world("");
    let server = Server::start(&world);
    assert_eq!(server.with("GET", "/", "", "").status, 403, "another name of this machine");
    let redirected = request(&server, "GET", "/", "Host: localhost\r\n", "").is(303);
    assert_eq!(redirected.header("location").as_deref(), Some("/sign-in"));
    let browser = Browser::enter(&server, "localhost:8419", ADMIN);
    assert!(browser.get("/").is(200).text().contains("app"));
    browser.job(browser.post("/backups", "set=app&note=from+the+page"));
    let name = newest(&world);
    assert!(browser.get(&format!("/backups/{name}")).is(200).text().contains("from the page"));
    assert!(browser.get("/backups?set=app&kind=").is(200).text().contains(&name));
    let file = browser.get(&format!("/backups/{name}/download")).is(200);
    assert_eq!(file.body, std::fs::read(world.path(format!("backups/{name}"))).unwrap());

    world.sql("app.db", "DELETE FROM notes WHERE id > 10");
    browser.get(&format!("/backups/{name}/restore")).is(200);
    let plan = browser.plan(&name);
    let act = |confirm: &str| format!("databases=app&plan={}&confirm={confirm}", digest(&plan));
    let mistyped = browser.planned(browser.post(&format!("/backups/{name}/restore"), &act("apps"))).is(200).text();
    assert!(mistyped.contains("not the name of the set"), "{mistyped}");
    world.sql("app.db", "CREATE TABLE more(x)");
    let refused = browser.planned(browser.post(&format!("/backups/{name}/restore"), &act("app"))).is(200).text();
    assert!(refused.contains("Nothing was restored: something changed"), "{refused}");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10", "the world has changed since");
    let plan = browser.plan(&name);
    let act = format!("databases=app&plan={}&confirm=app", digest(&plan));
    browser.job(browser.post(&format!("/backups/{name}/restore"), &act));
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
    let undo = browser.planned(browser.get("/undo")).is(200).text();
    browser.job(browser.post("/undo", &format!("plan={}", digest(&undo))));
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "10");

    browser.job(browser.post("/backups", "set=app"));
    let ask = browser.planned(browser.get(&format!("/backups/{name}/delete"))).is(200).text();
    let refused = browser.planned(browser.post(&format!("/backups/{name}/delete"), "plan=other")).is(200).text();
    assert!(refused.contains("Nothing was deleted: something changed"), "{refused}");
    assert!(world.archives().contains(&name));
    browser.job(browser.post(&format!("/backups/{name}/delete"), &format!("plan={}", digest(&ask))));
    assert!(!world.archives().contains(&name));
    let last = newest(&world);
    browser.post(&format!("/backups/{last}/pin"), "").is(303);
    browser.job(browser.post(&format!("/backups/{last}/verify"), ""));
    // Of a day the rules keep one.
    browser.job(browser.post("/backups", "set=app"));
    browser.job(browser.post("/backups", "set=app"));
    let rotate = browser.planned(browser.get("/rotate")).is(200).text();
    browser.job(browser.post("/rotate", &format!("plan={}", digest(&rotate))));
    assert!(browser.get("/log").is(200).text().contains("ops from 127.0.0.1"));
    browser.get("/backups/no_20200101T000000Z.tar.gz").is(404);
    browser.get("/jobs/0").is(404);

    browser.post("/sign-out", "").is(303);
    assert_eq!(browser.get("/").status, 303, "the cookie is worth nothing any more");
}

#[test]
fn forms_of_others_and_of_viewers_change_nothing() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let name = newest(&world);
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost:8419", ADMIN);
    let token = browser.form_token();
    let own = "Origin: http://localhost:8419\r\n";
    let paths = ["/backups", "/rotate", "/undo", &format!("/backups/{name}/delete"), &format!("/backups/{name}/pin")];
    for path in paths {
        for headers in [
            "",
            "Origin: null\r\n",
            "Origin: http://localhost:3000\r\n",
            "Origin: https://evil.example\r\n",
            "Sec-Fetch-Site: cross-site\r\nOrigin: http://localhost:8419\r\n",
            "Sec-Fetch-Site: same-site\r\nOrigin: http://localhost:8419\r\n",
        ] {
            browser.post_from(path, "", headers, &token).is(403);
        }
        for stolen in ["", "0", &token[1..], &"0".repeat(64)] {
            browser.post_from(path, "", own, stolen).is(403);
        }
    }
    // Rebinding: a foreign name that resolves to this machine.
    let foreign = format!("Host: evil.example:8419\r\nCookie: {}\r\n", browser.cookie);
    request(&server, "GET", "/", &foreign, "").is(403);
    request(&server, "GET", "/api/v1/status", &foreign, "").is(401);
    request(
        &server,
        "POST",
        "/sign-in",
        "Host: evil.example\r\nOrigin: http://evil.example\r\n",
        &format!("token={ADMIN}"),
    )
    .is(403);
    request(&server, "POST", "/sign-in", "Host: localhost\r\n", &format!("token={ADMIN}")).is(403);
    let wrong =
        request(&server, "POST", "/sign-in", "Host: localhost\r\nOrigin: http://localhost\r\n", "token=guess").is(401);
    assert!(wrong.header("set-cookie").is_none());
    // A cookie changes nothing under /api, and its token does not fit another session.
    let headers = format!("Host: localhost:8419\r\nCookie: {}\r\n{own}", browser.cookie);
    request(&server, "POST", "/api/v1/backups", &headers, "{}").is(401);
    request(&server, "DELETE", &format!("/api/v1/backups/{name}"), &headers, "{}").is(401);
    let other = Browser::enter(&server, "localhost:8419", ADMIN);
    other.post_from("/backups", "", own, &token).is(403);

    let viewer = Browser::enter(&server, "localhost:8419", VIEWER);
    let page = viewer.get(&format!("/backups/{name}")).is(200).text();
    assert!(!page.contains("/download") && !page.contains("/delete"), "{page}");
    viewer.get(&format!("/backups/{name}/download")).is(403);
    for path in paths {
        viewer.post(path, "").is(403);
    }
    // A plan is a job.
    for path in ["/rotate", "/undo", &format!("/backups/{name}/delete")] {
        viewer.get(path).is(403);
    }
    assert_eq!(world.archives(), [name]);
}

#[test]
fn under_a_prefix_links_cookie_and_redirects_follow_public_url() {
    let world = world("public_url = 'https://backups.example/x/'");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    let own = "Host: backups.example\r\nOrigin: https://backups.example\r\n";
    let entered = request(&server, "POST", "/x/sign-in", own, &format!("token={ADMIN}")).is(303);
    assert_eq!(entered.header("location").as_deref(), Some("/x/"));
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-heirloom-x=") && cookie.contains("; Secure"), "{cookie}");
    let headers = format!("{own}Cookie: {}\r\n", cookie.split(';').next().unwrap());
    // A proxy passes the prefix on, or takes it away.
    for path in ["/x/", "/"] {
        let page = request(&server, "GET", path, &headers, "").is(200).text();
        assert!(page.contains("href=\"/x/assets/style.css\"") && !page.contains("href=\"/backups"), "{page}");
    }
    request(&server, "GET", "/x/backups", &headers, "").is(200);
    request(&server, "GET", "/x/assets/style.css", "", "").is(200);
    request(&server, "GET", "/x/api/v1/status", &headers, "").is(200);
    request(&server, "GET", "/", &headers.replace("backups.example", "localhost"), "").is(403);
}

#[test]
fn what_stands_in_a_database_is_shown_as_its_name() {
    let world = world("");
    world.sql("app.db", "CREATE TABLE \"<img src=x onerror=alert(1)>\"(x)");
    world.heirloom(["backup", "--config", "h.toml", "--note", "<script>alert(2)</script>"]).success();
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let name = newest(&world);
    for path in ["/", "/backups", &format!("/backups/{name}"), &format!("/backups/{name}/restore"), "/log"] {
        let page = browser.get(path).is(200).text();
        assert!(!page.contains("<img") && !page.contains("<script>") && !page.contains("style="), "{path}: {page}");
    }
    assert!(browser.get(&format!("/backups/{name}")).text().contains("&lt;img src=x onerror=alert(1)&gt;"));
}

/// Who reads the page may have no shell.
#[test]
fn a_command_as_advice_is_named_as_one_and_a_schedule_that_nobody_runs_too() {
    let world = world("");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let page = browser.get("/").is(200).text();
    assert!(page.contains("What to do, at a shell on the server: </strong>"), "{page}");
    assert!(page.contains("Nothing starts these jobs on this host now"), "{page}");
    browser.job(browser.post("/backups", "set=app"));
    let refused = browser.planned(browser.get(&format!("/backups/{}/delete", newest(&world)))).is(409).text();
    assert!(refused.contains("Not possible now") && refused.contains("at a shell on the server"), "{refused}");
}

#[test]
fn the_first_backup_can_be_made_where_the_list_would_be() {
    let world = world("");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let page = browser.get("/backups").is(503).text();
    assert!(page.contains("Back up now") && page.contains("cannot reach the store"), "{page}");
    browser.job(browser.post("/backups", "set=app"));
    assert!(browser.get("/backups").is(200).text().contains(&newest(&world)));
}

/// The disk with the store is not mounted, and then an archive was deleted by hand while its page was open.
#[test]
fn a_store_that_is_away_is_never_shown_as_good() {
    let world = world("");
    let server = Server::start(&world);
    server.post("/api/v1/backups?wait=60", "").is(200);
    let name = newest(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    assert!(browser.get("/").is(200).text().contains("No problems found"));
    std::fs::rename(world.path("backups"), world.path("unmounted")).unwrap();
    server.get("/api/v1/backups").is(503);
    assert_eq!(server.post("/api/v1/backups?wait=60", "").is(503).json()["code"], 16);
    let page = browser.get("/").is(200).text();
    assert!(!page.contains("No problems found"), "{page}");
    browser.get(&format!("/backups/{name}")).is(503);
    browser.get(&format!("/backups/{name}/download")).is(503);
    server.get("/readyz").is(200);
    std::fs::rename(world.path("unmounted"), world.path("backups")).unwrap();
    // A view may be a second old.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(browser.get("/").is(200).text().contains("No problems found"), "it is back");

    let plan = browser.get(&format!("/backups/{name}/restore")).is(200);
    std::fs::remove_file(world.path(format!("backups/{name}"))).unwrap();
    assert!(plan.text().contains(&name));
    browser.planned(browser.post(&format!("/backups/{name}/restore/plan"), "databases=app")).is(404);
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}

#[test]
fn what_a_copy_still_holds_is_not_called_lost() {
    let mut world = world("");
    let text = std::fs::read_to_string(world.path("h.toml")).unwrap();
    world.heirloom(["backup", "--config", "h.toml"]).success();
    std::fs::write(world.path("h.toml"), format!("{text}[copies.usb]\ndir = 'usb'\n")).unwrap();
    world.at("2026-03-02T03:00:00Z");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost:8419", ADMIN);
    let ask = |name: &str| browser.get(&format!("/backups/{name}/delete")).is(200).text();
    let copies =
        |name: &str| world.heirloom(["show", name, "--config", "h.toml", "--json"]).success().json()["copies"].clone();
    let name = newest(&world);
    assert_eq!(copies(&name), serde_json::json!([]), "not listed so far");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let name = newest(&world);
    assert_eq!(copies(&name), serde_json::json!(["usb"]));
    let page = ask(&name);
    assert!(page.contains("heirloom restore --store usb ") && !page.contains("cannot be brought back"), "{page}");
    browser.job(browser.post(&format!("/backups/{name}/delete"), &format!("plan={}", digest(&page))));
    world.sql("app.db", "DELETE FROM notes");
    let restore = ["restore", "--store", "usb", &name, "--config", "h.toml", "--force"];
    world.heirloom(restore).success();
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100", "what the page promised");
}

#[test]
fn a_header_that_only_a_secure_context_knows_is_sent_to_no_other() {
    for (settings, sent) in [
        ("", Some("same-origin")),
        ("public_url = 'https://backups.example/x/'", Some("same-origin")),
        ("public_url = 'http://localhost:8419/'", Some("same-origin")),
        ("public_url = 'http://backups.example:8419/'", None),
    ] {
        let world = world(settings);
        let server = Server::start(&world);
        let answer = server.with("GET", "/livez", "", "").is(200);
        assert_eq!(answer.header("cross-origin-opener-policy").as_deref(), sent, "{settings}");
        assert_eq!(answer.header("cross-origin-resource-policy").as_deref(), Some("same-origin"), "{settings}");
    }
}
