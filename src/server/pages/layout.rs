//! The frame of every view: head, navigation, notice, footer, links and forms.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, html};

use super::words::time;

/// Who sees a view, and where.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The prefix of all links: empty, or such as `/x`.
    pub base: &'a str,
    /// The name of the token.
    pub who: &'a str,
    /// Whether forms that change something are shown.
    pub is_admin: bool,
    /// Whether links to downloads are shown.
    pub may_download: bool,
    /// The form token of the session.
    pub form_token: &'a str,
    /// The time of the view.
    pub now: DateTime<Utc>,
    /// A sentence about what was just done.
    pub notice: Option<&'a str>,
}

/// The view in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    Backups,
    Log,
    Other,
}

impl Page<'_> {
    /// Returns the address of a view of a backup: `backup_url(name, "/restore")`.
    pub(super) fn backup_url(&self, name: &str, view: &str) -> String {
        format!("{}/backups/{}{view}", self.base, encoded(name))
    }

    /// Returns the address of the backups of a set.
    pub(super) fn set_url(&self, set: &str) -> String {
        format!("{}/backups?set={}", self.base, encoded(set))
    }

    /// Returns the address of the question whether to undo the last restore of a set, or of the only one.
    pub(super) fn undo_url(&self, set: Option<&str>) -> String {
        let set = set.map(|set| format!("?set={}", encoded(set))).unwrap_or_default();
        format!("{}/undo{set}", self.base)
    }

    /// Renders a form that changes something; nothing for a viewer.
    pub(super) fn form(&self, action: &str, class: &str, fields: &Markup) -> Markup {
        if !self.is_admin {
            return html! {};
        }
        html! { form method="post" action=(action) class=(class) { (self.token()) (fields) } }
    }

    fn token(&self) -> Markup {
        html! { input type="hidden" name="form_token" value=(self.form_token); }
    }
}

/// Percent-encodes a name as a segment of a path or a value of a query.
pub(super) fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Renders a whole document for somebody who is signed in.
pub(super) fn document(page: &Page, view: View, title: &str, content: &Markup) -> String {
    document_with(page, view, title, &html! {}, content)
}

/// Renders a whole document with more in its head.
pub(super) fn document_with(page: &Page, view: View, title: &str, head: &Markup, content: &Markup) -> String {
    let link = |to: View, path: &str, name: &str| {
        html! { a href={ (page.base) (path) } aria-current=[(to == view).then_some("page")] { (name) } }
    };
    let body = html! {
        header.top {
            a.name href={ (page.base) "/" } { "heirloom" }
            nav aria-label="Views" {
                (link(View::Overview, "/", "Overview"))
                (link(View::Backups, "/backups", "Backups"))
                (link(View::Log, "/log", "Log"))
            }
            form.who method="post" action={ (page.base) "/sign-out" } {
                (page.token())
                span { (page.who) @if !page.is_admin { ", viewer" } }
                button.plain type="submit" { "Sign out" }
            }
        }
        main #content tabindex="-1" {
            @if let Some(notice) = page.notice { p.notice role="status" { (notice) } }
            (content)
        }
        footer {
            p { span #zone { "Times are in UTC." } " As of " (time(page.now)) "." }
        }
    };
    frame(page.base, title, head, &body)
}

/// Renders a whole document for somebody who is not signed in.
pub(super) fn bare(base: &str, title: &str, content: &Markup) -> String {
    let body = html! {
        header.top { span.name { "heirloom" } }
        main.narrow #content tabindex="-1" { (content) }
    };
    frame(base, title, &html! {}, &body)
}

fn frame(base: &str, title: &str, head: &Markup, body: &Markup) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) " – heirloom" }
                link rel="stylesheet" href={ (base) "/assets/style.css" };
                link rel="icon" href={ (base) "/favicon.ico" };
                script src={ (base) "/assets/script.js" } defer {}
                (head)
            }
            body {
                a.skip href="#content" { "Skip to content" }
                (body)
            }
        }
    };
    document.into_string()
}
