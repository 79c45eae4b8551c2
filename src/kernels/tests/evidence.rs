//! What counts as a sign that a kernel works, with real processes and sockets.

use super::*;

/// Serves `GET` on the port in `$PORT`.
const SERVER: &str = "import http.server,os; http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()";

/// A port that nobody had a moment ago.
fn free_port() -> u16 {
    crate::kernels::ports::Ports::default().take().unwrap()
}

/// Answers each connection with 200.
async fn stranger(port: u16) -> tokio::task::JoinHandle<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Whoever only connects asks nothing.
            if stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.ok();
            }
        }
    })
}

#[tokio::test]
async fn a_port_that_somebody_else_has_refuses_the_start_and_names_who() {
    let port = free_port();
    let _stranger = stranger(port).await;
    for probe in ["http: 'http://127.0.0.1:${PORT}/'", "tcp: 'localhost:${PORT}'", "exec: ['true']"] {
        let Set { heard, registry, dir } = set(&format!(
            "[{{name: k, port: {port}, command: [sh, -c, 'touch DIR/started; sleep 60'], health: {{{probe}}}}}]"
        ));
        let view = registry.boot().await.remove(0);
        assert_eq!((view.state, view.pids.len()), (State::Exited, 0), "{probe}");
        let error = view.last_error.unwrap();
        let own = format!("port {port} is taken by process {} (`", std::process::id());
        assert!(error.starts_with(&own) && error.contains("give the kernel another `port`"), "{error}");
        assert!(heard.of("healthy").is_empty() && !dir.path().join("started").exists());
    }
}

#[tokio::test]
async fn an_answer_counts_only_if_it_comes_from_the_kernel_itself() {
    let port = free_port();
    // It leaves its port to whoever wants it.
    for probe in ["http: 'http://127.0.0.1:${PORT}/'", "tcp: '127.0.0.1:${PORT}'"] {
        let Set { heard, registry, dir } = set(&format!(
            "[{{name: k, port: {port}, start_timeout: 1s, command: [sh, -c, 'touch DIR/started; sleep 60'],
                health: {{{probe}, interval: 20ms}}}}]"
        ));
        let boot = tokio::spawn({
            let registry = registry.clone();
            async move { registry.boot().await.remove(0) }
        });
        while !dir.path().join("started").exists() {
            sleep(Duration::from_millis(5)).await;
        }
        let stranger = stranger(port).await;
        let view = boot.await.unwrap();
        assert_eq!(view.state, State::Unhealthy, "{probe}");
        assert!(heard.of("healthy").is_empty());
        let problem = registry.health("k").await.unwrap().problems.remove(0);
        let who = format!("it is process {} (`", std::process::id());
        assert!(problem.contains(&who) && problem.contains("listener: any"), "{problem}");
        registry.shutdown().await;
        stranger.abort();
        stranger.await.ok();
    }
}

#[tokio::test]
async fn a_kernel_whose_child_or_daemon_listens_is_healthy() {
    if std::process::Command::new("python3").arg("-V").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing, and CI is to have it");
        return;
    }
    for command in [
        format!("[python3, -c, \"{SERVER}\"]"),
        "[sh, -c, 'python3 -c \"$SERVER\" & wait']".to_owned(),
        "[sh, -c, '(setsid python3 -c \"$SERVER\" &) ; sleep 60']".to_owned(),
    ] {
        let Set { registry, dir: _dir, .. } = set(&format!(
            "[{{name: k, port: auto, command: {command}, env: {{SERVER: \"{SERVER}\"}},
                health: {{http: 'http://127.0.0.1:${{PORT}}/', interval: 50ms, timeout: 5s}}}}]"
        ));
        let view = registry.boot().await.remove(0);
        assert_eq!(view.state, State::Healthy, "{command}: {:?}", view.last_error);
        assert!(registry.health("k").await.unwrap().healthy);
        registry.shutdown().await;
    }
}

#[tokio::test]
async fn a_probe_reads_the_answer_to_its_end_so_that_the_service_sees_no_broken_pipe() {
    let body = "x".repeat(200_000);
    for announced in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let head = if announced { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}");
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..n]).into_owned();
            let sent = async {
                for part in answer.as_bytes().chunks(20_000) {
                    stream.write_all(part).await?;
                    sleep(Duration::from_millis(1)).await;
                }
                stream.shutdown().await?;
                // What is left unread at the other end would come back as a reset.
                stream.read(&mut [0; 1]).await
            };
            (text, sent.await.map_err(|error| error.to_string()))
        });
        let Set { registry, dir: _dir, .. } = set(&format!(
            "[{{name: k, command: [sleep, '60'],
                health: {{http: 'http://127.0.0.1:{port}/', listener: any, interval: 10m, timeout: 5s}}}}]"
        ));
        assert_eq!(registry.boot().await.remove(0).state, State::Healthy);
        let (request, sent) = serve.await.unwrap();
        assert!(request.contains("\r\nConnection: close\r\n"), "{request}");
        assert_eq!(sent, Ok(0), "announced: {announced}");
        registry.shutdown().await;
    }
}

#[tokio::test]
async fn a_heartbeat_of_a_kernel_that_does_not_run_is_none() {
    let Set { heard, registry, dir: _dir } =
        set("[{name: k, command: [sleep, '60'], health: {heartbeat: true, interval: 20ms, timeout: 10m}}]");
    registry.heartbeat("k", None);
    let boot = tokio::spawn({
        let registry = registry.clone();
        async move { registry.boot().await }
    });
    heard.wait("booting", 1).await;
    while registry.get("k").unwrap().pids.is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    registry.heartbeat("k", None);
    boot.await.unwrap();
    registry.stop("k", None, "").await.unwrap();
    // Somebody goes on to send them, and so he does while the next one starts.
    registry.heartbeat("k", None);
    let restart = tokio::spawn({
        let registry = registry.clone();
        async move { registry.start("k", "").await }
    });
    heard.wait("booting", 2).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(registry.get("k").unwrap().state, State::Booting);
    registry.shutdown().await;
    restart.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_heartbeat_that_names_its_process_counts_for_that_one_alone() {
    let Set { registry, dir, .. } = set(
        "[{name: k, command: [sh, -c, 'echo $PARAMEDIC_INSTANCE > DIR/$PARAMEDIC_REPLICA; sleep 60'], replicas: {min: 2, max: 2},
           start_timeout: 10m, health: {heartbeat: true, interval: 20ms, timeout: 10m}}]",
    );
    let boot = tokio::spawn({
        let registry = registry.clone();
        async move { registry.boot().await }
    });
    let instance = async |replica: &str| loop {
        let text = std::fs::read_to_string(dir.path().join(replica)).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        sleep(Duration::from_millis(5)).await;
    };
    let (first, second) = (instance("0").await, instance("1").await);
    let states = || registry.get("k").unwrap().replicas.iter().map(|it| it.state).collect::<Vec<_>>();
    registry.heartbeat("k", Some("of another start"));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(states(), [State::Booting, State::Booting]);
    registry.heartbeat("k", Some(&first));
    while states()[0] != State::Healthy {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(Duration::from_millis(100)).await;
    assert_eq!(states(), [State::Healthy, State::Booting], "each answers for itself");
    registry.heartbeat("k", Some(&second));
    boot.await.unwrap();
    assert_eq!(states(), [State::Healthy, State::Healthy]);
    registry.shutdown().await;
}
