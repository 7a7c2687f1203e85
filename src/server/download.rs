//! Downloads: the file as it is, in parts, and never all of it in memory.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::access::Who;
use super::answer::Refusal;
use super::{App, Opened};
use crate::names::ArchiveName;
use crate::serving::Ask;

/// How much is read at a time, in bytes.
const PART: usize = 256 << 10;
/// How long the client may take none of it before its place is given to another.
const STALLED: Duration = Duration::from_secs(60);
/// How long the store may take to answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Sends an archive, or a part of it.
pub(super) async fn download(
    app: &Arc<App>,
    name: &ArchiveName,
    method: &Method,
    headers: &HeaderMap,
    who: &Who,
) -> Result<Response, Refusal> {
    if !app.settings.download {
        return Err(Refusal::forbidden("downloads are switched off on this server"));
    }
    let turn = Arc::clone(&app.downloads).try_acquire_owned();
    let turn = turn.map_err(|_| Refusal::busy("two backups are being downloaded already"))?;
    let opened = open(app, name).await?;
    let total = opened.bytes();
    let tag = tag(name, total);
    let range = match headers.get(header::IF_RANGE) {
        Some(condition) if condition.as_bytes() != tag.as_bytes() => None,
        _ => headers.get(header::RANGE),
    };
    let (start, end) = match range.map(|range| part(range, total)) {
        None | Some(Some(Part::All)) => (0, total),
        Some(Some(Part::Of(start, end))) => (start, end),
        Some(None) => {
            let range = HeaderValue::from_str(&format!("bytes */{total}")).unwrap_or(HeaderValue::from_static("bytes"));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, range)]).into_response());
        }
    };
    if *method != Method::HEAD {
        // Before its first byte: a download is the whole database.
        let (archive, (written, is_written)) = (Some(name.to_string()), channel());
        let who = who.text.clone();
        app.ask(Ask::Log { command: "download", is_allowed: true, who, archive, written: Some(written) });
        let is_written = tokio::task::spawn_blocking(move || is_written.recv_timeout(ANSWER)).await;
        if !matches!(is_written, Ok(Ok(()))) {
            return Err(Refusal::busy("the activity log cannot be written now"));
        }
    }
    let mut answer = HeaderMap::new();
    let mut set = |name, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            answer.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "application/octet-stream".into());
    set(header::CONTENT_LENGTH, (end - start).to_string());
    set(header::CONTENT_DISPOSITION, disposition(name.as_str()));
    set(header::ACCEPT_RANGES, "bytes".into());
    set(header::ETAG, tag);
    set(header::CACHE_CONTROL, "no-store, no-transform".into());
    let is_part = (start, end) != (0, total);
    if is_part {
        set(header::CONTENT_RANGE, format!("bytes {start}-{}/{total}", end - 1));
    }
    let status = if is_part { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let body = if *method == Method::HEAD { Body::empty() } else { body(opened, start, end, turn) };
    Ok((status, answer, body).into_response())
}

async fn open(app: &Arc<App>, name: &ArchiveName) -> Result<Opened, Refusal> {
    let (reply, answer) = channel();
    app.ask(Ask::Open { name: name.to_string(), reply });
    let received = tokio::task::spawn_blocking(move || answer.recv_timeout(ANSWER)).await;
    match received {
        Ok(Ok(Ok(opened))) => Ok(opened),
        Ok(Ok(Err((code, error)))) => Err(Refusal::of(code, error)),
        _ => Err(Refusal::busy("the store does not answer")),
    }
}

/// A header has only ASCII: other names come twice, the second time as RFC 6266 encodes them.
fn disposition(name: &str) -> String {
    let plain = name.replace(|sign: char| !matches!(sign, ' '..='~') || matches!(sign, '"' | '\\' | '%'), "_");
    if plain == name {
        return format!("attachment; filename=\"{plain}\"");
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", percent(name))
}

/// A name is made of letters, digits and few signs; everything else is encoded all the same.
pub(super) fn percent(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A name is given once, so name and size say which bytes these are.
fn tag(name: &ArchiveName, bytes: u64) -> String {
    format!("\"{}-{bytes:x}\"", &crate::digest::Sha256::of(name.as_str().as_bytes()).to_string()[..16])
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    All,
    Of(u64, u64),
}

/// Reads the header `Range`; `None` if no byte of it exists. A unit or a form that is not known means all, as HTTP
/// wants.
fn part(range: &HeaderValue, total: u64) -> Option<Part> {
    let Some(text) = range.to_str().ok().and_then(|text| text.strip_prefix("bytes=")) else { return Some(Part::All) };
    // Several parts would need another form of answer.
    let Some((first, last)) = text.split_once('-').filter(|_| !text.contains(',')) else { return Some(Part::All) };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(last)) if start <= last => (start, last.saturating_add(1).min(total)),
        (Some(start), None) if last.is_empty() => (start, total),
        (None, Some(count)) if first.is_empty() => (total.saturating_sub(count), total),
        _ => return Some(Part::All),
    };
    (start < end).then_some(Part::Of(start, end))
}

/// Reads on a thread of its own, two parts ahead.
fn body(opened: Opened, start: u64, end: u64, turn: OwnedSemaphorePermit) -> Body {
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(2);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        // Held until the last byte was taken, or nobody takes any.
        let _turn = turn;
        let mut offset = start;
        while offset < end {
            let mut part = vec![0; PART.min(usize::try_from(end - offset).unwrap_or(PART))];
            let read = opened.read_exact_at(&mut part, offset).map(|()| Bytes::from(std::mem::take(&mut part)));
            offset += PART as u64;
            let is_last = read.is_err();
            let sent = runtime.block_on(tokio::time::timeout(STALLED, sender.send(read)));
            if is_last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    });
    Body::from_stream(Parts(receiver))
}

/// The parts of a file as they come.
struct Parts(mpsc::Receiver<std::io::Result<Bytes>>);

impl Stream for Parts {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_says() {
        let of = |text: &str| part(&HeaderValue::from_str(text).unwrap(), 100);
        assert_eq!(of("bytes=0-9"), Some(Part::Of(0, 10)));
        assert_eq!(of("bytes=90-"), Some(Part::Of(90, 100)));
        assert_eq!(of("bytes=-10"), Some(Part::Of(90, 100)));
        assert_eq!(of("bytes=-1000"), Some(Part::Of(0, 100)));
        assert_eq!(of("bytes=95-18446744073709551615"), Some(Part::Of(95, 100)));
        for nothing in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(of(nothing), None, "{nothing}");
        }
        for all in ["bytes=9-0", "bytes=0-1,5-6", "lines=1-2", "bytes=x-y", "bytes=+1-2", "bytes=-"] {
            assert_eq!(of(all), Some(Part::All), "{all}");
        }
    }
}
