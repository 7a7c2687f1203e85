//! `connect:`: the pin on Posit Connect that the variables of its own tools name.
//!
//! `CONNECT_SERVER` and `CONNECT_USERNAME` complete the URL; `connect:NAME` names another pin of the same user. The
//! defaults are those of the tool that this one replaces, so that its pin goes on as the store.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::store_url::{Service, StoreUrl};

/// What the short form begins with. `connect://SERVER/USER/NAME` is the long form, which no variable changes.
const START: &str = "connect:";
/// The variable with the address of the server.
const SERVER: &str = "CONNECT_SERVER";
/// The variable with the user whose pin it is.
const USERNAME: &str = "CONNECT_USERNAME";
const DEFAULT_SERVER: &str = "https://connect.posit.it";
const DEFAULT_USER: &str = "default_user";
const DEFAULT_PIN: &str = "python-api-database";

/// Completes the short form of the URL of a pin; `None` if the text is not one. With the variables that were used.
pub(super) fn completed(
    text: &str,
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Option<Result<(StoreUrl, Vec<String>), String>> {
    let name = match text.strip_prefix(START)? {
        "" | "//" => DEFAULT_PIN,
        name if name.starts_with('/') => return None,
        name => name,
    };
    Some(complete(name, lookup))
}

fn complete(name: &str, lookup: impl Fn(&str) -> Option<OsString>) -> Result<(StoreUrl, Vec<String>), String> {
    let mut used = Vec::new();
    let mut value = |variable: &str, default: &str| match lookup(variable).filter(|value| !value.is_empty()) {
        Some(value) => {
            used.push(variable.to_owned());
            value.into_string().map_err(|_| format!("{variable} is not UTF-8"))
        }
        None => Ok(default.to_owned()),
    };
    let (place, endpoint) = server(value(SERVER, DEFAULT_SERVER)?.trim())
        .ok_or_else(|| format!("{SERVER} must be the address of a server, such as {DEFAULT_SERVER}"))?;
    let user = value(USERNAME, DEFAULT_USER)?.trim().to_owned();
    if !is_part(&user) {
        return Err(format!("{USERNAME} must be the name of a user, without a slash"));
    }
    if !is_part(name) {
        return Err("must look like connect: or connect:NAME, or like connect://SERVER/USER/NAME".into());
    }
    let options = endpoint.map(|endpoint| ("endpoint".to_owned(), endpoint)).into_iter().collect::<BTreeMap<_, _>>();
    let url = StoreUrl { service: Service::Connect, place, prefix: format!("{user}/{name}"), options };
    // Whatever else a URL must not have.
    StoreUrl::parse(&url.text()).unwrap_or_else(|| Err("is not the URL of a pin".into())).map(|url| (url, used))
}

/// Returns whether a text is one part of the path of a URL.
fn is_part(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '?', '#', '\\']) && !matches!(text, "." | "..")
}

/// Returns the host of a server, and its whole address unless that follows from the host. A password in it is refused:
/// it would be shown with the URL.
fn server(address: &str) -> Option<(String, Option<String>)> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let rest = rest.trim_end_matches('/');
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    let is_address = matches!(scheme, "https" | "http") && !rest.contains(['@', '?', '#', '\\', ' ']);
    let follows = scheme == "https" && host == rest;
    is_address.then(|| (host.to_owned(), (!follows).then(|| format!("{scheme}://{rest}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, server: &str, user: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            SERVER => Some(server.into()),
            USERNAME => Some(user.into()),
            _ => None,
        };
        completed(text, lookup).unwrap().map(|(url, _)| url.text())
    }

    #[test]
    fn the_variables_complete_the_url() {
        for (text, server, user, expected) in [
            ("connect:", "", "", "connect://connect.posit.it/default_user/python-api-database"),
            ("connect://", "", "", "connect://connect.posit.it/default_user/python-api-database"),
            ("connect:", "", "ada", "connect://connect.posit.it/ada/python-api-database"),
            ("connect:shop", "https://c.example/", "ada", "connect://c.example/ada/shop"),
            ("connect:shop", "c.example:3939", "ada", "connect://c.example:3939/ada/shop"),
            (
                "connect:",
                "https://c.example/rsc/",
                " ada\n",
                "connect://c.example/ada/python-api-database?endpoint=https://c.example/rsc",
            ),
            (
                "connect:",
                "http://127.0.0.1:3939",
                "ada",
                "connect://127.0.0.1:3939/ada/python-api-database?endpoint=http://127.0.0.1:3939",
            ),
        ] {
            assert_eq!(of(text, server, user).as_deref(), Ok(expected), "{text} {server} {user}");
        }
        let (_, used) = completed("connect:", |name| (name == SERVER).then(|| "c.example".into())).unwrap().unwrap();
        assert_eq!(used, [SERVER]);
    }

    #[test]
    fn what_is_no_address_names_the_variable_and_never_its_value() {
        for server in
            ["ftp://hunter2", "https://", "https://ada:hunter2@c.example", "c.example/?key=hunter2", "/hunter2"]
        {
            let error = of("connect:", server, "ada").unwrap_err();
            assert!(error.starts_with(SERVER) && !error.contains("hunter2"), "{error}");
        }
        for user in ["a/b", "..", "a?b"] {
            assert!(of("connect:", "", user).unwrap_err().starts_with(USERNAME), "{user}");
        }
        for text in ["connect:a/b", "connect:..", "connect:a?endpoint=http://x"] {
            assert!(of(text, "", "").is_err(), "{text}");
        }
        for long in ["connect://server/user/name", "connect:///", "connect", "s3://b", "a/connect:"] {
            assert!(completed(long, |_| None).is_none(), "{long}");
        }
    }
}
