//! What an answer of a service means.
//!
//! Everything between us and the service can answer, too: a proxy, a captive portal, a broken gateway. An empty listing
//! or a "not found" from one of those must never count, so each answer has to look like the service's own.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::header::{CONTENT_RANGE, DATE, ETAG, IF_MATCH, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};

use super::fault::{Fault, short};
use crate::store_url::Service;

/// How far the clock of this host may be off before a refusal is put down to it, in seconds. The services allow 900.
const CLOCK_OFF: i64 = 600;

/// A request, as far as its answer is judged by it.
pub(super) struct Asked<'a> {
    pub(super) service: Service,
    /// The name of the call: `PutObject`. Empty for a request for credentials.
    pub(super) call: &'a str,
    pub(super) method: &'a Method,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// Returns whether the answer is a stream of the object's bytes.
    pub(super) fn reads(&self) -> bool {
        *self.method == Method::GET && matches!(self.call, "GetObject" | "GetBlob") && !self.is_stat()
    }

    /// Returns whether the request carries bytes of a file.
    pub(super) fn carries_data(&self) -> bool {
        matches!(self.call, "PutObject" | "UploadPart" | "PutBlob" | "PutBlock" | "UploadResumableChunk")
    }

    /// Returns whether the request gives an object its name.
    pub(super) fn commits(&self) -> bool {
        match self.call {
            "PutObject" | "PutBlob" | "CompleteMultipartUpload" | "PutBlockList" => true,
            // The last one names the whole size.
            "UploadResumableChunk" => {
                header(self.headers, http::header::CONTENT_RANGE.as_str()).is_some_and(|range| !range.ends_with('*'))
            }
            _ => false,
        }
    }

    /// Returns whether the request cleans up after an upload that was stopped.
    pub(super) fn aborts(&self) -> bool {
        matches!(self.call, "AbortMultipartUpload" | "CancelResumableUpload")
    }

    /// Google's metadata request has the same name as its read.
    fn is_stat(&self) -> bool {
        self.service == Service::Gcs && !self.query.contains("alt=media")
    }

    /// Returns whether it is for one version of an object.
    fn is_conditional(&self) -> bool {
        self.headers.contains_key(IF_MATCH) || self.query.contains("ifGenerationMatch=")
    }

    fn deletes(&self) -> bool {
        *self.method == Method::DELETE
    }

    fn writes(&self) -> bool {
        self.carries_data() || self.commits() || matches!(self.call, "InitiateResumableUpload")
    }
}

/// Returns what is wrong with an answer, if anything is. `body` is empty for a stream.
pub(super) fn judge(asked: &Asked<'_>, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    if asked.call.is_empty() {
        return credentials(status, headers, body);
    }
    if status.is_success() || status == StatusCode::PERMANENT_REDIRECT && asked.call.contains("Resumable") {
        return accepted(asked, status, headers, body);
    }
    // "Already gone" is what was wanted.
    if asked.deletes() && asked.call.starts_with("Abort") && status == StatusCode::NOT_FOUND
        || asked.call == "CancelResumableUpload" && (status.as_u16() == 499 || status == StatusCode::NOT_FOUND)
    {
        return Ok(());
    }
    Err(refused(asked, status, headers, body))
}

/// A service that gives out credentials answers in many formats; who uses the answer checks it.
fn credentials(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    if status.is_success() {
        Ok(())
    } else if is_busy(status) {
        Err(busy(status, headers, ""))
    } else if contains(body, "reasonable timeframe") {
        // Google, about the token that this host signed.
        Err(Fault::Clock(None))
    } else {
        Err(Fault::Denied(format!("the request for credentials was answered with {status}")))
    }
}

fn accepted(asked: &Asked<'_>, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Fault> {
    // S3 sends its status before it has finished, and then an error in the body.
    if root(body) == Some("Error") {
        return Err(refused(asked, StatusCode::INTERNAL_SERVER_ERROR, headers, body));
    }
    if asked.reads() {
        return is_range(asked, status, headers);
    }
    let is_right = match (asked.service, asked.call) {
        (Service::S3, "ListObjectsV2" | "ListObjectVersions") => {
            let name = if asked.call == "ListObjectsV2" { "ListBucketResult" } else { "ListVersionsResult" };
            document(body, name) && contains(body, "<IsTruncated>")
        }
        (Service::S3, "CreateMultipartUpload") => contains(body, "<UploadId>"),
        (Service::S3, "CompleteMultipartUpload") => document(body, "CompleteMultipartUploadResult"),
        (Service::S3, "PutObject" | "UploadPart" | "HeadObject") => headers.contains_key(ETAG),
        (Service::S3, "DeleteObject" | "AbortMultipartUpload") => status == StatusCode::NO_CONTENT,
        (Service::Gcs, "DeleteObject") => status == StatusCode::NO_CONTENT,
        (Service::Gcs, "InitiateResumableUpload") => headers.contains_key(LOCATION),
        (Service::Gcs, "ListObjects") => contains(body, "storage#objects"),
        (Service::Gcs, "GetObject" | "InsertObject") => contains(body, "storage#object"),
        (Service::Gcs, "UploadResumableChunk") if status == StatusCode::PERMANENT_REDIRECT => {
            return whole_chunk(asked, headers);
        }
        (Service::Gcs, "UploadResumableChunk") => contains(body, "storage#object"),
        (Service::Azure, call) => {
            headers.contains_key("x-ms-request-id")
                && (call != "ListBlobs" || document(body, "EnumerationResults") && contains(body, "<NextMarker"))
        }
        _ => true,
    };
    if is_right { Ok(()) } else { Err(Fault::Foreign(format!("{status} with unexpected contents"))) }
}

/// Returns the id that S3 gave a new multipart upload, as it stands in the answer.
pub(super) fn upload_id<'a>(asked: &Asked<'_>, body: &'a [u8]) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok().filter(|_| asked.call == "CreateMultipartUpload")?;
    Some(text.split_once("<UploadId>")?.1.split_once("</UploadId>")?.0)
}

/// Returns the answer that gave an upload this id.
pub(super) fn initiated(upload: &str) -> Vec<u8> {
    format!("<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>").into_bytes()
}

/// Google may keep only the beginning of a chunk; it ignores what it has if the chunk is sent again.
fn whole_chunk(asked: &Asked<'_>, headers: &HeaderMap) -> Result<(), Fault> {
    let end = |text: &str| -> Option<u64> {
        text.split(['/', '=', ' ']).find_map(|part| part.split_once('-')?.1.parse().ok())
    };
    let sent = header(asked.headers, CONTENT_RANGE.as_str()).and_then(end);
    let kept = header(headers, RANGE.as_str()).and_then(end);
    if sent.is_some() && sent == kept {
        Ok(())
    } else {
        Err(Fault::Broken("the service kept only a part of what was sent".into()))
    }
}

/// A read must return the requested range of the requested version.
fn is_range(asked: &Asked<'_>, status: StatusCode, headers: &HeaderMap) -> Result<(), Fault> {
    if let (Some(wanted), Some(found)) = (header(asked.headers, IF_MATCH.as_str()), header(headers, ETAG.as_str()))
        && wanted != found
    {
        // Not every service looks at the condition.
        return Err(Fault::Changed);
    }
    let generation = asked.query.split('&').find_map(|pair| pair.strip_prefix("ifGenerationMatch="));
    if let (Some(wanted), Some(found)) = (generation, header(headers, "x-goog-generation"))
        && wanted != found
    {
        return Err(Fault::Changed);
    }
    let Some(wanted) = header(asked.headers, RANGE.as_str()).and_then(|range| range.strip_prefix("bytes=")) else {
        return Ok(());
    };
    let found = header(headers, CONTENT_RANGE.as_str()).and_then(|range| range.strip_prefix("bytes "));
    let found = found.and_then(|range| range.split_once('/')).map(|(range, _)| range);
    if status == StatusCode::PARTIAL_CONTENT && found == Some(wanted) {
        return Ok(());
    }
    // Some answer a range from 0 to the end with the whole object.
    let whole = wanted.strip_prefix("0-").and_then(|end| end.parse::<u64>().ok()).map(|end| end + 1);
    if status == StatusCode::OK && whole.is_some() && whole == length(headers) {
        return Ok(());
    }
    Err(Fault::Foreign(format!("{status} without the requested range")))
}

fn refused(asked: &Asked<'_>, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
    let said = Said::of(headers, body);
    let answer = said.answer(status);
    let code = said.code.as_str();
    if let Some(fault) = by_code(asked, code, &said, headers, &answer) {
        return fault;
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => match clock(asked, headers) {
            Some(ahead) if ahead.abs() >= CLOCK_OFF => Fault::Clock(Some(ahead)),
            _ => Fault::Denied(format!("access denied ({answer})")),
        },
        StatusCode::NOT_FOUND | StatusCode::GONE if asked.call.contains("Resumable") => Fault::NoUpload,
        // Who reads looks the object up before calling it gone: Google answers that with a plain text.
        StatusCode::NOT_FOUND if said.is_ours(asked) || asked.reads() => Fault::Unproved,
        StatusCode::NOT_FOUND => Fault::Foreign(answer),
        StatusCode::PRECONDITION_FAILED if asked.writes() => Fault::Taken,
        StatusCode::PRECONDITION_FAILED if asked.is_conditional() => Fault::Changed,
        StatusCode::PRECONDITION_FAILED => Fault::Foreign(answer),
        StatusCode::CONFLICT if asked.writes() => Fault::Conflict(answer),
        StatusCode::CONFLICT if code.is_empty() => busy(status, headers, &answer),
        _ if is_busy(status) => busy(status, headers, &said.answer(status)),
        _ if status.is_redirection() => match header(headers, "x-amz-bucket-region") {
            Some(region) => Fault::Refused(format!("the bucket is in the region \"{}\"", short(region))),
            None => Fault::Foreign(answer),
        },
        _ if said.is_ours(asked) => Fault::Refused(answer),
        _ => Fault::Foreign(answer),
    }
}

/// Returns what the service's own word for it means, whatever the status.
fn by_code(asked: &Asked<'_>, code: &str, said: &Said, headers: &HeaderMap, answer: &str) -> Option<Fault> {
    Some(match code {
        "NoSuchKey" | "BlobNotFound" => Fault::NoKey,
        "NoSuchBucket" | "ContainerNotFound" | "ContainerBeingDeleted" => Fault::NoBucket,
        "NoSuchUpload" => Fault::NoUpload,
        // Azure, if another client committed its blocks or a blob of the same name.
        "InvalidBlockList" | "InvalidPart" => Fault::NoUpload,
        "BlobAlreadyExists" => Fault::Taken,
        "PreconditionFailed" | "ConditionNotMet" | "TargetConditionNotMet" => match () {
            () if asked.writes() => Fault::Taken,
            () if asked.is_conditional() => Fault::Changed,
            () => Fault::Foreign(answer.to_owned()),
        },
        "ConditionalRequestConflict" | "OperationAborted" if asked.writes() => Fault::Conflict(answer.to_owned()),
        "InvalidObjectState" | "BlobArchived" => Fault::Cold,
        "RequestTimeTooSkewed" => {
            let stated = said.time.zip(sent_at(asked)).map(|(theirs, ours)| (ours - theirs).num_seconds());
            Fault::Clock(stated.or_else(|| clock(asked, headers)))
        }
        "ExpiredToken"
        | "TokenRefreshRequired"
        | "InvalidToken"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "AllAccessDisabled"
        | "AccessDenied"
        | "BlobImmutableDueToPolicy" => match clock(asked, headers) {
            Some(ahead) if ahead.abs() >= CLOCK_OFF => Fault::Clock(Some(ahead)),
            _ => Fault::Denied(format!("access denied ({answer})")),
        },
        "BadDigest" | "XAmzContentChecksumMismatch" | "Md5Mismatch" | "Crc64Mismatch" => Fault::Corrupt,
        "InternalError"
        | "SlowDown"
        | "ServiceUnavailable"
        | "RequestTimeout"
        | "ServerBusy"
        | "OperationTimedOut"
        | "RequestLimitExceeded"
        | "Throttling"
        | "ConditionalRequestConflict"
        | "OperationAborted" => Fault::Busy { answer: answer.to_owned(), wait: wait(headers) },
        _ if asked.service == Service::Gcs && said.message.contains("bucket does not exist") => Fault::NoBucket,
        _ if asked.service == Service::Gcs && said.message.starts_with("No such object") => Fault::NoKey,
        _ => return None,
    })
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

fn busy(status: StatusCode, headers: &HeaderMap, answer: &str) -> Fault {
    let answer = if answer.is_empty() { status.to_string() } else { answer.to_owned() };
    Fault::Busy { answer, wait: wait(headers) }
}

fn wait(headers: &HeaderMap) -> Option<Duration> {
    header(headers, RETRY_AFTER.as_str())?.parse().ok().map(Duration::from_secs)
}

/// What the service says about its refusal.
struct Said {
    code: String,
    message: String,
    /// The time of the service, if it is part of the message.
    time: Option<DateTime<Utc>>,
    json: bool,
}

impl Said {
    fn of(headers: &HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let error = serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|json| json.get("error").cloned());
        if let Some(error) = error {
            let field = |name: &str| error.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
            let reason = error.pointer("/errors/0/reason").and_then(|value| value.as_str()).unwrap_or_default();
            return Self { code: reason.to_owned(), message: field("message"), time: None, json: true };
        }
        let code = header(headers, "x-ms-error-code").map(str::to_owned);
        let code = code.or_else(|| element(&text, "Code").map(str::to_owned)).unwrap_or_default();
        let time = element(&text, "ServerTime").and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        Self {
            code,
            message: element(&text, "Message").unwrap_or_default().to_owned(),
            time: time.map(|time| time.to_utc()),
            json: false,
        }
    }

    /// Returns whether it is in the format of the service. The answer to HEAD has no body.
    fn is_ours(&self, asked: &Asked<'_>) -> bool {
        match asked.service {
            Service::Gcs => self.json,
            _ => !self.code.is_empty() || *asked.method == Method::HEAD,
        }
    }

    fn answer(&self, status: StatusCode) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => status.to_string(),
            (code, "") => format!("{} {}", status.as_u16(), short(code)),
            ("", message) => format!("{}: {}", status.as_u16(), short(message)),
            (code, message) => format!("{} {}: {}", status.as_u16(), short(code), short(message)),
        }
    }
}

/// Returns by how many seconds the clock of this host is ahead, as the headers of request and answer show it.
fn clock(asked: &Asked<'_>, headers: &HeaderMap) -> Option<i64> {
    Some((sent_at(asked)? - answered_at(headers)?).num_seconds())
}

/// Returns the time by the clock of this host that a request was signed with.
pub(super) fn sent_at(asked: &Asked<'_>) -> Option<DateTime<Utc>> {
    let compact = |text| NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok().map(|time| time.and_utc());
    header(asked.headers, "x-amz-date")
        .and_then(compact)
        .or_else(|| header(asked.headers, "x-ms-date").and_then(http_date))
}

/// Returns the time by the clock of the service.
pub(super) fn answered_at(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    header(headers, DATE.as_str()).and_then(http_date)
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|time| time.to_utc())
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Returns the length of the body, if the headers state it.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    header(headers, http::header::CONTENT_LENGTH.as_str())?.parse().ok()
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Returns the name of the first element of an XML document.
fn root(body: &[u8]) -> Option<&str> {
    let start = &body[..body.len().min(1024)];
    let mut rest =
        str::from_utf8(start).unwrap_or_else(|error| str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default());
    loop {
        rest = rest[rest.find('<')? + 1..].trim_start();
        if !rest.starts_with(['?', '!']) {
            return rest.split(|char: char| !char.is_alphanumeric()).next();
        }
    }
}

/// Returns whether a text is a whole XML document with this root: it begins and ends with it.
fn document(body: &[u8], name: &str) -> bool {
    root(body) == Some(name) && body.trim_ascii_end().ends_with(format!("</{name}>").as_bytes())
}

/// Returns the text of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let end = text[start..].find('<')?;
    Some(text[start..start + end].trim())
}
