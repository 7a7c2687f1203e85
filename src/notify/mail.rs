//! Notices by mail. Where a user signs in, nothing is sent without TLS, and the certificate is checked.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Message, SmtpTransport, Transport as _};

use super::Refused;
use super::secrets::Secrets;
use crate::config::{Detail, MailSecurity, MailServer};
use crate::net;
use crate::report::notice::Notice;

/// By whom, from whom and to whom.
pub(super) struct Envelope<'a> {
    pub(super) server: &'a MailServer,
    pub(super) from: &'a str,
    pub(super) to: &'a [String],
}

pub(super) fn send(
    envelope: &Envelope<'_>,
    notice: &Notice,
    detail: Detail,
    secrets: &Secrets,
    limit: Duration,
    now: DateTime<Utc>,
) -> Result<String, Refused> {
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|error| Refused::for_good(format!("{error}")));
    let mut mail = Message::builder()
        .from(mailbox(envelope.from)?)
        .date(SystemTime::from(now))
        // The same however often it is sent, so that a mailbox can drop the second one.
        .message_id(Some(format!("<{}@heirloom>", notice.id)))
        .subject(notice.title(detail))
        .header(ContentType::TEXT_PLAIN);
    for to in envelope.to {
        mail = mail.to(mailbox(to)?);
    }
    let mail = mail.body(notice.text(detail)).map_err(|error| Refused::for_good(format!("{error}")))?;

    let server = envelope.server;
    let tls = match server.security {
        MailSecurity::Tls => Tls::Wrapper(parameters(server)?),
        MailSecurity::StartTls => Tls::Required(parameters(server)?),
        MailSecurity::None => Tls::None,
    };
    let mut transport = SmtpTransport::builder_dangerous(&server.host)
        .port(server.port)
        .tls(tls)
        .hello_name(ClientId::Domain("heirloom".into()))
        .timeout(Some(limit));
    if let (Some(user), Some(password)) = (&server.user, secrets.get("password")) {
        transport = transport.credentials(Credentials::new(user.clone(), password.to_owned()));
    }
    let answer = transport.build().send(&mail).map_err(|error| {
        let mut why = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            why = next.to_string();
            cause = next.source();
        }
        if error.is_permanent() || error.is_tls() { Refused::for_good(why) } else { Refused::for_now(why) }
    })?;
    let said: Vec<&str> = answer.message().collect();
    Ok(format!("{} {}", answer.code(), said.join(" ")))
}

/// Trusts what the rest of the program trusts: the certificates of this host and the built-in ones.
fn parameters(server: &MailServer) -> Result<TlsParameters, Refused> {
    let failed = |cause: lettre::transport::smtp::Error| Refused::for_good(format!("TLS cannot be set up: {cause}"));
    let mut builder = TlsParameters::builder(server.host.clone());
    for certificate in net::built_in_certificates() {
        builder = builder.add_root_certificate(Certificate::from_der(certificate).map_err(failed)?);
    }
    builder.build_rustls().map_err(failed)
}
