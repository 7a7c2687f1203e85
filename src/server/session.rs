//! Sessions of the page: a token is given once, and a cookie stands for it until it ends.
//!
//! Only in memory, and only as digests: who reads the memory or the log of this process gets no cookie that works.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};

use crate::config::{Role, ServerSettings};
use crate::digest::Sha256;
use crate::platform;
use crate::serving::Token;

/// How long a session lasts.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// How long a session lasts without a request.
const IDLE: Duration = Duration::from_secs(3600);
/// How many sessions there are; the one that was idle longest makes room.
const MOST: usize = 1000;

/// Where browsers reach this server, and who has signed in.
#[derive(Debug)]
pub(super) struct Sessions {
    /// The prefix of all links.
    pub(super) base: String,
    /// Scheme, host and port; unset, those of the request, if they are of this machine.
    origin: Option<String>,
    all: Mutex<HashMap<Sha256, Session>>,
}

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// The name of the token.
    pub(super) name: String,
    pub(super) role: Role,
    /// The digest of the token.
    token: Option<Sha256>,
    /// What every form must send back.
    pub(super) form_token: String,
    begun: Instant,
    used: Instant,
}

impl Sessions {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let url = settings.public_url.as_deref();
        let (scheme, rest) = url.and_then(|url| url.split_once("://")).unwrap_or_default();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let base = if path.is_empty() { String::new() } else { format!("/{path}") };
        let origin = url.map(|_| format!("{scheme}://{}", without_default_port(scheme, host)).to_ascii_lowercase());
        Self { base, origin, all: Mutex::default() }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Sha256, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_secure(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.starts_with("https://"))
    }

    /// Returns whether browsers take the page for a secure context: over TLS, or from this machine.
    pub(super) fn is_secure_context(&self) -> bool {
        let host = self.origin.as_deref().and_then(|origin| origin.strip_prefix("http://"));
        host.is_none_or(is_loopback)
    }

    /// The prefix `__Host-` keeps other hosts of the same domain from setting it. Cookies ignore ports, and that prefix
    /// wants the path `/`: port and path are in the name, so that two servers on one host have one each.
    fn cookie_name(&self, headers: &HeaderMap) -> String {
        let own = self.origin.as_deref().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        let host = own.or_else(|| headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
        let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        let place = format!("{}{}", port.map(|port| format!("-{port}")).unwrap_or_default(), self.base);
        let place = place.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-");
        format!("{}heirloom{place}", if self.is_secure() { "__Host-" } else { "" })
    }

    fn cookie(&self, headers: &HeaderMap, value: &str, more: &str) -> HeaderValue {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}", self.cookie_name(headers));
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Begins a session, and returns its cookie. `token` is the digest of the token that was given, if it was one.
    pub(super) fn begin(
        &self,
        headers: &HeaderMap,
        name: &str,
        role: Role,
        token: Option<Sha256>,
    ) -> std::io::Result<HeaderValue> {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (secret, form_token) = (hex(platform::random_bytes()?), hex(platform::random_bytes()?));
        let now = Instant::now();
        let session = Session { name: name.to_owned(), role, token, form_token, begun: now, used: now };
        let mut all = self.all();
        all.retain(|_, session| session.is_alive());
        if all.len() >= MOST {
            let idle = all.iter().min_by_key(|(_, session)| session.used).map(|(digest, _)| *digest);
            idle.map(|digest| all.remove(&digest));
        }
        all.insert(Sha256::of(secret.as_bytes()), session);
        Ok(self.cookie(headers, &secret, ""))
    }

    /// Returns the session of a request, and renews it.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<Session> {
        let digest = self.digest(headers)?;
        let mut all = self.all();
        let session = all.get_mut(&digest).filter(|session| session.is_alive())?;
        session.used = Instant::now();
        Some(session.clone())
    }

    /// Ends the sessions of tokens that are not among these, or have another name or role there. Those of the one-time
    /// code, which stands in for a token, end with the first token.
    pub(super) fn keep(&self, tokens: &[Token]) {
        let has_begun = |session: &Session, token: &Token| {
            session.token == Some(token.digest) && session.role == token.role && session.name == token.name.as_str()
        };
        self.all().retain(|_, session| match session.token {
            None => tokens.is_empty(),
            Some(_) => tokens.iter().any(|token| has_begun(session, token)),
        });
    }

    /// Ends the session of a request, and returns the cookie that takes the old one away.
    pub(super) fn end(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(digest) = self.digest(headers) {
            self.all().remove(&digest);
        }
        self.cookie(headers, "", "; Max-Age=0")
    }

    fn digest(&self, headers: &HeaderMap) -> Option<Sha256> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let own = self.cookie_name(headers);
        let (_, secret) = pairs.find(|(name, _)| *name == own)?;
        Some(Sha256::of(secret.as_bytes()))
    }

    /// Returns whether a request names this server. A name of somebody else that was made to resolve to this machine
    /// must not see what a browser shows its user.
    pub(super) fn is_for_us(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
        let host = host.to_ascii_lowercase();
        match &self.origin {
            // A proxy may name the port that browsers leave out.
            Some(origin) => {
                origin.split_once("://").is_some_and(|(scheme, own)| own == without_default_port(scheme, &host))
            }
            None => is_loopback(&host),
        }
    }

    /// Returns whether a form comes from a page of this server: browsers say so. Plain HTTP on a name that is not
    /// localhost has no `Sec-Fetch-Site`.
    pub(super) fn is_from_us(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(site) = text("sec-fetch-site") {
            return site == "same-origin";
        }
        let Some(origin) = text("origin") else { return false };
        match (&self.origin, text("host")) {
            (Some(own), _) => origin.eq_ignore_ascii_case(own),
            (None, Some(host)) => origin.eq_ignore_ascii_case(&format!("http://{host}")),
            (None, None) => false,
        }
    }
}

/// Leaves out the port that the scheme implies, as browsers do.
fn without_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    host.strip_suffix(port).unwrap_or(host)
}

/// Returns whether a host, perhaps with a port, is a name of this machine.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    ["localhost", "127.0.0.1", "[::1]"].contains(&name.map_or(host, |(name, _)| name))
}

impl Session {
    fn is_alive(&self) -> bool {
        self.begun.elapsed() < LIFE && self.used.elapsed() < IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(url: Option<&str>) -> Sessions {
        Sessions::new(&ServerSettings { public_url: url.map(str::to_owned), ..ServerSettings::default() })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_public_url_gives_host_origin_prefix_and_cookie() {
        let own = sessions(Some("https://Backups.example/x/"));
        assert_eq!(own.base, "/x");
        assert!(own.is_for_us(&headers(&[("host", "backups.example")])));
        assert!(!own.is_for_us(&headers(&[("host", "localhost")])));
        assert!(own.is_from_us(&headers(&[("origin", "https://backups.example")])));
        for other in ["http://backups.example", "https://evil.example", "null", "https://backups.example.evil"] {
            assert!(!own.is_from_us(&headers(&[("origin", other), ("host", "backups.example")])), "{other}");
        }
        let cookie = own.begin(&HeaderMap::new(), "ops", Role::Admin, None).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(
            cookie.starts_with("__Host-heirloom-x=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure")
        );
        let pair = cookie.split(';').next().unwrap();
        let found = own.find(&headers(&[("cookie", &format!("a=b; {pair}"))])).unwrap();
        assert_eq!((found.name.as_str(), found.role), ("ops", Role::Admin));
        own.end(&headers(&[("cookie", pair)]));
        assert!(own.find(&headers(&[("cookie", pair)])).is_none());
    }

    #[test]
    fn the_port_that_a_scheme_implies_may_be_named_or_left_out() {
        for (url, origin, other) in [
            ("https://a.example:443/x/", "https://a.example", "a.example:80"),
            ("https://a.example/", "https://a.example", "a.example:8443"),
            ("http://a.example:80/", "http://a.example", "a.example:443"),
        ] {
            let own = sessions(Some(url));
            let port = if url.starts_with("https") { "443" } else { "80" };
            assert!(own.is_for_us(&headers(&[("host", "a.example")])), "{url}");
            assert!(own.is_for_us(&headers(&[("host", &format!("a.example:{port}"))])), "{url}");
            assert!(!own.is_for_us(&headers(&[("host", other)])), "{url}");
            assert!(own.is_from_us(&headers(&[("origin", origin)])), "{url}");
        }
    }

    #[test]
    fn only_tls_and_this_machine_are_secure_contexts() {
        for url in [None, Some("https://a.example/x/"), Some("http://localhost:8419/"), Some("http://[::1]/")] {
            assert!(sessions(url).is_secure_context(), "{url:?}");
        }
        for url in ["http://a.example/", "http://localhost.a.example:8419/", "http://10.0.0.1:8419/"] {
            assert!(!sessions(Some(url)).is_secure_context(), "{url}");
        }
    }

    #[test]
    fn servers_on_one_host_have_cookies_of_their_own() {
        let of = |url: Option<&str>, host| sessions(url).cookie_name(&headers(&[("host", host)]));
        assert_eq!(of(None, "localhost"), "heirloom");
        assert_eq!(of(None, "localhost:8419"), "heirloom-8419");
        assert_eq!((of(None, "[::1]:8420"), of(None, "[::1]")), ("heirloom-8420".into(), "heirloom".into()));
        assert_eq!(of(Some("https://a.example"), "other"), "__Host-heirloom");
        assert_eq!(of(Some("https://a.example:8443/x/y/"), "other"), "__Host-heirloom-8443-x-y");
    }

    #[test]
    fn without_one_only_this_machine_is_meant() {
        let own = sessions(None);
        for host in ["localhost", "localhost:8419", "127.0.0.1:8419", "[::1]:8419"] {
            assert!(own.is_for_us(&headers(&[("host", host)])), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:8419", "localhost.evil", "10.0.0.1:8419", ""] {
            assert!(!own.is_for_us(&headers(&[("host", host)])), "{host}");
        }
        assert!(!own.is_for_us(&HeaderMap::new()));
        let own_form = headers(&[("host", "localhost:8419"), ("origin", "http://localhost:8419")]);
        assert!(own.is_from_us(&own_form));
        for other in ["http://localhost:3000", "https://localhost:8419", "null"] {
            assert!(!own.is_from_us(&headers(&[("host", "localhost:8419"), ("origin", other)])), "{other}");
        }
        assert!(!own.is_from_us(&headers(&[("host", "localhost:8419")])), "a browser always says one of both");
        let of_site =
            |site| headers(&[("sec-fetch-site", site), ("host", "localhost"), ("origin", "http://localhost")]);
        assert!(own.is_from_us(&of_site("same-origin")));
        assert!(!own.is_from_us(&of_site("same-site")) && !own.is_from_us(&of_site("cross-site")));
    }
}
