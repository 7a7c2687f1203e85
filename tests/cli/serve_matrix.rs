//! Every route of `heirloom serve` by every way to sign in: 401, 403 or the way to the sign-in form, or let in.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::serve_page::{Browser, request};
use crate::serve_world::{ADMIN, Server, VIEWER, world};

const OPENAPI: &str = include_str!("../../src/server/openapi.json");
/// The routes that no document lists are read from the source, so that a new one is in the table at once.
const PAGE: [&str; 2] = [include_str!("../../src/server/site.rs"), include_str!("../../src/server/confirm.rs")];
const LEGACY: &str = include_str!("../../src/server/legacy.rs");

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Nothing.
    Open,
    /// A token.
    Metrics,
    /// A token or, with a look alone, a session.
    Look,
    /// The token of an administrator.
    Admin,
    /// A session.
    View,
    /// The session of an administrator.
    AdminView,
    /// The session of an administrator, and a form of it.
    Form,
    /// A session, and a form of it.
    AnyForm,
    /// A form of this server with a token in it.
    SignIn,
}

/// How somebody signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Nobody,
    WrongBearer,
    ViewerBearer,
    AdminBearer,
    ViewerCookie,
    AdminCookie,
    ForeignOrigin,
    NoFormToken,
}

const WAYS: [Way; 8] = [
    Way::Nobody,
    Way::WrongBearer,
    Way::ViewerBearer,
    Way::AdminBearer,
    Way::ViewerCookie,
    Way::AdminCookie,
    Way::ForeignOrigin,
    Way::NoFormToken,
];

/// Returns the status of a refusal, or `None` if the request must get in.
fn refusal(kind: Kind, way: Way) -> Option<u16> {
    let has_cookie = matches!(way, Way::ViewerCookie | Way::AdminCookie | Way::ForeignOrigin | Way::NoFormToken);
    match kind {
        Kind::Open => None,
        Kind::Metrics => (!matches!(way, Way::ViewerBearer | Way::AdminBearer)).then_some(401),
        Kind::Look => matches!(way, Way::Nobody | Way::WrongBearer).then_some(401),
        Kind::Admin => match way {
            Way::AdminBearer => None,
            Way::ViewerBearer => Some(403),
            _ => Some(401),
        },
        Kind::SignIn => match way {
            // It has no token in it.
            Way::ViewerCookie | Way::AdminCookie | Way::NoFormToken => Some(401),
            _ => Some(403),
        },
        // The page knows sessions alone: everybody else is sent to the sign-in form.
        _ if !has_cookie => Some(303),
        Kind::View => None,
        Kind::AdminView => (way == Way::ViewerCookie).then_some(403),
        Kind::Form | Kind::AnyForm => match way {
            Way::AdminCookie => None,
            Way::ViewerCookie if kind == Kind::AnyForm => None,
            _ => Some(403),
        },
    }
}

/// The routes in a source: method and path.
fn routes_of(source: &str) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for route in source.split(".route(\"").skip(1) {
        let (path, handlers) = route.split_once("\", ").unwrap();
        let handlers = handlers.lines().next().unwrap();
        for (method, word) in [("GET", "get("), ("POST", "post("), ("PUT", "put("), ("DELETE", "delete(")] {
            if handlers.starts_with(word) || handlers.contains(&format!(".{word}")) {
                all.push((method, path.to_owned()));
            }
        }
    }
    all
}

fn routes() -> Vec<(&'static str, String, Kind)> {
    let mut all = vec![
        ("GET", "/metrics".to_owned(), Kind::Metrics),
        ("GET", "/livez".to_owned(), Kind::Open),
        ("GET", "/readyz".to_owned(), Kind::Open),
    ];
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = ["GET", "POST", "PUT", "DELETE"].into_iter().find(|one| method.eq_ignore_ascii_case(one));
            let kind = if operation["x-role"] == "admin" { Kind::Admin } else { Kind::Look };
            all.push((method.unwrap(), path.clone(), kind));
        }
    }
    for (method, path) in routes_of(LEGACY) {
        let kind = if method == "GET" && !path.ends_with("/download") { Kind::Look } else { Kind::Admin };
        all.push((method, path, kind));
    }
    for (method, path) in PAGE.into_iter().flat_map(routes_of) {
        let kind = match (method, path.as_str()) {
            ("GET", "/sign-in" | "/favicon.ico" | "/assets/style.css" | "/assets/script.js") => Kind::Open,
            ("POST", "/sign-in") => Kind::SignIn,
            ("POST", "/sign-out") => Kind::AnyForm,
            ("GET", "/backups/{name}/download" | "/backups/{name}/delete" | "/rotate" | "/undo") => Kind::AdminView,
            ("GET", _) => Kind::View,
            _ => Kind::Form,
        };
        all.push((method, path, kind));
    }
    all
}

#[test]
fn every_route_is_refused_or_allowed_as_the_way_to_sign_in_says() {
    let world = world("legacy_paths = true");
    world.heirloom(["backup", "--config", "h.toml"]).success();
    let server = Server::start(&world);
    // The cookie, and the token of its forms.
    let enter = |token| {
        let browser = Browser::enter(&server, "localhost:8419", token);
        (browser.cookie.clone(), browser.form_token())
    };
    let sessions = [VIEWER, ADMIN].map(enter);
    let all = routes();
    assert!(all.len() > 50, "{all:?}");
    let mut figures: BTreeMap<Way, (u32, u32)> = BTreeMap::new();
    for (method, path, kind) in &all {
        // Nothing has this name: what gets in changes nothing that another row needs.
        let path = path.replace("{name}", "app_20200101T000000Z.tar.gz").replace("{id}", "0123");
        for way in WAYS {
            // A sign-out ends its session: it gets one of its own.
            let others = (*kind == Kind::AnyForm).then(|| [VIEWER, ADMIN].map(enter));
            let [viewer, admin] = others.as_ref().unwrap_or(&sessions);
            let own = "Origin: http://localhost:8419\r\n";
            let (headers, form_token) = match way {
                Way::Nobody => (String::new(), ""),
                Way::WrongBearer => ("Authorization: Bearer heirloom_guess\r\n".into(), ""),
                Way::ViewerBearer => (format!("Authorization: Bearer {VIEWER}\r\n"), ""),
                Way::AdminBearer => (format!("Authorization: Bearer {ADMIN}\r\n"), ""),
                Way::ViewerCookie => (format!("{own}Cookie: {}\r\n", viewer.0), viewer.1.as_str()),
                Way::AdminCookie => (format!("{own}Cookie: {}\r\n", admin.0), admin.1.as_str()),
                Way::ForeignOrigin => {
                    (format!("Origin: http://localhost:3000\r\nCookie: {}\r\n", admin.0), admin.1.as_str())
                }
                Way::NoFormToken => (format!("{own}Cookie: {}\r\n", admin.0), ""),
            };
            let is_form = matches!(kind, Kind::Form | Kind::AnyForm | Kind::SignIn);
            let body = if is_form { format!("form_token={form_token}") } else { String::new() };
            let answer = request(&server, method, &path, &format!("Host: localhost:8419\r\n{headers}"), &body);
            let what = format!("{method} {path} by {way:?}: {}\n{}", answer.headers, answer.text());
            let place = answer.header("location").unwrap_or_default();
            let counts = figures.entry(way).or_default();
            match refusal(*kind, way) {
                Some(303) => assert!(answer.status == 303 && place == "/sign-in", "{what}"),
                Some(status) => assert_eq!(answer.status, status, "{what}"),
                None => {
                    let is_sent_away = place == "/sign-in" && *kind != Kind::AnyForm;
                    assert!(![401, 403, 405, 500].contains(&answer.status) && !is_sent_away, "{what}");
                }
            }
            match refusal(*kind, way) {
                Some(_) => counts.0 += 1,
                None => counts.1 += 1,
            }
        }
    }
    let refused: u32 = figures.values().map(|(refused, _)| refused).sum();
    let allowed: u32 = figures.values().map(|(_, allowed)| allowed).sum();
    assert_eq!((refused + allowed) as usize, all.len() * WAYS.len());
    eprintln!("{} routes, {} combinations: {refused} refused, {allowed} let in", all.len(), refused + allowed);
    for (way, (refused, allowed)) in figures {
        eprintln!("  {way:?}: {refused} refused, {allowed} let in");
    }
}
