//! Who might want what from `heirloom serve`, what stops them, and the test of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::serve_page::{Browser, newest, request};
use crate::serve_world::{ADMIN, Server, VIEWER, world};

/// Who, what they try, what stops it, and the test of it.
const THREATS: &[[&str; 4]] = &[
    [
        "nobody's token",
        "use any route without a token, with a guess, an empty one, one in the URL",
        "digests of tokens",
        "serve::each_operation_is_open_to_its_role_alone",
    ],
    [
        "nobody's token",
        "every route by every way to sign in",
        "the extractors of roles",
        "serve_matrix::every_route_is_refused_or_allowed_as_the_way_to_sign_in_says",
    ],
    [
        "nobody's token",
        "start it before a token exists, over TCP as root, on a name",
        "it does not start",
        "serve::it_starts_only_where_it_can_be_safe",
    ],
    [
        "nobody's token",
        "fill memory, hold all connections, send no HTTP",
        "limits",
        "serve_hostile::requests_that_are_too_large_or_no_http_are_refused_and_others_go_on",
    ],
    [
        "nobody's token",
        "send slowly",
        "a time limit for each request",
        "serve_hostile::slow_senders_and_more_connections_than_allowed_do_not_shut_others_out",
    ],
    [
        "nobody's token",
        "leave the store by a name",
        "names are checked, no path comes from a request",
        "serve_hostile::names_lead_nowhere_but_into_the_store",
    ],
    ["viewer", "change, download or delete", "the role", "serve_page::forms_of_others_and_of_viewers_change_nothing"],
    [
        "admin whom nobody trusts with the data",
        "download where downloads are off",
        "download = false",
        "serve_hostile::without_downloads_nothing_is_carried_away",
    ],
    [
        "another site in the browser",
        "post a form, with or without `Origin",
        "Sec-Fetch-Site` or `Origin`, and the form token",
        "serve_page::forms_of_others_and_of_viewers_change_nothing",
    ],
    [
        "another site in the browser",
        "rebind its name to this machine",
        "Host` is compared",
        "session::tests::without_one_only_this_machine_is_meant",
    ],
    [
        "another site in the browser",
        "frame it, load parts of it",
        "headers of every answer",
        "serve::every_answer_carries_the_headers_that_keep_others_out",
    ],
    [
        "application on the next port",
        "post a form from the same host",
        "Origin` has the port",
        "serve_threats::the_application_on_the_next_port_can_neither_post_nor_plant_a_cookie",
    ],
    [
        "application on the next port",
        "plant a session, a cookie for its own server",
        "sessions are made here; the cookie has the port in its name",
        "session::tests::servers_on_one_host_have_cookies_of_their_own",
    ],
    [
        "application under the next path",
        "replace the cookie from another host of the domain",
        "__Host-` over TLS",
        "session::tests::a_public_url_gives_host_origin_prefix_and_cookie",
    ],
    [
        "other user of the machine",
        "connect to the Unix socket",
        "mode 0660",
        "serve::a_socket_is_for_its_group_and_replaces_what_a_killed_server_left",
    ],
    [
        "other user of the machine",
        "read a token in the process list or an environment",
        "tokens and cookies are in neither",
        "serve_threats::no_process_shows_a_token_or_a_cookie",
    ],
    [
        "other user of the machine",
        "read the file of a token",
        "a warning names the file",
        "serve_threats::a_token_file_that_others_can_read_is_reported",
    ],
    [
        "other user of the machine",
        "use the one-time code",
        "a file for its owner alone, once, 10 minutes",
        "serve_code::a_code_from_a_file_signs_in_once_and_is_no_bearer_token",
    ],
    [
        "somebody whose token was removed",
        "go on with a session or the token",
        "the configuration is read again",
        "serve_tokens::a_token_that_is_removed_ends_with_its_sessions_and_the_others_stay",
    ],
    [
        "who reads the log",
        "find a token or a cookie",
        "names and addresses alone",
        "serve_threats::no_process_shows_a_token_or_a_cookie",
    ],
    [
        "who reads the configuration",
        "use what stands in it as a token",
        "digests",
        "serve_threats::a_digest_is_not_a_token",
    ],
    [
        "who writes to the store",
        "an archive whose name, note or metadata is markup or ends a header",
        "escaping; a name has no control character",
        "serve_threats::hostile_archives_are_listed_shown_and_downloaded_as_text",
    ],
    [
        "who writes to the store",
        "a link to a file of the server's user",
        "links are not opened",
        "serve_threats::a_link_in_the_store_is_not_followed",
    ],
    [
        "who owns a database's content",
        "tables named as markup",
        "escaping",
        "serve_page::what_stands_in_a_database_is_shown_as_its_name",
    ],
    [
        "who owns a database's content",
        "views, triggers and generated columns that act when looked at",
        "only tables are counted, nothing is executed",
        "serve_threats::a_hostile_schema_does_nothing_when_it_is_looked_at",
    ],
    [
        "the reverse proxy, its clients",
        "claim another address for the log",
        "trusted_proxy",
        "serve_hostile::only_a_trusted_proxy_is_believed_about_the_client",
    ],
    [
        "the reverse proxy, its clients",
        "smuggle a request",
        "two lengths are refused",
        "serve_hostile::requests_that_are_too_large_or_no_http_are_refused_and_others_go_on",
    ],
];

#[test]
fn each_test_in_the_table_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for [_, _, _, test] in THREATS {
        let (module, function) = test.rsplit_once("::").unwrap();
        let file = match module.strip_suffix("::tests") {
            Some(module) => format!("src/server/{module}.rs"),
            None => format!("tests/cli/{module}.rs"),
        };
        let text = fs::read_to_string(root.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let found =
            text.split("#[test]\n").skip(1).any(|part| part.trim_start().starts_with(&format!("fn {function}(")));
        assert!(found, "{test} is not in {file}");
    }
    assert!(THREATS.len() > 20, "{}", THREATS.len());
}

/// The command lines and environments of all processes that work in a world, and how many they are.
fn processes(work: &Path) -> (usize, String) {
    let work = work.canonicalize().unwrap();
    let is_here = |process: &PathBuf| fs::read_link(process.join("cwd")).is_ok_and(|folder| folder.starts_with(&work));
    let all: Vec<PathBuf> = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()).filter(is_here).collect();
    let text = |file: PathBuf| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).replace('\0', "\n");
    let texts = all.iter().flat_map(|process| [process.join("cmdline"), process.join("environ")]).map(text);
    (all.len(), texts.collect())
}

#[test]
fn no_process_shows_a_token_or_a_cookie() {
    let world = world("");
    fs::write(world.path("token"), format!("{ADMIN}-of-a-file\n")).unwrap();
    fs::set_permissions(world.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(world.path("h.toml")).unwrap();
    let more = "[server.tokens.filed]\nrole = 'admin'\ntoken_file = 'token'\n";
    fs::write(world.path("h.toml"), format!("{text}\n{more}")).unwrap();
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost:8419", &format!("{ADMIN}-of-a-file"));
    let lock = rusqlite::Connection::open(world.path("app.db")).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    server.ask("GET", "/api/v1/status", Some("heirloom_wrong-0123456789"), "").is(401);
    let started = browser.post("/backups", "set=app").is(303);
    let place = started.header("location").unwrap();
    let form_token = browser.form_token();
    while browser.get(&format!("/api/v1{place}")).is(200).json()["stage"] != "lock" {}
    let (count, shown) = processes(&world.work());
    assert!(count >= 2 && shown.contains("LOGNAME=filed from 127.0.0.1"), "the server and its child: {shown}");
    drop(lock);
    browser.job(started);
    let log = world.heirloom(["log", "--config", "h.toml", "--json"]).success().stdout;
    let said = server.run.said();
    let cookie = browser.cookie.split_once('=').unwrap().1;
    for secret in [ADMIN, cookie, &form_token, "heirloom_wrong"] {
        for (place, text) in [("a process", &shown), ("the log", &log), ("standard error", &said)] {
            assert!(!text.contains(secret), "{secret} in {place}: {text}");
        }
    }
}

#[test]
fn a_token_file_that_others_can_read_is_reported() {
    let world = world("");
    fs::write(world.path("token"), ADMIN).unwrap();
    let text = "[sets.app.databases]\napp = 'app.db'\n[server.tokens.ops]\nrole = 'admin'\ntoken_file = 'token'\n";
    fs::write(world.path("h.toml"), text).unwrap();
    for (mode, is_reported) in [(0o644, true), (0o640, false), (0o600, false)] {
        fs::set_permissions(world.path("token"), fs::Permissions::from_mode(mode)).unwrap();
        let server = Server::start(&world);
        server.get("/api/v1/status").is(200);
        let said = server.stop().1;
        assert_eq!(said.contains("can be read by all users"), is_reported, "{mode:o}: {said}");
    }
}

#[test]
fn a_digest_is_not_a_token() {
    let world = world("");
    let server = Server::start(&world);
    for token in [ADMIN, VIEWER] {
        let digest: String = Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(fs::read_to_string(world.path("h.toml")).unwrap().contains(&digest));
        server.ask("GET", "/api/v1/status", Some(&digest), "").is(401);
        server.ask("GET", "/api/v1/status", Some(&format!("heirloom_{digest}")), "").is(401);
    }
}

#[test]
fn the_application_on_the_next_port_can_neither_post_nor_plant_a_cookie() {
    let world = world("");
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost:8419", ADMIN);
    let token = browser.form_token();
    for other in ["http://localhost:3000", "http://localhost", "https://localhost:8419", "http://127.0.0.1:8419"] {
        browser.post_from("/backups", "set=app", &format!("Origin: {other}\r\n"), &token).is(403);
    }
    // It sets a cookie of its own before ours, which the browser sends to both ports.
    let planted = format!("heirloom-8419=0; heirloom={}", "0".repeat(64));
    let headers = format!("Host: localhost:8419\r\nCookie: {planted}\r\n");
    request(&server, "GET", "/", &headers, "").is(303);
    // A session that is valid at this server stands for nothing under the name of another port.
    let secret = browser.cookie.split_once('=').unwrap().1;
    let headers = format!("Host: localhost:8419\r\nCookie: heirloom-3000={secret}\r\n");
    request(&server, "GET", "/", &headers, "").is(303);
    assert_eq!(world.archives(), [""; 0]);
}

/// Writes an archive with other metadata than it was made with; what is in it still fits. The metadata is in a member
/// of gzip of its own, in stored blocks, with its length in front.
const REWRITE: &str = r#"
import gzip, json, struct, sys, tarfile, zlib
source, target, change = sys.argv[1:]
whole = open(source, "rb").read()
length = struct.unpack("<I", whole[16:20])[0]
head = gzip.decompress(whole[:length])
metadata = json.loads(head[512:].rstrip(b"\0 "))
exec(change)
def member(metadata):
    content = json.dumps(metadata, ensure_ascii=False).encode()
    content = content.ljust((max(len(content), len(head) - 513) + 512) // 512 * 512 - 1) + b"\n"
    entry = tarfile.TarInfo("backup_metadata.json")
    entry.size = len(content)
    plain = entry.tobuf(tarfile.USTAR_FORMAT) + content
    stored = b""
    for at in range(0, len(plain), 65535):
        block = plain[at:at + 65535]
        stored += struct.pack("<BHH", at + len(block) == len(plain), len(block), len(block) ^ 65535) + block
    return whole[:16] + struct.pack("<I", 28 + len(stored)) + stored + struct.pack("<II", zlib.crc32(plain), len(plain))
if isinstance(metadata, dict):
    for database in metadata["databases"]:
        database["offset"] += len(member(metadata)) - length
open(target, "wb").write(member(metadata) + whole[length:])
"#;

const MARKUP: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>";

#[test]
fn hostile_archives_are_listed_shown_and_downloaded_as_text() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let honest = newest(&world);
    fs::write(world.path("rewrite.py"), REWRITE).unwrap();
    let write = |name: &str, change: &str| {
        let mut command = std::process::Command::new("python3");
        command.arg(world.path("rewrite.py")).arg(world.path(format!("backups/{honest}")));
        assert!(command.arg(world.path(format!("backups/{name}"))).arg(change).status().unwrap().success(), "{name}");
    };
    let markup = format!("{MARKUP}\\r\\nSet-Cookie: stolen=1");
    let hostile = [
        ("note_20260301T040000Z.tar.gz", format!("metadata['note'] = '{markup}'")),
        ("host_20260301T040001Z.tar.gz", format!("metadata['host'] = metadata['version'] = '{markup}'")),
        ("set_20260301T040002Z.tar.gz", format!("metadata['set'] = '{markup}'")),
        ("name_20260301T040002Z.tar.gz", format!("metadata['backup_name'] = '{markup}'")),
        ("huge_20260301T040003Z.tar.gz", "metadata['note'] = '<b>' * 1000000".to_owned()),
        ("table_20260301T040003Z.tar.gz", format!("metadata['databases'][0]['tables'][0]['name'] = '{markup}'")),
        ("place_20260301T040003Z.tar.gz", format!("metadata['databases'][0]['source'] = '{markup}'")),
        ("deep_20260301T040004Z.tar.gz", "metadata['more'] = eval('[' * 80 + ']' * 80)".to_owned()),
        ("list_20260301T040005Z.tar.gz", "metadata = [metadata]".to_owned()),
        ("x\"><img src=x onerror=alert(2)>_20260301T040006Z.tar.gz", "pass".to_owned()),
        ("ä;%0d%0aSet-Cookie: stolen=1_20260301T040007Z.tar.gz", "pass".to_owned()),
    ];
    for (name, change) in &hostile {
        write(name, change);
    }
    // A name with a line break is no name of an archive.
    let broken = "x\r\nSet-Cookie: stolen=1\r\n_20260301T040008Z.tar.gz";
    write(broken, "pass");
    for honest in ["note", "name", "huge", "place"] {
        let name = hostile.iter().map(|(name, _)| name).find(|name| name.starts_with(honest)).unwrap();
        world.heirloom(["verify", "--config", "h.toml", name]).success();
    }
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    let encoded = |name: &str| name.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let mut paths: Vec<String> = ["/", "/backups", "/log", "/rotate"].map(str::to_owned).into();
    for (name, _) in &hostile {
        paths.extend(["", "/restore", "/delete"].map(|tail| format!("/backups/{}{tail}", encoded(name))));
    }
    for path in &paths {
        let answer = browser.planned(browser.get(path));
        assert!([200, 400, 404, 409, 422].contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
        let page = answer.text();
        assert!(!page.contains("<script>") && !page.contains("<img") && !page.contains("<b>"), "{path}: {page}");
        assert!(answer.header("set-cookie").is_none(), "{path}: {}", answer.headers);
        assert!(answer.body.len() < 1 << 20, "{path}: {} bytes", answer.body.len());
    }
    let listed = server.get("/api/v1/backups").is(200).text();
    assert!(listed.contains("onerror=alert(2)>_2026") && !listed.contains("040008Z"), "{listed}");
    for (name, _) in &hostile {
        let loaded = server.get(&format!("/api/v1/backups/{}/download", encoded(name))).is(200);
        assert_eq!(loaded.body, fs::read(world.path(format!("backups/{name}"))).unwrap(), "{name}");
        assert!(loaded.header("set-cookie").is_none(), "{}", loaded.headers);
        let disposition = loaded.header("content-disposition").unwrap();
        assert!(disposition.starts_with("attachment; filename=\"") && disposition.is_ascii(), "{disposition}");
        assert_eq!(disposition.matches('"').count(), 2, "{disposition}");
        assert_eq!(disposition.contains("; filename*=UTF-8''"), name.contains(['"', '%']), "{disposition}");
    }
    server.get(&format!("/api/v1/backups/{}/download", encoded(broken))).is(404);
    let umlaut = server.get(&format!("/api/v1/backups/{}/download", encoded(hostile[hostile.len() - 1].0))).is(200);
    let disposition = umlaut.header("content-disposition").unwrap();
    assert!(
        disposition.ends_with("filename*=UTF-8''%C3%A4%3B%250d%250aSet-Cookie%3A%20stolen%3D1_20260301T040007Z.tar.gz")
    );
}

#[test]
fn a_link_in_the_store_is_not_followed() {
    let world = world("");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    fs::write(world.path("secret"), "the secret of the server's user").unwrap();
    let honest = newest(&world);
    fs::rename(world.path(format!("backups/{honest}")), world.path("moved.tar.gz")).unwrap();
    symlink(world.path("secret"), world.path("backups/link_20260301T050000Z.tar.gz")).unwrap();
    symlink(world.path("moved.tar.gz"), world.path(format!("backups/{honest}"))).unwrap();
    symlink(world.work(), world.path("backups/folder_20260301T050000Z.tar.gz")).unwrap();
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    for name in ["link_20260301T050000Z.tar.gz", "folder_20260301T050000Z.tar.gz", &honest] {
        for path in
            [format!("/backups/{name}"), format!("/backups/{name}/download"), format!("/backups/{name}/restore")]
        {
            let answer = browser.get(&path);
            assert!(answer.status >= 400, "{path}: {} {}", answer.status, answer.text());
            assert!(!answer.text().contains("the secret"), "{path}");
        }
        let answer = server.get(&format!("/api/v1/backups/{name}/download"));
        assert!(answer.status >= 400 && !answer.text().contains("the secret"), "{}", answer.text());
    }
    assert_eq!(server.get("/api/v1/backups").is(200).json()["archives"], serde_json::json!([]));
}

#[test]
fn a_hostile_schema_does_nothing_when_it_is_looked_at() {
    let world = world("");
    world.sql(
        "app.db",
        &format!(
            "CREATE TABLE trap(x);
             CREATE VIEW forever AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n;
             CREATE VIEW broken AS SELECT no_such_function(x) FROM no_such_table;
             CREATE TRIGGER acts AFTER DELETE ON notes BEGIN DELETE FROM notes; INSERT INTO trap VALUES(1); END;
             CREATE TABLE computed(a, b AS (abs(a)) VIRTUAL);
             INSERT INTO computed(a) VALUES(-1);
             CREATE TABLE \"{MARKUP}\"(\"{MARKUP}\" TEXT DEFAULT '{MARKUP}');
             CREATE INDEX \"{MARKUP} by\" ON \"{MARKUP}\"(\"{MARKUP}\");"
        ),
    );
    let server = Server::start(&world);
    let browser = Browser::enter(&server, "localhost", ADMIN);
    browser.job(browser.post("/backups", "set=app"));
    let name = newest(&world);
    world.sql("app.db", "ALTER TABLE trap ADD COLUMN y");
    let path = format!("/backups/{name}");
    let mut pages = ["/", "/backups", &path, &format!("{path}/restore"), "/log"]
        .map(|path| browser.get(path).is(200))
        .into_iter()
        .collect::<Vec<_>>();
    pages.push(browser.planned(browser.post(&format!("{path}/restore/plan"), "databases=app")).is(200));
    for page in pages {
        assert!(!page.text().contains("<img") && !page.text().contains("<script>"), "{}", page.text());
    }
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM trap"), "0");
    assert_eq!(world.ask("app.db", "SELECT count(*) FROM notes"), "100");
}
