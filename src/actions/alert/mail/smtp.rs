//! Sending an alert by SMTP.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use sha2::{Digest, Sha256};

use super::{Notice, SmtpConfig, Trouble};
use crate::actions::config::MailTls;
use crate::actions::http;
use crate::actions::secret::Secret;
use crate::model::alert::{Level, cut};

/// How long one command of the conversation may take.
const COMMAND: Duration = Duration::from_secs(8);

/// Longest subject: readers show little more.
const SUBJECT: usize = 200;

pub(super) async fn send(config: &SmtpConfig, notice: &Notice, step: &str) -> Result<(), Trouble> {
    let password = match &config.password {
        None => None,
        Some(from) => Some(from.read().await.map_err(Trouble::Final)?),
    };
    let clean = |text: String| password.as_ref().map_or(text.clone(), |secret| secret.redacted(&text));
    let message = message(config, notice, step).map_err(Trouble::Final)?;
    let server = server(config, password.as_ref()).await.map_err(|why| Trouble::Final(clean(why)))?;
    server.send(message).await.map(drop).map_err(|error| {
        let why = clean(words(&error));
        if error.is_permanent() { Trouble::Final(why) } else { Trouble::Passing(why, None) }
    })
}

async fn server(
    config: &SmtpConfig,
    password: Option<&Secret>,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    http::provider();
    let host = config.host.as_str();
    let mut builder: AsyncSmtpTransportBuilder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host);
    let (port, tls) = match config.tls {
        MailTls::None => (25, Tls::None),
        MailTls::Starttls => (587, Tls::Required(parameters(config).await?)),
        MailTls::Tls => (465, Tls::Wrapper(parameters(config).await?)),
    };
    builder = builder.port(config.port.unwrap_or(port)).tls(tls).timeout(Some(COMMAND));
    if let (Some(user), Some(password)) = (&config.user, password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    Ok(builder.build())
}

async fn parameters(config: &SmtpConfig) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca {
        let wrong = |why: String| format!("the certificate in {}: {why}", path.display());
        let pem = tokio::fs::read(path).await.map_err(|error| wrong(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| format!("cannot prepare TLS: {}", words(&error)))
}

fn message(config: &SmtpConfig, notice: &Notice, step: &str) -> Result<Message, String> {
    let mailbox = |text: &String| {
        text.parse::<Mailbox>().map_err(|error| format!("`{text}` is not a mail address: {error}"))
    };
    let level = match notice.level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Critical => "CRITICAL",
    };
    // A line break in a subject would begin another header.
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let subject: String = cut(&format!("[{level}] {}", notice.title), SUBJECT).chars().map(plain).collect();
    let mut builder = Message::builder()
        .from(mailbox(&config.from)?)
        .subject(subject)
        .message_id(Some(message_id(notice, step)))
        .header(ContentType::TEXT_PLAIN);
    for to in &config.to {
        builder = builder.to(mailbox(to)?);
    }
    builder.body(body(notice)).map_err(|error| error.to_string())
}

fn message_id(notice: &Notice, step: &str) -> String {
    let of = if step.is_empty() { &notice.alert } else { step };
    let hash: String = Sha256::digest(of).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("<{hash}@paramedic>")
}

fn body(notice: &Notice) -> String {
    let mut text = format!("{}\n\n{}\n\n", notice.title, notice.words());
    let rule = (!notice.rule.is_empty()).then_some(&notice.rule);
    for (name, value) in [
        ("Target", notice.target.as_ref()),
        ("Rule", rule),
        ("Intent", notice.intent.as_ref()),
        ("Alert", Some(&notice.alert)),
    ] {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    text
}

/// An error and its causes.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
