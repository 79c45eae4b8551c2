//! One check of whether a kernel works. It judges nothing over time; `life` does.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::providers::process::{Launch, Spawner};
use super::spec::Probe;

/// What a check needs to know of the replica it looks at.
pub(super) struct Subject<'a> {
    /// Fills `${PORT}` and `${REPLICA}`.
    pub(super) fill: &'a (dyn Fn(&str) -> String + Send + Sync),
    /// Environment and directory of the kernel, for `exec`.
    pub(super) launch: &'a Launch,
    pub(super) spawner: &'a Spawner,
    /// When the last heartbeat came, if since the process began.
    pub(super) beat: Option<Instant>,
}

/// Carries out one check within the probe's time-out. `Err` says in words what was found instead of health.
pub(super) async fn check(probe: &Probe, subject: &Subject<'_>) -> Result<(), String> {
    let limit = probe.timeout.0;
    if probe.heartbeat {
        return beat(subject.beat, limit);
    }
    let look = async {
        if let Some(url) = &probe.http {
            http(&(subject.fill)(url)).await
        } else if let Some(address) = &probe.tcp {
            connect(&(subject.fill)(address)).await.map(drop)
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

async fn http(url: &str) -> Result<(), String> {
    let (host, path) = split_url(url)?;
    let mut stream = connect(&host).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: paramedic\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
    // `HTTP/1.1 200` is all that counts.
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.map_err(|_| "closed the connection without an answer".to_owned())?;
    let status = std::str::from_utf8(&head)
        .ok()
        .and_then(|text| text.strip_prefix("HTTP/1."))
        .and_then(|text| text.get(2..)?.parse::<u16>().ok())
        .ok_or("answered with something that is not HTTP")?;
    match status {
        200..=399 => Ok(()),
        _ => Err(format!("answered with status {status}")),
    }
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
        check(probe, &Subject { fill: &fill, launch: &launch, spawner: &spawner, beat: None }).await
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
