//! One check of whether a kernel works. It judges nothing over time; `life` does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::evidence::Owner;
use super::providers::process::{Launch, Spawner};
use super::spec::{Listener, Probe};

/// What a check needs to know of the replica it looks at.
pub(super) struct Subject<'a> {
    /// Fills `${PORT}` and `${REPLICA}`.
    pub(super) fill: &'a (dyn Fn(&str) -> String + Send + Sync),
    /// Environment and directory of the kernel, for `exec`.
    pub(super) launch: &'a Launch,
    pub(super) spawner: &'a Spawner,
    /// When the last heartbeat came, if since the process began.
    pub(super) beat: Option<Instant>,
    /// Whose answer counts; none where that cannot be told, as of a kernel outside the engine.
    pub(super) owner: Option<Arc<Owner>>,
}

/// The longest line of an answer's head that is read.
const MAX_LINE: u64 = 8 * 1024;

/// How much of an answer is read.
const MAX_ANSWER: u64 = 1024 * 1024;

/// How long the rest of an answer may take after its status. A body without an announced length on a connection that stays
/// open has no other end.
const REST_WAIT: Duration = Duration::from_millis(250);

/// Carries out one check within the probe's time-out. `Err` says in words what was found instead of health.
pub(super) async fn check(probe: &Probe, subject: &Subject<'_>) -> Result<(), String> {
    let limit = probe.timeout.0;
    if probe.heartbeat {
        return beat(subject.beat, limit);
    }
    let look = async {
        if let Some(url) = &probe.http {
            let address = http(&(subject.fill)(url)).await?;
            own(address, probe, subject).await
        } else if let Some(address) = &probe.tcp {
            let stream = connect(&(subject.fill)(address)).await?;
            own(local(&stream), probe, subject).await
        } else if let Some(argv) = &probe.exec {
            exec(argv, subject).await
        } else {
            Ok(())
        }
    };
    match tokio::time::timeout(limit, look).await {
        Ok(found) => found,
        Err(_) => Err(format!("no answer within {}", probe.timeout)),
    }
}

/// Where `probe` asks, as far as that can be read from its text.
pub(super) fn address(probe: &Probe, fill: &dyn Fn(&str) -> String) -> Option<SocketAddr> {
    let text = match (&probe.http, &probe.tcp) {
        (Some(url), _) => split_url(&fill(url)).ok()?.0,
        (None, Some(address)) => fill(address),
        (None, None) => return None,
    };
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text,
    };
    text.parse().ok()
}

/// Whether the kernel itself is who answered at `address`, which is none where that is on another machine.
async fn own(address: Option<SocketAddr>, probe: &Probe, subject: &Subject<'_>) -> Result<(), String> {
    let Some((address, owner)) = address.zip(subject.owner.clone()) else { return Ok(()) };
    if probe.listener == Listener::Any {
        return Ok(());
    }
    let look = tokio::task::spawn_blocking(move || owner.check(address));
    look.await.unwrap_or_else(|_| Err("cannot tell who answered: the engine is shutting down".into()))
}

/// The address that it leads to, if that is one of this machine.
fn local(stream: &TcpStream) -> Option<SocketAddr> {
    let (own, peer) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    // From this machine to itself, a connection comes from the address that it goes to.
    (peer.ip().is_loopback() || peer.ip() == own.ip()).then_some(peer)
}

/// Splits `http://host:port/path` into `host:port` and `/path`.
pub(super) fn split_url(url: &str) -> Result<(String, String), String> {
    let rest = url.strip_prefix("http://").ok_or("must begin with http:// (use `exec` for anything else)")?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if host.is_empty() || host.contains('@') || url.bytes().any(|b| b <= b' ') {
        return Err("must be http://host:port/path without white space".into());
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    Ok((if has_port { host.into() } else { format!("{host}:80") }, path.into()))
}

/// Asks, and gives where the answer came from if that is on this machine. The status alone decides; the rest of the answer
/// is read too, as a service that cannot send it to its end takes that for trouble of its own.
async fn http(url: &str) -> Result<Option<SocketAddr>, String> {
    let (host, path) = split_url(url)?;
    let stream = connect(&host).await?;
    let from = local(&stream);
    let mut stream = BufReader::new(stream);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: paramedic\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.get_mut().write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
    let mut line = Vec::new();
    // An error after some bytes is the end of the answer.
    let read = (&mut stream).take(MAX_LINE).read_until(b'\n', &mut line).await;
    if line.is_empty() {
        let why = read.err().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("closed the connection without an answer{why}"));
    }
    // `HTTP/1.1 200` is all that counts.
    let status = line
        .get(..12)
        .and_then(|head| std::str::from_utf8(head).ok())
        .and_then(|text| text.strip_prefix("HTTP/1."))
        .and_then(|text| text.get(2..)?.parse::<u16>().ok())
        .ok_or("answered with something that is not HTTP")?;
    // However the rest ends, it was answered.
    tokio::time::timeout(REST_WAIT, rest(&mut stream)).await.ok();
    match status {
        200..=399 => Ok(from),
        _ => Err(format!("answered with status {status}")),
    }
}

/// Reads headers and body, up to a bound.
async fn rest(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let mut left = MAX_ANSWER;
    let mut length = None;
    loop {
        let mut line = Vec::new();
        let n = (&mut *stream).take(MAX_LINE.min(left)).read_until(b'\n', &mut line).await? as u64;
        left -= n;
        let line = String::from_utf8_lossy(&line).trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
        if n == 0 || line.is_empty() {
            break;
        }
    }
    // A service that keeps the connection open although it was asked to close it has sent all by then.
    let mut body = stream.take(length.unwrap_or(left).min(left));
    tokio::io::copy(&mut body, &mut tokio::io::sink()).await.map(drop)
}

async fn connect(address: &str) -> Result<TcpStream, String> {
    let stream =
        TcpStream::connect(address).await.map_err(|e| format!("cannot connect to {address}: {e}"))?;
    // A port that nobody listens on can connect to itself.
    if stream.local_addr().ok() == stream.peer_addr().ok() {
        return Err(format!("cannot connect to {address}: nobody listens"));
    }
    Ok(stream)
}

async fn exec(argv: &[String], subject: &Subject<'_>) -> Result<(), String> {
    let argv = argv.iter().map(|arg| (subject.fill)(arg)).collect();
    let launch = Launch { argv, capture: false, ..subject.launch.clone() };
    let mut running =
        subject.spawner.start(launch).await.map_err(|e| format!("cannot run the check: {e}"))?;
    let status = running.wait().await.map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("the check ended with {status}")) }
}

fn beat(last: Option<Instant>, limit: Duration) -> Result<(), String> {
    match last {
        None => Err("no heartbeat yet".into()),
        Some(at) if at.elapsed() > limit => {
            Err(format!("no heartbeat for {:.1} s", at.elapsed().as_secs_f64()))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::providers::process::Shim;
    use crate::model::Span;
    use tokio::net::TcpListener;

    fn probe(yaml: &str) -> Probe {
        serde_yaml::from_str(yaml).unwrap()
    }

    async fn look(probe: &Probe, port: u16) -> Result<(), String> {
        let spawner = Spawner::new(Shim::none()).unwrap();
        let launch = Launch { inherit_env: true, ..Launch::default() };
        let fill = |text: &str| text.replace("${PORT}", &port.to_string());
        check(probe, &Subject { fill: &fill, launch: &launch, spawner: &spawner, beat: None, owner: None })
            .await
    }

    #[tokio::test]
    async fn an_http_check_believes_only_a_good_status() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", ""),
            ("HTTP/1.0 302 Found\r\n\r\n", ""),
            ("HTTP/1.1 503 Busy\r\n\r\n", "status 503"),
            ("HTTP/1.1 404 Not", "status 404"),
            ("SSH-2.0-OpenSSH_9", "not HTTP"),
            ("", "without an answer"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let n = stream.read(&mut request).await.unwrap();
                assert!(request[..n].starts_with(b"GET /health HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let probe = probe("{http: 'http://127.0.0.1:${PORT}/health', timeout: 5s}");
            let (found, ()) = tokio::join!(look(&probe, port), serve);
            match expected {
                "" => assert_eq!(found, Ok(()), "{answer}"),
                text => assert!(found.unwrap_err().contains(text), "{answer}"),
            }
        }
    }

    #[tokio::test]
    async fn a_kernel_that_accepts_but_never_answers_fails_the_check_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut probe = probe("{http: 'http://127.0.0.1:${PORT}/'}");
        probe.timeout = Span(Duration::from_millis(50));
        assert_eq!(look(&probe, port).await, Err("no answer within 50ms".into()));
    }

    #[tokio::test]
    async fn tcp_and_exec_checks_tell_up_from_down() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = probe("{tcp: '127.0.0.1:${PORT}'}");
        assert_eq!(look(&tcp, port).await, Ok(()));
        drop(listener);
        assert!(look(&tcp, port).await.unwrap_err().contains("cannot connect"));
        assert_eq!(look(&probe("{exec: [test, '${PORT}', '=', '7']}"), 7).await, Ok(()));
        assert!(look(&probe("{exec: ['false']}"), 7).await.unwrap_err().contains("exit status: 1"));
    }

    #[test]
    fn addresses_are_split_as_written() {
        for (url, host, path) in [
            ("http://a:1/x?y=1", "a:1", "/x?y=1"),
            ("http://a", "a:80", "/"),
            ("http://[::1]/", "[::1]:80", "/"),
            ("http://[::1]:8/", "[::1]:8", "/"),
        ] {
            assert_eq!(split_url(url), Ok((host.into(), path.into())), "{url}");
        }
        for url in ["a:1", "https://a/", "http:///x", "http://u@h/", "http://h/a b\r\n"] {
            assert!(split_url(url).is_err(), "{url}");
        }
    }
}
