//! Signing in, and what is shown instead of a view.

use std::borrow::Cow;

use maud::html;

use super::layout::{Page, View, bare, document};
use super::words::{advice, what_to_do};
use crate::names::printable;

/// What the form takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayIn {
    Token,
    /// No token was configured when the server started.
    OneTimeCode,
}

/// Renders the form that takes a token or the one-time code.
pub fn sign_in(base: &str, way: WayIn, failed: bool) -> String {
    let (label, refused) = match way {
        WayIn::Token => ("Token", "This token is not valid, or it was removed."),
        WayIn::OneTimeCode => ("One-time code", "This code is not valid, was used before, or has expired."),
    };
    let content = html! {
        h1 { "Sign in" }
        @if failed { p.alert role="alert" { (refused) } }
        form.panel method="post" action={ (base) "/sign-in" } {
            label for="token" { (label) }
            input #token type="password" name="token" required autofocus autocomplete="current-password"
                aria-describedby="token-help" spellcheck="false";
            p.quiet #token-help {
                @if way == WayIn::OneTimeCode {
                    "This server has no tokens. It printed the code, or the file with it, when it started. "
                }
                "The administrator of this server creates tokens with " code { "heirloom serve token" } "."
            }
            button type="submit" { "Sign in" }
        }
    };
    bare(base, "Sign in", &content)
}

/// Renders an error; with a page, in its frame.
pub fn error(page: Option<&Page>, base: &str, status: u16, message: &str, hint: Option<&str>) -> String {
    let title = title(status);
    let content = html! {
        h1 { (title) }
        p.alert { (printable(message)) }
        @if let Some(hint) = hint { p { strong { (what_to_do(hint)) } (advice(&printable(hint))) } }
        p { a href={ (base) "/" } { "Go to the overview" } }
        p.quiet { "HTTP status " (status) "." }
    };
    match page {
        Some(page) => document(page, View::Other, &title, &content),
        None => bare(base, &title, &content),
    }
}

fn title(status: u16) -> Cow<'static, str> {
    Cow::Borrowed(match status {
        400 | 422 => "Not accepted",
        401 => "Not signed in",
        403 => "Not allowed",
        404 => "Not found",
        409 => "Not possible now",
        413 | 431 => "Too large",
        429 => "Too many requests",
        503 => "Not available now",
        507 => "No space left",
        500.. => "Failed",
        _ => return Cow::Owned(format!("Error {status}")),
    })
}
