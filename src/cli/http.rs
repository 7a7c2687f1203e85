//! HTTP health check: one GET over plain HTTP, of which only the status counts.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::names::printable;

/// The longest status line that is read, in bytes.
const MAX_STATUS_BYTES: u64 = 1024;

/// The URL of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    authority: String,
    port: u16,
    path: String,
}

impl Url {
    /// Reads `http://host[:port][/path]`.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |hint: &str| Failure::usage(format!("\"{}\" is not a usable health URL", printable(text)), hint);
        if text.starts_with("https:") {
            return Err(wrong("for https use --health-command 'curl --fail URL'"));
        }
        let rest = text.strip_prefix("http://").ok_or_else(|| wrong("write http://host:port/path"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) if rest[at..].starts_with('/') => (&rest[..at], rest[at..].to_owned()),
            Some(at) => (&rest[..at], format!("/{}", &rest[at..])),
            None => (rest, "/".to_owned()),
        };
        if text.chars().any(|char| char.is_whitespace() || char.is_control())
            || authority.is_empty()
            || authority.contains('@')
        {
            return Err(wrong("write http://host:port/path, without user and password"));
        }
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| wrong("the port is not a number"))?,
            _ => 80,
        };
        Ok(Self { authority: authority.to_owned(), port, path })
    }

    fn host(&self) -> &str {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.authority,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Sends the request. Fails with the reason unless a status from 200 to 399 arrives within `timeout`.
    pub(super) fn ask(&self, timeout: Duration) -> Result<(), String> {
        let status = self.status(timeout).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("no answer within {timeout:?}"),
            _ => error.to_string(),
        })?;
        let code = status
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|code| code.parse::<u16>().ok());
        match code {
            Some(200..=399) => Ok(()),
            Some(code) => Err(format!("status {code}")),
            None => Err("the answer is not HTTP".into()),
        }
    }

    fn status(&self, timeout: Duration) -> io::Result<String> {
        let started = Instant::now();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (self.host(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => return self.request(stream, started, timeout),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn request(&self, mut stream: TcpStream, started: Instant, timeout: Duration) -> io::Result<String> {
        let left = timeout.saturating_sub(started.elapsed()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        stream.set_write_timeout(Some(left))?;
        let version = env!("CARGO_PKG_VERSION");
        let (path, host) = (&self.path, &self.authority);
        // In one write: some servers answer after the first packet, whatever it contains.
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: heirloom/{version}\r\nAccept: */*\r\nConnection: \
             close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut line = Vec::new();
        BufReader::new(stream.take(MAX_STATUS_BYTES)).read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, host, port, path) in [
            ("http://localhost", "localhost", 80, "/"),
            ("http://localhost:8080/health?full=1#top", "localhost", 8080, "/health?full=1"),
            ("http://[::1]:81?x", "::1", 81, "/?x"),
            ("http://[::1]/", "::1", 80, "/"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port, url.path.as_str()), (host, port, path), "{text}");
        }
        for text in [
            "https://localhost",
            "ftp://x",
            "localhost:80",
            "http://",
            "http://a:b@c/",
            "http://a:port/",
            "http://a/b c",
            "http://a/\r\nX: y",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
