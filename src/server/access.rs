//! Who may what: tokens, and the address that a request comes from.
//!
//! A token is known by its digest alone. Comparing digests tells nobody how much of a guess was right.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::App;
use super::answer::Refusal;
use super::code;
use crate::config::{Role, ServerSettings};
use crate::digest::Sha256;
use crate::serving::{Ask, Token};

/// How often a refused token is written into the log: somebody who tries many must not fill the disk.
const LOGGED_EVERY: Duration = Duration::from_secs(1);
/// How a request names the token. Posit Connect's clients use the second one.
const SCHEMES: [&str; 2] = ["bearer ", "key "];

/// The tokens, and whom to believe about addresses.
#[derive(Debug)]
pub(super) struct Guard {
    tokens: RwLock<Vec<Token>>,
    proxies: Vec<IpAddr>,
    last_refused: Mutex<Option<Instant>>,
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(super) struct Who {
    /// The name of the token and the address, for the log.
    pub(super) text: String,
}

/// The address of the other end of a connection; `None` for a Unix socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

impl Guard {
    pub(super) fn new(tokens: Vec<Token>, settings: &ServerSettings) -> Self {
        Self { tokens: RwLock::new(tokens), proxies: settings.trusted_proxy.clone(), last_refused: Mutex::default() }
    }

    /// Replaces the tokens.
    pub(super) fn replace(&self, tokens: Vec<Token>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    /// Returns the tokens.
    pub(super) fn tokens(&self) -> Vec<Token> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether there are none.
    pub(super) fn has_no_token(&self) -> bool {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn known(&self, digest: Sha256) -> Option<Token> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().find(|token| token.digest == digest).cloned()
    }

    /// Returns the token that a request names, if it names one; an error if it is not known.
    pub(super) fn token(&self, headers: &HeaderMap) -> Option<Result<Token, ()>> {
        let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let is_scheme = |scheme: &&str| {
            text.len() > scheme.len()
                && text.is_char_boundary(scheme.len())
                && text[..scheme.len()].eq_ignore_ascii_case(scheme)
        };
        let secret = SCHEMES.iter().find(|scheme| is_scheme(scheme)).map(|scheme| text[scheme.len()..].trim());
        let digest = Sha256::of(secret?.as_bytes());
        Some(self.known(digest).ok_or(()))
    }

    /// Returns the address of the client: behind a proxy that is trusted, the last one that no such proxy has.
    fn address(&self, headers: &HeaderMap, peer: Peer) -> String {
        let Some(peer) = peer.0 else { return "unix".into() };
        if !self.proxies.contains(&peer) {
            return peer.to_string();
        }
        let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        for hop in hops.iter().rev() {
            match hop.parse::<IpAddr>() {
                Ok(address) if self.proxies.contains(&address) => {}
                Ok(address) => return address.to_string(),
                Err(_) => break,
            }
        }
        peer.to_string()
    }
}

impl App {
    /// Describes somebody who has signed in.
    pub(super) fn who(&self, name: &str, parts: &Parts) -> Who {
        let peer = parts.extensions.get().copied().unwrap_or(Peer(None));
        Who { text: format!("{name} from {}", self.guard.address(&parts.headers, peer)) }
    }

    /// Returns name, role and digest of a token that was typed in, or redeems the one-time code, which counts only
    /// while no token is configured.
    pub(super) fn known(&self, secret: &str, parts: &Parts) -> Option<(String, Role, Option<Sha256>)> {
        let digest = Sha256::of(secret.as_bytes());
        if let Some(token) = self.guard.known(digest) {
            return Some((token.name.to_string(), token.role, Some(digest)));
        }
        let code = self.code.as_ref().filter(|_| self.guard.has_no_token());
        if code.is_some_and(|code| code.redeem(digest, Instant::now())) {
            self.ask(Ask::Redeemed { who: self.who(code::NAME, parts).text });
            return Some((code::NAME.to_owned(), Role::Admin, None));
        }
        self.note_refused(&self.who("unknown token", parts).text);
        None
    }

    /// Returns who sent a request if the token may do this.
    pub(super) fn allow(&self, parts: &Parts, least: Role) -> Result<Who, Refusal> {
        let peer = parts.extensions.get().copied().unwrap_or(Peer(None));
        let address = self.guard.address(&parts.headers, peer);
        match self.guard.token(&parts.headers) {
            None => Err(Refusal::unauthorized()),
            Some(Err(())) => {
                self.note_refused(&format!("unknown token from {address}"));
                Err(Refusal::unauthorized())
            }
            Some(Ok(token)) => {
                let text = format!("{} from {address}", token.name);
                if token.role >= least {
                    return Ok(Who { text });
                }
                self.note_refused(&text);
                Err(Refusal::forbidden("this token may only look"))
            }
        }
    }

    fn note_refused(&self, who: &str) {
        let mut last = self.guard.last_refused.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LOGGED_EVERY) {
            *last = Some(Instant::now());
            self.ask(Ask::Log {
                command: "sign-in",
                is_allowed: false,
                who: who.to_owned(),
                archive: None,
                written: None,
            });
        }
    }
}
