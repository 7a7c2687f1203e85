//! `DATABASE_URL`: the path of the SQLite file that the application's URL names.
//!
//! Such a URL may carry a password. No message here repeats any part of it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

const NOT_SQLITE: &str = "is not a SQLite URL (sqlite:///relative.db or sqlite:////absolute.db)";
const IN_MEMORY: &str = "is an in-memory database; there is no file to back up";
const FILE_WITH_HOST: &str =
    "has a host in front of its path; an absolute path takes three slashes (file:///app/app.db)";
const WITH_HOST: &str = "has a host or a user in front of its path, which a SQLite URL does not have";

/// Returns the path that a URL names, as SQLAlchemy and others read it, or why it names none.
///
/// `sqlite:///app.db` and `sqlite:///../app.db` are relative, `sqlite:////app/app.db` is absolute; `sqlite+aiosqlite:`
/// and other drivers are the same. Also `sqlite:app.db` and `sqlite://app.db` as of sqlx, and `file:app.db` as of
/// SQLite itself. Percent escapes are decoded; what follows a `?` or `#` is dropped.
pub fn database_path(url: &str) -> Result<PathBuf, &'static str> {
    let (scheme, rest) = url.trim().split_once(':').ok_or(NOT_SQLITE)?;
    let scheme = scheme.to_ascii_lowercase();
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if query.split('&').any(|option| option.eq_ignore_ascii_case("mode=memory")) {
        return Err(IN_MEMORY);
    }
    let path = match scheme.split('+').next() {
        Some("sqlite" | "sqlite3") => {
            let path = sqlite(rest)?;
            // SQLAlchemy's way to pass on a URI of SQLite: `sqlite:///file:app.db?uri=true`.
            match path.strip_prefix("file:") {
                Some(uri)
                    if query.split('&').any(|option| option.eq_ignore_ascii_case("uri=true") || option == "uri=1") =>
                {
                    file(uri)?
                }
                _ => path,
            }
        }
        Some("file") if scheme == "file" => file(rest)?,
        _ => return Err(NOT_SQLITE),
    };
    if matches!(path, "" | "/" | ":memory:") {
        return Err(IN_MEMORY);
    }
    let bytes = decoded(path).ok_or("has a percent sign that is not followed by two hexadecimal digits")?;
    if bytes == b":memory:" {
        return Err(IN_MEMORY);
    }
    if bytes.contains(&0) {
        return Err("has a zero byte in its path");
    }
    Ok(OsString::from_vec(bytes).into())
}

/// What follows `sqlite:`.
fn sqlite(rest: &str) -> Result<&str, &'static str> {
    let Some(rest) = rest.strip_prefix("//") else { return Ok(rest) };
    let path = match rest.strip_prefix('/') {
        Some(path) => return Ok(path),
        None => rest,
    };
    // A user, a password or a port can only stand before the first slash.
    let host = path.split('/').next().unwrap_or_default();
    if host != ":memory:" && host.contains(['@', ':']) { Err(WITH_HOST) } else { Ok(path) }
}

/// What follows `file:` (<https://www.sqlite.org/uri.html>): `app.db`, `/app.db`, `///app.db`, `//localhost/app.db`.
fn file(rest: &str) -> Result<&str, &'static str> {
    let Some(rest) = rest.strip_prefix("//") else { return Ok(rest) };
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if path.starts_with('/') { Ok(path) } else { Err(FILE_WITH_HOST) }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok())
    };
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { digit(bytes.next())? << 4 | digit(bytes.next())? } else { byte });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_mean_the_files_that_their_applications_open() {
        for (url, path) in [
            ("sqlite:///app.db", "app.db"),
            ("sqlite:///./data/app.db", "./data/app.db"),
            ("sqlite:///../app.db", "../app.db"),
            ("sqlite:////app/data/app.db", "/app/data/app.db"),
            ("sqlite+aiosqlite:///app.db", "app.db"),
            ("sqlite+pysqlite:////app/app.db?timeout=5&x=%zz", "/app/app.db"),
            ("SQLite3:///app.db", "app.db"),
            ("sqlite:app.db", "app.db"),
            ("sqlite://app.db?mode=rwc", "app.db"),
            ("sqlite://data/app.db", "data/app.db"),
            ("sqlite:///my%20app%3F.db", "my app?.db"),
            ("sqlite:///user@host.db", "user@host.db"),
            ("sqlite:///file:app.db?mode=ro&uri=true", "app.db"),
            ("sqlite:///file:app.db", "file:app.db"),
            ("file:./dev.db", "./dev.db"),
            ("file:///app/dev.db?mode=ro", "/app/dev.db"),
            (" sqlite:///app.db\n", "app.db"),
        ] {
            assert_eq!(database_path(url).as_deref(), Ok(std::path::Path::new(path)), "{url}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused_and_no_secret_is_repeated() {
        for (url, why) in [
            ("sqlite://", IN_MEMORY),
            ("sqlite:///", IN_MEMORY),
            ("sqlite:///:memory:", IN_MEMORY),
            ("sqlite::memory:", IN_MEMORY),
            ("sqlite://:memory:", IN_MEMORY),
            ("sqlite:///%3Amemory%3A", IN_MEMORY),
            ("sqlite:///file:x?mode=memory&uri=true", IN_MEMORY),
            ("sqlite:////", IN_MEMORY),
            ("postgres://app:hunter2@db/app", NOT_SQLITE),
            ("mysql+pymysql://app:hunter2@db/app", NOT_SQLITE),
            ("filex:app.db", NOT_SQLITE),
            ("file+x:app.db", NOT_SQLITE),
            ("app.db", NOT_SQLITE),
            ("", NOT_SQLITE),
            ("sqlite://app:hunter2@host/app.db", WITH_HOST),
            ("sqlite+pysqlcipher://:hunter2@/app.db", WITH_HOST),
            ("file://host/app.db", FILE_WITH_HOST),
        ] {
            assert_eq!(database_path(url), Err(why), "{url}");
        }
        for url in ["sqlite:///a%zz.db", "sqlite:///a%2", "sqlite:///a%", "sqlite:///a%00b"] {
            let why = database_path(url).unwrap_err();
            assert!(why.starts_with("has a"), "{url}: {why}");
        }
    }

    #[test]
    fn escapes_may_stand_for_bytes_that_are_no_utf_8() {
        let path = database_path("sqlite:///%ff.db").unwrap();
        assert_eq!(path.as_os_str().as_encoded_bytes(), b"\xff.db");
    }
}
