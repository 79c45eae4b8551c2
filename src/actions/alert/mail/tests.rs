//! Mail to a real server: aiosmtpd, from the virtual environment that `.ci/run` makes.

#![allow(clippy::unwrap_used, reason = "a test may stop at anything")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::channel::{Channel, Notice, Trouble};
use super::Mail;
use crate::model::alert::Level;

/// Prints its port, then each message as a line of JSON.
const SINK: &str = r#"
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

class Sink:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user hunter2"
        if address.startswith("later@"):
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "user": session.auth_data,
            "tls": server.transport.get_extra_info("ssl_object") is not None, "content": envelope.content.decode()}), flush=True)
        return "250 OK"

def auth(server, session, envelope, mechanism, data):
    fine = data.login == b"paramedic" and data.password == b"hunter2"
    return AuthResult(success=fine, auth_data="paramedic" if fine else None)

async def main(mode, cert, key):
    context, kwargs = None, {}
    if mode != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
    if mode == "starttls":
        kwargs = {"tls_context": context, "require_starttls": True, "authenticator": auth}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), hostname="localhost", **kwargs), "127.0.0.1", 0,
        ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main(*sys.argv[1:4]))
"#;

struct Sink {
    child: Child,
    port: u16,
    lines: mpsc::Receiver<String>,
}

impl Sink {
    fn start(python: &Path, mode: &str, cert: &Path, key: &Path) -> Self {
        let mut child = Command::new(python)
            .args(["-c", SINK, mode])
            .args([cert, key])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let mut sink = Self { child, port: 0, lines };
        sink.port = sink.next().parse().unwrap();
        sink
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(20)).expect("the mail server says something")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A Python that has aiosmtpd, or none with a word why.
fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    let has = |python: &PathBuf| {
        let probe = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    let found = [own, "python3".into()].into_iter().find(has);
    missing(found.is_none(), "aiosmtpd");
    found
}

/// A certificate for localhost that only we know.
fn certificate(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stderr(Stdio::null())
        .status();
    let made = made.is_ok_and(|status| status.success());
    missing(!made, "openssl");
    made.then_some((cert, key))
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn missing(it_is: bool, what: &str) {
    if it_is {
        assert!(std::env::var_os("CI").is_none(), "{what} is missing, which .ci/run installs");
        eprintln!("skipped: {what} is missing; .ci/run installs it");
    }
}

fn notice() -> Notice {
    Notice {
        alert: "01A".into(),
        key: "r/k1".into(),
        level: Level::Critical,
        title: "k1 is down\r\nBcc: everybody@example.com".into(),
        message: "since noon: grüße\n.\nend".into(),
        target: Some("k1".into()),
        targets: Vec::new(),
        count: 1,
        intent: None,
        rule: "r".into(),
    }
}

fn mail(config: Value) -> Mail {
    Mail(serde_json::from_value(config).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_arrives_as_a_mail_in_each_way_of_protecting_it() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(python), Some((cert, key))) = (python(), certificate(dir.path())) else { return };
    let password = dir.path().join("password");
    std::fs::write(&password, "hunter2\n").unwrap();
    for mode in ["none", "starttls", "tls"] {
        let sink = Sink::start(&python, mode, &cert, &key);
        let mut config = json!({
            "host": "localhost", "port": sink.port, "tls": mode, "from": "Paramedic <paramedic@example.com>",
            "to": ["ops@example.com", "lead@example.com"],
        });
        if mode == "starttls" {
            config["user"] = "paramedic".into();
            config["password"] = json!({ "file": password });
        }
        if mode != "none" {
            let error = mail(config.clone()).send(&notice(), "run/1").await.unwrap_err();
            let Trouble::Passing(why, _) = &error else { panic!("{mode}: {error:?}") };
            assert!(
                why.to_lowercase().contains("certificate"),
                "an unknown certificate is not trusted: {why}"
            );
            config["ca"] = json!(cert);
        }
        mail(config.clone())
            .send(&notice(), "run/1")
            .await
            .unwrap_or_else(|error| panic!("{mode}: {error:?}"));
        let got: Value = serde_json::from_str(&sink.next()).unwrap();
        assert_eq!(
            (&got["from"], &got["to"], &got["tls"]),
            (
                &json!("paramedic@example.com"),
                &json!(["ops@example.com", "lead@example.com"]),
                &json!(mode != "none")
            )
        );
        assert_eq!(got["user"] == "paramedic", mode == "starttls");
        let content = got["content"].as_str().unwrap();
        assert!(
            content.contains("Subject: [CRITICAL] k1 is down  Bcc: everybody@example.com\r\n"),
            "{content}"
        );
        let head = content.split_once("\r\n\r\n").unwrap().0;
        assert!(!head.contains("\nBcc:"), "a line break in a title makes no header: {content}");
        let id =
            |content: &str| content.lines().find(|line| line.starts_with("Message-ID:")).unwrap().to_owned();
        mail(config.clone()).send(&notice(), "run/1").await.unwrap();
        let again: Value = serde_json::from_str(&sink.next()).unwrap();
        assert_eq!(id(content), id(again["content"].as_str().unwrap()), "a repeat can be told");

        config["to"] = json!(["nobody@example.com"]);
        let error = mail(config.clone()).send(&notice(), "run/2").await.unwrap_err();
        assert!(matches!(&error, Trouble::Final(why) if why.contains("550")), "{error:?}");
        let hidden = mode != "starttls" || !format!("{error:?}").contains("hunter2");
        assert!(hidden, "what a server says is freed of the password: {error:?}");
        config["to"] = json!(["later@example.com"]);
        let error = mail(config).send(&notice(), "run/3").await.unwrap_err();
        assert!(matches!(&error, Trouble::Passing(why, _) if why.contains("451")), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_an_address_that_is_none_is_told() {
    let config = json!({ "host": "127.0.0.1", "port": 1, "tls": "none", "from": "a@b.c", "to": ["d@e.f"] });
    assert!(matches!(mail(config.clone()).send(&notice(), "s").await, Err(Trouble::Passing(..))));
    let mut wrong = config;
    wrong["to"] = json!(["not an address"]);
    let error = mail(wrong).send(&notice(), "s").await.unwrap_err();
    assert!(
        matches!(&error, Trouble::Final(why) if why.contains("`not an address` is not a mail address")),
        "{error:?}"
    );
}
