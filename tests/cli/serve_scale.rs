//! `heirloom serve` with many backups and many requests: pages, shared documents, and a limit on what is read at a
//! time.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::run_world::live;
use crate::serve_page::Browser;
use crate::serve_world::{ADMIN, Server, world};
use crate::world::World;

const HOST: &str = "localhost:8419";

fn newest(world: &World) -> String {
    world.archives().pop().unwrap()
}

/// Returns the links on a page that contain `part`, in their order.
fn links(page: &str, part: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.filter(|link| link.contains(part)).map(|link| link.replace("&amp;", "&")).collect()
}

#[test]
fn the_list_has_pages_that_hold_every_backup_once_without_script() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let file = fs::read(world.path(format!("backups/{}", newest(&world)))).unwrap();
    for number in 0..229 {
        let time = format!("{:02}{:02}{:02}", number / 60, number % 60, 7);
        fs::write(world.path(format!("backups/app_20230101T{time}Z.tar.gz")), &file).unwrap();
    }
    let all = world.archives();
    assert_eq!(all.len(), 230);
    let server = Server::start(&world);
    let browser = Browser::enter(&server, HOST, ADMIN);
    for filter in ["/backups", "/backups?set=app&kind="] {
        let (mut path, mut seen, mut pages) = (filter.to_owned(), Vec::new(), Vec::new());
        loop {
            let page = browser.get(&path).is(200).text();
            let rows = page.matches("<th class=\"long\" scope=\"row\"").count();
            assert!(rows <= 100, "{rows}");
            seen.extend(all.iter().filter(|name| page.contains(&format!(">{name}</a>"))).cloned());
            pages.push(path);
            match page.split("rel=\"next\" ").nth(1) {
                Some(rest) => path = links(rest, "before=")[0].clone(),
                None => break,
            }
            assert!(page.contains("230 backups, newest first"), "{page}");
        }
        seen.sort();
        assert_eq!((&seen, pages.len()), (&all, 3), "{pages:?}");
        let last = browser.get(&pages[2]).text();
        let back = links(last.split("rel=\"prev\" ").nth(1).unwrap(), "/backups")[0].clone();
        let shown = |path: &str| links(&browser.get(path).is(200).text(), "/backups");
        assert_eq!(shown(&back), shown(&pages[1]));
    }
    let gone = browser.get("/backups?before=app_19990101T000000Z.tar.gz").is(200).text();
    assert!(gone.contains("is gone"), "{gone}");
    // The API has the same pages.
    let (mut path, mut count) = ("/api/v1/backups".to_owned(), 0);
    loop {
        let list = server.get(&path).is(200).json();
        count += list["archives"].as_array().unwrap().len();
        match list["next"].as_str() {
            Some(next) => path = format!("/api/v1/backups?before={next}"),
            None => break,
        }
    }
    assert_eq!(count, 230);
}

#[test]
fn what_was_done_is_in_the_next_view() {
    let world = world("");
    let by_hand = |words: &[&str]| world.run(&mut live(&world, words.iter().chain(&["--config", "h.toml"]))).success();
    by_hand(&["backup"]);
    let added = |before: &[String]| world.archives().into_iter().find(|name| !before.contains(name)).unwrap();
    let server = Server::start(&world);
    let browser = Browser::enter(&server, HOST, ADMIN);
    for _ in 0..3 {
        let before = world.archives();
        // Now the list and the overview are there to be used again.
        browser.get("/backups").is(200);
        browser.get("/").is(200);
        server.post("/api/v1/backups?wait=60", "").is(200);
        let name = added(&before);
        assert!(browser.get("/backups").is(200).text().contains(&name));
        assert!(browser.get("/").is(200).text().contains(&name));
        let path = format!("/api/v1/backups/{name}/pin");
        let is_pinned = || browser.get(&format!("/backups/{name}")).is(200).text().contains(">Pinned<");
        assert!(!is_pinned());
        server.ask("PUT", &path, Some(ADMIN), "").is(200);
        assert!(is_pinned());
        server.ask("DELETE", &path, Some(ADMIN), "").is(200);
        assert!(!is_pinned());
    }
    // What others did is at once in the API, and in every plan that somebody decides on.
    let before = world.archives();
    by_hand(&["backup"]);
    let name = added(&before);
    assert_eq!(server.get("/api/v1/backups").is(200).json()["archives"][0]["archive"], name.as_str());
    browser.get("/").is(200);
    let rotate = || browser.planned(browser.get("/rotate")).is(200).text();
    let before = rotate();
    let removed = world.archives()[0].clone();
    assert!(links(&before, &removed).len() == 1 && before.contains("Remove 4 backups"), "{before}");
    by_hand(&["pin", &removed]);
    browser.get("/").is(200);
    let after = rotate();
    assert!(after.contains("Remove 3 backups"), "{after}");
}

/// A store that takes connections and never answers, as long as the listener lives.
pub fn store_that_hangs(world: &mut World) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, value) in [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "us-east-1")] {
        world.env(name, value);
    }
    let store = format!("[store]\nurl = 's3://b/p?endpoint=http://{}'\n", listener.local_addr().unwrap());
    let text = fs::read_to_string(world.path("h.toml")).unwrap();
    fs::write(world.path("h.toml"), store + &text).unwrap();
    listener
}

pub fn refuse(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

#[test]
fn a_document_that_many_ask_for_is_read_once() {
    let mut world = world("");
    let listener = store_that_hangs(&mut world);
    let server = Server::start(&world);
    thread::scope(|scope| {
        let asked: Vec<_> = (0..20).map(|_| scope.spawn(|| server.get("/api/v1/backups"))).collect();
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            seen.extend(server.children());
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(seen.len(), 1);
        assert!(asked.iter().all(|one| !one.is_finished()));
        // Now the store answers: it lets nobody in. The child that runs ends, and one more serves all who waited.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || refuse(stream));
            }
        });
        while asked.iter().any(|one| !one.is_finished()) {
            seen.extend(server.children());
        }
        assert!(seen.len() <= 2, "{seen:?}");
        for answer in asked.into_iter().map(|one| one.join().unwrap()) {
            assert!(answer.is(400).text().contains("check the credentials"));
        }
    });
}

#[test]
fn a_few_documents_are_read_at_a_time_and_others_hear_when_to_come_again() {
    let mut world = world("");
    let listener = store_that_hangs(&mut world);
    let server = Server::start(&world);
    let browser = Browser::enter(&server, HOST, ADMIN);
    thread::scope(|scope| {
        let server = &server;
        let path = |number: usize| format!("/api/v1/backups/app_2026010{number}T000000Z.tar.gz");
        let slow: Vec<_> = (1..=2).map(|number| scope.spawn(move || server.get(&path(number)))).collect();
        while server.children().len() < 2 {
            thread::sleep(Duration::from_millis(10));
        }
        let late: Vec<_> = (3..=7).map(|number| scope.spawn(move || server.get(&path(number)))).collect();
        let view = browser.get("/").is(503);
        assert_eq!(view.header("retry-after").as_deref(), Some("10"));
        assert!(view.text().contains("too much is being read"), "{}", view.text());
        assert_eq!(server.children().len(), 2);
        for answer in late.into_iter().map(|one| one.join().unwrap()) {
            let answer = answer.is(503);
            assert_eq!(answer.header("retry-after").as_deref(), Some("10"));
            assert_eq!(answer.json()["error"]["kind"], "busy");
        }
        assert!(slow.iter().all(|one| !one.is_finished()));
        server.ask("GET", "/livez", None, "").is(200);
        drop(listener);
        slow.into_iter().for_each(|one| assert_eq!(one.join().unwrap().json()["error"]["code"], 16));
    });
}

/// The configuration and the archives are read once for a view.
#[test]
fn a_view_is_made_by_one_process() {
    let mut world = world("");
    let listener = store_that_hangs(&mut world);
    let server = Server::start(&world);
    let browser = Browser::enter(&server, HOST, ADMIN);
    thread::scope(|scope| {
        let view = scope.spawn(|| browser.get("/"));
        // Whatever reads the store waits for it.
        let held: Vec<TcpStream> = listener.incoming().take(1).map(Result::unwrap).collect();
        let mut seen: BTreeSet<u32> = server.children().into_iter().collect();
        assert_eq!(seen.len(), 1);
        held.into_iter().for_each(refuse);
        thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(refuse));
        while !view.is_finished() {
            seen.extend(server.children());
        }
        assert_eq!(seen.len(), 1, "{seen:?}");
        let page = view.join().unwrap().is(200).text();
        assert!(page.contains("The list of backups is not known.") && page.contains("403 Forbidden"), "{page}");
    });
}

/// The store of a download does not answer. Its client hears nothing more, and nobody else is let in.
#[test]
fn a_signal_is_heeded_while_a_download_waits_for_its_store() {
    let mut world = world("");
    let listener = store_that_hangs(&mut world);
    let server = Server::start(&world);
    thread::scope(|scope| {
        let path = "/api/v1/backups/app_20260101T000000Z.tar.gz/download";
        let asked = scope.spawn(|| server.ask("GET", path, Some(ADMIN), ""));
        // Never answered, and held.
        let _request = listener.accept().unwrap();
        server.run.signal(Signal::TERM);
        let answer = asked.join().unwrap();
        assert_eq!(answer.status, 0, "it was cut off, not answered: {}", answer.text());
        assert!(TcpStream::connect(&server.address).is_err());
    });
    server.run.signal(Signal::KILL);
}
