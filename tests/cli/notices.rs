//! Notices: what is sent to whom, and when. Receivers are real servers on loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::world::{Ran, World};

/// A world with one configured set, `app`.
fn world(notify: &str) -> World {
    let world = World::new();
    world.database("app.db");
    configure(&world, notify);
    world
}

fn configure(world: &World, notify: &str) {
    let text = format!("[sets.app.databases]\nmain = 'app.db'\n[store]\ndir = 'backups'\n{notify}\n");
    fs::write(world.path("h.toml"), text).unwrap();
}

fn run(world: &World, args: &[&str]) -> Ran {
    world.heirloom([args, &["--config", "h.toml"]].concat())
}

/// A receiver that appends each notice to `got`.
fn script(world: &World) -> String {
    let path = world.path("alert");
    fs::write(&path, format!("#!/bin/sh\ncat >>{0}\necho >>{0}\n", world.path("got").display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("command = ['{}']\n", path.display())
}

fn got(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path("got")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn titles(notices: &[Value]) -> Vec<String> {
    notices.iter().map(|notice| notice["title"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_file_found_by_chance_runs_no_program() {
    let mut world = World::new();
    for (setting, key) in [
        ("[copies.drive]\nurl = 'rclone:drive:backups'\n", "copies.drive.url"),
        ("[notify.script]\ncommand = ['touch', 'ran']\n", "notify.script.command"),
        #[cfg(feature = "remote")]
        ("[notify.hook]\nwebhook_command = ['touch', 'ran']\n", "notify.hook.webhook_command"),
    ] {
        fs::write(world.path("heirloom.toml"), setting).unwrap();
        let refused = |world: &World| {
            let ran = world.heirloom(["config", "show"]).exits(2).says(&format!("{key}: runs a program"));
            assert!(ran.stderr.contains("if you trust it, name it with `--config heirloom.toml`"), "{}", ran.stderr);
        };
        refused(&world);
        world.heirloom(["config", "show", "--config", "heirloom.toml"]).success();
        // A `.env` in the same folder was found by chance, too.
        fs::write(world.path(".env"), "HEIRLOOM_CONFIG=heirloom.toml\n").unwrap();
        refused(&world);
        fs::remove_file(world.path(".env")).unwrap();
    }
    world.env("HEIRLOOM_CONFIG", "heirloom.toml").heirloom(["config", "show"]).success();
    assert!(!world.path("ran").exists());
}

#[test]
#[cfg(feature = "remote")]
fn a_file_found_by_chance_sends_no_key_to_a_server_that_it_names() {
    let sink = crate::notice_sink::Sink::start("http");
    let server = format!("http://127.0.0.1:{}", sink.port);
    let mut world = World::new();
    world.database("app.db");
    world.env("CONNECT_API_KEY", "hunter2");
    let endpoint = format!("endpoint={server}");
    let host = format!("127.0.0.1:{}", sink.port);
    for (setting, what) in [
        (format!("[store]\nurl = 'connect://{host}/ada/app?{endpoint}'\n"), "store.url: sends CONNECT_API_KEY to 127."),
        (format!("[copies.a]\nurl = 'connect://{host}/ada/app?{endpoint}'\n"), "copies.a.url: sends CONNECT_API_KEY"),
        (format!("[store]\nurl = 'gs://bucket?{endpoint}'\n"), "store.url: sends credentials to the endpoint"),
        (format!("[copies.a]\nurl = 'az://box?{endpoint}'\n"), "copies.a.url: sends credentials to the endpoint"),
    ] {
        fs::write(world.path("heirloom.toml"), &setting).unwrap();
        for words in [&["backup", "app.db"][..], &["list"], &["store", "check"]] {
            world.heirloom(words).exits(2).says(what).says("if you trust it, name it with `--config heirloom.toml`");
        }
    }
    assert!(sink.got_at("").is_empty(), "nothing was asked");
    // The server that this user has named, and a file that was named.
    let url = format!("[store]\nurl = 'connect://{host}/ada/app?{endpoint}'\n");
    fs::write(world.path("heirloom.toml"), &url).unwrap();
    world.heirloom(["config", "show", "--config", "heirloom.toml"]).success();
    world.env("CONNECT_SERVER", &server).heirloom(["config", "show"]).success();
    world.env("CONNECT_SERVER", "https://connect.example").heirloom(["config", "show"]).exits(2);
}

#[test]
#[cfg(feature = "remote")]
fn a_file_found_by_chance_sends_no_secret_to_whom_it_names() {
    let sink = crate::notice_sink::Sink::start("http");
    let url = format!("http://127.0.0.1:{}/ok/stranger", sink.port);
    let mut world = World::new();
    world.database("app.db");
    world.env("MINE", "hunter2");
    fs::write(world.path("secret"), "hunter2\n").unwrap();
    for (setting, key, what) in [
        (format!("webhook = '{url}'\ntoken = '$MINE'"), "token", "sends what the variable MINE holds"),
        (format!("webhook = '{url}/${{MINE}}'"), "webhook", "sends what the variable MINE holds"),
        (format!("webhook = '{url}'\nsecret_file = '/absent'"), "secret_file", "sends what another file holds"),
        (format!("ntfy = '{url}'\ntoken_file = 'secret'"), "token_file", "sends what another file holds"),
        ("healthchecks_file = 'secret'".into(), "healthchecks_file", "sends what another file holds"),
        (
            "smtp = 'smtp://u@mail.example'\npassword = '$MINE'\nfrom = 'u@x.example'\nto = 'a@x.example'".into(),
            "password",
            "MINE",
        ),
        ("smtp = 'smtp://localhost'\nfrom = '$MINE@x.example'\nto = 'a@x.example'".into(), "from", "MINE"),
    ] {
        fs::write(world.path("heirloom.toml"), format!("[notify]\non = 'failure'\n[notify.x]\n{setting}\n")).unwrap();
        let ran = world.heirloom(["backup", "absent.db"]).exits(2).says(&format!("notify.x.{key}: ")).says(what);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
        ran.says("\"heirloom.toml\" was only found in the working directory")
            .says("if you trust it, name it with `--config heirloom.toml`");
        world.heirloom(["notify", "test"]).exits(2);
    }
    let unset = format!("[notify.x]\nwebhook = '{url}'\ntoken = '$UNSET'\n");
    fs::write(world.path("heirloom.toml"), unset).unwrap();
    world.heirloom(["notify", "test"]).exits(2).says("notify.x.token: sends what the variable UNSET holds");
    assert_eq!(sink.got_at("/ok").len(), 0, "nothing was sent");
    // What stands in the file itself is not ours, and a file that was named is trusted.
    fs::write(world.path("heirloom.toml"), format!("[notify.x]\nwebhook = '{url}'\n")).unwrap();
    world.heirloom(["notify", "test"]).success();
    fs::write(world.path("h.toml"), format!("[notify.x]\nwebhook = '{url}'\ntoken = '$MINE'\n")).unwrap();
    run(&world, &["notify", "test"]).success();
    let with_token = |one: &Value| one["headers"]["authorization"] == "Bearer hunter2";
    assert!(sink.got_at("/ok").iter().any(with_token));
}

#[test]
fn failure_and_recovery_are_told_once_with_what_is_still_safe() {
    let mut world = world("");
    configure(&world, &format!("[notify.script]\n{}", script(&world)));
    run(&world, &["backup"]).success();
    run(world.at("2026-03-01T05:00:00Z"), &["verify"]).success();
    assert!(got(&world).is_empty(), "nobody asked for success");
    fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    for minute in ["00", "05", "10"] {
        run(world.at(&format!("2026-03-01T08:{minute}:00Z")), &["backup"]).exits(10);
    }
    run(world.at("2026-03-01T09:00:00Z"), &["backup"]).exits(10);
    fs::rename(world.path("away.db"), world.path("app.db")).unwrap();
    run(world.at("2026-03-01T09:30:00Z"), &["backup"]).success();
    run(world.at("2026-03-01T09:40:00Z"), &["backup"]).success();

    let told = got(&world);
    let failed = "heirloom on here: backup of app failed";
    assert_eq!(titles(&told), [failed, failed, "heirloom on here: backup of app works again"]);
    let text = told[0]["text"].as_str().unwrap();
    let safe = "still safe: app_20260301T030000Z.tar.gz, made 5 hours ago, verified 3 hours ago";
    for part in [safe, "no database at", "next: check the path; if the database does not exist yet, run: heirloom"] {
        assert!(text.contains(part), "\"{part}\" is not in {text}");
    }
    assert_eq!(told[1]["data"]["since"], "2026-03-01T08:00:00Z");
    assert_eq!(told[2]["data"]["since"], "2026-03-01T08:00:00Z");
    assert_eq!(told[2]["data"]["sets"][0]["archive"], "app_20260301T093000Z.tar.gz");
}

#[test]
fn what_was_asked_for_is_told_of_every_command() {
    let mut world = world("");
    configure(
        &world,
        &format!("[notify]\non = ['success', 'restore', 'damage', 'late', 'recovery']\n[notify.s]\n{}", script(&world)),
    );
    run(&world, &["backup"]).success();
    run(&world, &["backup", "--dry-run"]).success();
    run(&world, &["restore", "latest", "--to", "out.db"]).success();
    run(world.at("2026-03-09"), &["health"]).exits(21);
    run(world.at("2026-03-09T00:01:00Z"), &["health"]).exits(21);
    run(world.at("2026-03-09T00:02:00Z"), &["backup"]).success();
    let archive = world.path("backups").join(&world.archives()[0]);
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&archive, bytes).unwrap();
    run(&world, &["verify", "--all"]).exits(13);
    assert_eq!(
        titles(&got(&world)),
        [
            "heirloom on here: backup of app done",
            "heirloom on here: restore of app done",
            "heirloom on here: backup of app is late",
            "heirloom on here: backup of app works again",
            "heirloom on here: verify found damage",
        ]
    );
}

#[test]
fn one_round_is_one_notice_and_a_storm_is_held_back() {
    let mut world = world("");
    let sets: String = (0..500).map(|set| format!("[sets.s{set}.databases]\nmain = 'none/{set}.db'\n")).collect();
    let receiver = format!("[notify.script]\n{}", script(&world));
    fs::write(world.path("h.toml"), format!("[store]\ndir = 'backups'\n{sets}{receiver}")).unwrap();
    for minute in (0..=60).step_by(10) {
        let at = format!("2026-03-01T{:02}:{:02}:00Z", 3 + minute / 60, minute % 60);
        run(world.at(&at), &["backup"]).exits(3);
    }
    let told = got(&world);
    assert_eq!(told.len(), 2, "500 sets that fail for an hour: at once, and after an hour");
    assert_eq!(told[0]["title"], "heirloom on here: backup (500 of 500 sets) failed");
    assert_eq!((told[0]["data"]["sets"].as_array().unwrap().len(), &told[0]["data"]["more_sets"]), (10, &490.into()));

    // One command for each set, as from 500 lines of cron: ten notices, and the rest is counted.
    world.env("HEIRLOOM_STATE_DIR", world.path("other").to_str().unwrap());
    fs::remove_file(world.path("got")).unwrap();
    for set in 0..30 {
        run(world.at("2026-03-02"), &["backup", "--set", &format!("s{set}")]).exits(10);
    }
    assert_eq!(got(&world).len(), 10);
    run(world.at("2026-03-02T01:00:00Z"), &["backup", "--set", "s0"]).exits(10);
    let last = got(&world).pop().unwrap();
    assert_eq!(last["data"]["held_back"], 20);
}

#[test]
fn a_receiver_that_fails_changes_no_exit_code_and_gets_it_later() {
    let mut world = world("");
    configure(&world, "[notify.script]\ncommand = ['./absent']\non = 'success'\n");
    run(&world, &["backup"]).success().says("warning: notice to script not delivered, the next run sends it again");
    let log = run(&world, &["log", "--notices", "--json"]).json();
    assert_eq!(log["notices"][0]["state"], "pending");
    configure(&world, &format!("[notify.script]\non = 'success'\n{}", script(&world)));
    run(world.at("2026-03-01T04:00:00Z"), &["verify"]).success();
    let told = got(&world);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["id"], log["notices"][0]["notice"]["id"]);
    let log = run(&world, &["log", "--notices", "--json"]).json();
    assert_eq!((&log["notices"][0]["state"], log["notices"].as_array().unwrap().len()), (&"sent".into(), 1));
    // A test is neither kept nor recorded.
    run(&world, &["notify", "test"]).success();
    run(&world, &["notify", "test", "phone"]).exits(2).says("no receiver is called \"phone\"");
    assert_eq!(run(&world, &["log", "--notices", "--json"]).json(), log);
    assert_eq!(got(&world)[1]["title"], "Test: heirloom on here: backup of app done");
}

#[test]
fn a_run_that_is_killed_while_it_sends_loses_no_notice() {
    let mut world = world("");
    let started = world.path("started");
    let slow =
        format!("[notify.script]\non = 'success'\ncommand = ['sh', '-c', 'touch {}; sleep 4']\n", started.display());
    configure(&world, &slow);
    let mut running = world.command(["backup", "--config", "h.toml"]).spawn().unwrap();
    while !started.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(world.archives().len(), 1, "the data is safe before anything is sent");
    configure(&world, &format!("[notify.script]\non = 'success'\n{}", script(&world)));
    run(world.at("2026-03-01T03:02:00Z"), &["verify"]).success();
    assert_eq!(titles(&got(&world)), ["heirloom on here: backup of app done"]);
}

#[cfg(feature = "remote")]
mod over_the_network {
    use super::*;
    use crate::notice_sink::{PASSWORD, SECRET, Sink, USER};

    fn http(sink: &Sink, mode: &str) -> String {
        format!("http://127.0.0.1:{}/{mode}", sink.port)
    }

    #[test]
    fn each_protocol_is_spoken_as_documented() {
        let sink = Sink::start("http");
        let mut world = world("");
        fs::write(world.path("secret"), format!("{SECRET}\n")).unwrap();
        fs::write(world.path("hook"), http(&sink, "ok/hook")).unwrap();
        world.env("NTFY_TOKEN", "tk_hunter2hunter2");
        configure(
            &world,
            &format!(
                "[notify]\non = ['success', 'failure']\n[notify.phone]\nntfy = '{}'\ntoken = '$NTFY_TOKEN'\npriority = \
                 5\n[notify.public]\nntfy = '{}'\ndetail = 'short'\n[notify.ops]\nwebhook_file = 'hook'\nsecret_file = \
                 'secret'\n[notify.switch]\nhealthchecks = '{}'\n",
                http(&sink, "ok/backups"),
                http(&sink, "ok/public"),
                http(&sink, "ok/ping/5f4d"),
            ),
        );
        run(&world, &["backup"]).success();
        fs::remove_file(world.path("app.db")).unwrap();
        run(&world, &["backup"]).exits(10);

        let phone = sink.got_at("/ok").into_iter().filter(|one| one["path"] == "/ok").collect::<Vec<_>>();
        let bodies: Vec<Value> =
            phone.iter().map(|one| serde_json::from_str(one["body"].as_str().unwrap()).unwrap()).collect();
        let of = |topic: &str| bodies.iter().filter(|body| body["topic"] == topic).cloned().collect::<Vec<_>>();
        let backups = of("backups");
        assert_eq!((&backups[0]["priority"], &backups[1]["priority"]), (&3.into(), &5.into()));
        assert_eq!(backups[1]["title"], "heirloom on here: backup of app failed");
        let with_token = phone.iter().filter(|one| one["headers"]["authorization"] == "Bearer tk_hunter2hunter2");
        assert_eq!((with_token.count(), phone.len()), (2, 4), "the other topic gets no token");
        for body in of("public") {
            let text = body.to_string();
            assert!(!text.contains("app") && !text.contains("here"), "{text}");
        }

        let hooks = sink.got_at("/ok/hook");
        assert_eq!(hooks.len(), 2);
        for hook in &hooks {
            assert_eq!(hook["signed"], true, "{hook}");
            let body: Value = serde_json::from_str(hook["body"].as_str().unwrap()).unwrap();
            assert_eq!(hook["headers"]["webhook-id"], body["data"]["id"]);
            assert_eq!(hook["headers"]["webhook-timestamp"], "1772334000");
        }

        let pings: Vec<Value> = sink.got_at("/ok/ping/5f4d");
        let paths: Vec<(String, String)> = pings
            .iter()
            .map(|ping| {
                let (path, run) = ping["path"].as_str().unwrap().split_once("?rid=").unwrap();
                (path.replace("/ok/ping/5f4d", ""), run.to_owned())
            })
            .collect();
        let ends: Vec<&str> = paths.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(ends, ["/start", "", "/start", "/fail"]);
        assert!(paths[0].1 == paths[1].1 && paths[2].1 == paths[3].1 && paths[0].1 != paths[2].1, "{paths:?}");
        assert!(pings[3]["body"].as_str().unwrap().contains("no database at"));
    }

    #[test]
    fn a_receiver_that_is_slow_away_broken_or_elsewhere_delays_and_loses_nothing() {
        let sink = Sink::start("http");
        let mut world = world("");
        let receivers = format!(
            "[notify]\non = 'success'\n[notify.slow]\nwebhook = '{}'\n[notify.broken]\nwebhook = '{}'\n[notify.moved]\n\
             webhook = '{}'\ntoken = '$TOKEN'\n[notify.away]\nwebhook = 'http://127.0.0.1:1/'\n[notify.good]\n\
             webhook = \
             '{}'\n",
            http(&sink, "slow/hunter2"),
            http(&sink, "mode/hunter2"),
            http(&sink, "redirect/hunter2"),
            http(&sink, "ok/good"),
        );
        world.env("TOKEN", "hunter2hunter2");
        configure(&world, &receivers);
        sink.mode("500");
        let ran = run(&world, &["backup"]).success();
        for (name, why) in [
            ("slow", "no answer in time"),
            ("broken", "500 Internal Server Error"),
            ("moved", "redirects are not followed"),
            ("away", "Connection refused"),
        ] {
            let line = ran.stderr.lines().find(|line| line.contains(&format!("notice to {name} ")));
            assert!(line.is_some_and(|line| line.contains(why)), "{name}: {}", ran.stderr);
        }
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
        assert_eq!(sink.got_at("/ok/good").len(), 1);
        assert_eq!(sink.got_at("/mode").len(), 3, "three tries");
        assert_eq!(sink.got_at("/redirect").len(), 1, "a redirect is an answer");
        assert_eq!(sink.got_at("/ok/elsewhere").len(), 0, "the token went nowhere else");
        // Delivered by the next run, with the same id, to whom it lacks alone.
        sink.mode("ok");
        run(world.at("2026-03-01T03:05:00Z"), &["verify"]).success();
        let broken = sink.got_at("/mode");
        assert_eq!(broken.len(), 4);
        assert_eq!(broken[0]["headers"]["webhook-id"], broken[3]["headers"]["webhook-id"]);
        assert_eq!(sink.got_at("/ok/good").len(), 1);
        // A day later it is no news.
        run(world.at("2026-03-02T03:10:00Z"), &["verify"]).success();
        let log = run(&world, &["log", "--notices", "--json"]).json();
        let state = |name: &str| {
            let all = log["notices"].as_array().unwrap();
            all.iter().find(|one| one["receiver"] == name).unwrap()["state"].as_str().unwrap().to_owned()
        };
        assert_eq!([state("slow"), state("moved"), state("broken")], ["given up", "given up", "sent"]);
    }

    #[test]
    fn mail_goes_over_tls_after_sign_in_and_names_are_encoded() {
        for kind in ["smtps", "starttls"] {
            let Some(sink) = Sink::mail("mail with TLS and sign-in", kind) else { return };
            let mut world = world("");
            let scheme = if kind == "smtps" { "smtps" } else { "smtp" };
            fs::write(world.path("password"), PASSWORD).unwrap();
            let mail = format!(
                "smtp = '{scheme}://{USER}@localhost:{}'\nto = ['ops@example.org', 'Ada <ada@example.org>']\n\
                 password_file = 'password'\n",
                sink.port
            );
            configure(&world, &format!("[notify]\non = ['failure', 'success']\n[notify.mail]\n{mail}"));
            // Its certificate is signed by nobody this host knows.
            let ran = run(&world, &["backup"]).success().says("notice to mail not delivered");
            assert!(ran.stderr.to_lowercase().contains("certificate"), "{}", ran.stderr);
            assert!(sink.got_at("").is_empty());

            world.env("SSL_CERT_FILE", sink.trusted().to_str().unwrap());
            // The next run delivers it.
            let ran = run(&world, &["verify"]).success();
            assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
            let text = fs::read_to_string(world.path("h.toml")).unwrap();
            fs::write(world.path("h.toml"), text.replace("'app.db'", "'ä.db'")).unwrap();
            run(world.at("2026-03-01T03:05:00Z"), &["backup"]).exits(10);
            let mails = sink.got();
            assert_eq!(mails.len(), 2, "{mails:?}");
            for mail in &mails {
                assert_eq!((&mail["tls"], &mail["signed_in"]), (&true.into(), &true.into()));
                assert_eq!(mail["to"], serde_json::json!(["ops@example.org", "ada@example.org"]));
                assert_eq!(mail["from"], "ada@example.org");
                assert!(mail["mail"].as_str().unwrap().is_ascii(), "{mail}");
            }
            let failed = mails[1]["mail"].as_str().unwrap();
            assert!(failed.contains("Subject: heirloom on here: backup of app failed"), "{failed}");

            fs::write(world.path("password"), "wrongwrong").unwrap();
            let ran = run(world.at("2026-03-01T05:00:00Z"), &["notify", "test", "mail"]).exits(1);
            assert!(
                ran.stdout.contains("Authentication credentials invalid") && !ran.stdout.contains("wrongwrong"),
                "{}",
                ran.stdout
            );
        }
    }

    #[test]
    fn no_secret_is_in_any_output_log_or_process_list() {
        let sink = Sink::start("http");
        let mut world = world("");
        // Prints the process list while it runs, and a secret.
        let program = world.path("token");
        let list = world.path("processes");
        fs::write(&program, format!("#!/bin/sh\nps axww >>{}\necho hunter2-token\n", list.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(world.path("secret"), "hunter2-signature").unwrap();
        fs::write(world.path("password"), "hunter2-password").unwrap();
        world.env("HOOK", &http(&sink, "401/hunter2-hook"));
        configure(
            &world,
            &format!(
                "[notify]\non = ['success', 'failure']\n[notify.hook]\nwebhook = '$HOOK'\nsecret_file = 'secret'\n\
                 token_command = ['{}']\n[notify.phone]\nntfy = '{}'\ntoken_file = 'password'\n[notify.mail]\nsmtp = \
                 'smtps://u@127.0.0.1:1'\npassword_file = 'password'\nto = 'a@b'\nfrom = 'a@b'\n[notify.switch]\n\
                 healthchecks = '{}'\n",
                program.display(),
                http(&sink, "ok/hunter2-topic"),
                http(&sink, "ok/hunter2-ping"),
            ),
        );
        let mut outputs = String::new();
        for args in [
            &["backup", "--verbose"][..],
            &["backup", "--json"],
            &["notify", "test", "--verbose"],
            &["notify", "test", "--json"],
            &["log"],
            &["log", "--json"],
            &["log", "--notices"],
            &["log", "--notices", "--json"],
            &["config", "show"],
            &["config", "show", "--json"],
            &["config", "check"],
            &["config", "check", "--json"],
            &["health"],
        ] {
            let ran = run(&world, args);
            outputs += &format!("{args:?}\n{}\n{}\n", ran.stdout, ran.stderr);
        }
        let got = sink.got();
        assert!(got.iter().any(|one| one["headers"]["authorization"] == "Bearer hunter2-token"), "the secret is used");
        assert!(outputs.contains("answer Bearer …"), "an answer that repeats the token: {outputs}");
        let processes = fs::read_to_string(list).unwrap();
        assert!(processes.contains("heirloom"), "{processes}");
        for (place, text) in [("an output", &outputs), ("the process list", &processes)] {
            let line = text.lines().find(|line| line.contains("hunter2"));
            assert_eq!(line, None, "in {place}");
        }
        let mut folders = vec![world.root().into(), world.path("backups/.heirloom")];
        folders.push(std::path::Path::new(world.root()).join("state"));
        for folder in folders {
            for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
                let bytes = fs::read(&file).unwrap();
                assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "in {}", file.display());
            }
        }
    }
}
