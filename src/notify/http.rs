//! Notices over HTTP: ntfy, webhooks and healthchecks. Redirects are not followed: a token must not go to another host.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::secrets::Secrets;
use super::signature::signature;
use super::{Message, Ping, Refused};
use crate::config::Detail;
use crate::net;
use crate::report::notice::Notice;

/// The priority of trouble and of everything else at ntfy.
const TROUBLE: u8 = 4;
const USUAL: u8 = 3;

/// Publishes as JSON, so that no header has to carry a name.
/// Source: <https://docs.ntfy.sh/publish/#publish-as-json>.
pub(super) fn ntfy(
    notice: &Notice,
    detail: Detail,
    priority: Option<u8>,
    secrets: &Secrets,
    limit: Duration,
) -> Result<String, Refused> {
    let url = secrets.get("ntfy").unwrap_or_default().trim_end_matches('/');
    let split = url.rsplit_once('/').filter(|(server, topic)| !server.ends_with('/') && !topic.is_empty());
    let Some((server, topic)) = split else {
        return Err(Refused::for_good("the address names no topic: write https://HOST/TOPIC"));
    };
    let trouble = notice.is_trouble();
    let body = serde_json::json!({
        "topic": topic,
        "title": notice.title(detail),
        "message": notice.text(detail),
        "priority": if trouble { priority.unwrap_or(TROUBLE) } else { USUAL },
        "tags": [if trouble { "warning" } else { "white_check_mark" }],
    });
    let request = request(server)?.header("content-type", "application/json").body(body.to_string());
    let request = match secrets.get("token") {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    answer(request, limit)
}

/// Source: <https://www.standardwebhooks.com/>.
pub(super) fn webhook(
    notice: &Notice,
    detail: Detail,
    secrets: &Secrets,
    limit: Duration,
    now: DateTime<Utc>,
) -> Result<String, Refused> {
    let body = notice.json(detail);
    let timestamp = now.timestamp();
    let mut request = request(secrets.get("webhook").unwrap_or_default())?
        .header("content-type", "application/json")
        .header("webhook-id", &notice.id)
        .header("webhook-timestamp", timestamp);
    if let Some(secret) = secrets.get("secret") {
        let signed = signature(secret, &notice.id, timestamp, &body).map_err(Refused::for_good)?;
        request = request.header("webhook-signature", signed);
    }
    if let Some(token) = secrets.get("token") {
        request = request.bearer_auth(token);
    }
    answer(request.body(body), limit)
}

/// Source: <https://healthchecks.io/docs/http_api/>.
pub(super) fn healthchecks(
    message: &Message,
    detail: Detail,
    secrets: &Secrets,
    limit: Duration,
) -> Result<String, Refused> {
    let url = secrets.get("healthchecks").unwrap_or_default().trim_end_matches('/');
    let end = match message.ping {
        Ping::Start => "/start",
        Ping::Success => "",
        Ping::Fail => "/fail",
    };
    let body = match message.ping {
        Ping::Start => String::new(),
        _ => format!("{}\n{}", message.notice.title(detail), message.notice.text(detail)),
    };
    let request = request(&format!("{url}{end}?rid={}", message.run))?;
    answer(request.header("content-type", "text/plain; charset=utf-8").body(body), limit)
}

fn request(url: &str) -> Result<reqwest::RequestBuilder, Refused> {
    let client = net::client().map_err(|cause| Refused::for_good(format!("TLS cannot be set up: {cause}")))?;
    Ok(client.post(url))
}

/// Sends a request. Only a status from 200 to 299 counts.
fn answer(request: reqwest::RequestBuilder, limit: Duration) -> Result<String, Refused> {
    let exchange = async {
        let answer = request.timeout(limit).send().await?;
        let status = answer.status();
        // A body that cannot be read to its end takes nothing from the status.
        let body = answer.text().await.unwrap_or_default();
        Ok::<_, reqwest::Error>((status, body))
    };
    let (status, body) = net::block_on(exchange)
        .map_err(|cause| Refused::for_now(cause.to_string()))?
        .map_err(|error| Refused::for_now(cause_of(&error.without_url())))?;
    let said = format!("{status} {body}");
    match status.as_u16() {
        200..=299 => Ok(said),
        300..=399 => Err(Refused::for_good(format!("{status}: redirects are not followed; use the new address"))),
        408 | 429 | 500..=599 => Err(Refused::for_now(said)),
        _ => Err(Refused::for_good(said)),
    }
}

/// Returns the last cause of an error, which says what happened: "connection refused".
fn cause_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
