//! `http.request` to real listeners: where it goes, what it sends, and what it keeps to itself.

use super::*;

#[tokio::test]
async fn an_allowed_address_is_asked_once_without_following_redirects() {
    let (address, heard) = serve(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 8\r\n\r\n{\"a\": 1}",
    )
    .await;
    let world = world("[]", json!({ "http": { "allow": [address] } }));
    let params = json!({ "url": format!("http://{address}/x?y"), "method": "POST", "json": { "b": 2 }, "headers": { "x-one": "1" } });
    let done = world.act("http.request", params.clone()).await.unwrap();
    assert_eq!(
        (&done["status"], &done["json"]["a"], &done["headers"]["location"]),
        (&302.into(), &1.into(), &"http://169.254.169.254/".into())
    );
    let request = heard.lock().unwrap().join("|");
    for part in ["POST /x?y HTTP/1.1\r\n", "idempotency-key: run-1\r\n", "x-one: 1\r\n", "{\"b\":2}"] {
        assert!(request.contains(part), "{part} in {request}");
    }
    let action = world.actions.get("http.request").unwrap();
    assert!(!action.idempotent(&call("http.request", params)));
    assert!(action.idempotent(&call("http.request", json!({ "url": "http://x/", "method": "DELETE" }))));
}

#[tokio::test]
async fn a_loopback_address_that_is_not_allowed_is_never_connected_to() {
    let (address, heard) = serve("HTTP/1.1 200 OK\r\n\r\n").await;
    let world = world("[]", json!({}));
    let failure =
        world.act("http.request", json!({ "url": format!("http://{address}/") })).await.unwrap_err();
    assert_eq!(failure.kind, "refused");
    assert!(failure.message.contains("`actions.http.allow`"), "{failure}");
    let port = address.rsplit_once(':').unwrap().1;
    let failure =
        world.act("http.request", json!({ "url": format!("http://localhost:{port}/") })).await.unwrap_err();
    assert_eq!(failure.kind, "refused");
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_status_fails_a_large_body_is_cut_and_a_forged_header_is_refused() {
    let (busy, _) = serve("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nlate").await;
    let body: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(400_000)).into_boxed_str(),
    );
    let (large, _) = serve(body).await;
    let world = world("[]", json!({ "http": { "allow": [busy, large] } }));
    let url = format!("http://{busy}/");
    let failure = world.act("http.request", json!({ "url": url })).await.unwrap_err();
    assert!(failure.retryable && failure.message.ends_with("answered with status 503: late"), "{failure}");
    let done = world.act("http.request", json!({ "url": url, "accept": [503] })).await.unwrap();
    assert_eq!(done["body"], "late");
    let done = world.act("http.request", json!({ "url": format!("http://{large}/") })).await.unwrap();
    assert_eq!((done["body"].as_str().unwrap().len(), &done["truncated"]), (256 * 1024, &true.into()));
    for headers in [json!({ "host": "x" }), json!({ "a": "b\r\nc: d" }), json!({ "a b": "c" })] {
        let failure = world.act("http.request", json!({ "url": url, "headers": headers })).await.unwrap_err();
        assert_eq!(failure.kind, "invalid", "{failure}");
    }
}

#[tokio::test]
async fn a_secret_goes_only_to_whom_it_is_for_and_comes_back_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "t0psecret\n").unwrap();
    let echo = "HTTP/1.1 200 OK\r\nx-echo: Bearer t0psecret\r\ncontent-length: 31\r\n\r\n{\"you sent\": \"Bearer t0psecret\"}";
    let (friend, heard) = serve(echo).await;
    let (stranger, strange) = serve(echo).await;
    let world = world(
        "[]",
        json!({ "http": { "allow": [friend, stranger], "secrets": {
            "api": { "from": { "file": path }, "to": [friend, "example.com:80"] },
            "gone": { "from": { "file": dir.path().join("none") }, "to": [friend] },
        } } }),
    );
    let ask = |host: &str, name: &str| json!({ "url": format!("http://{host}/"), "headers": { "authorization": { "secret": name, "prefix": "Bearer " } } });
    let done = world.act("http.request", ask(&friend, "api")).await.unwrap();
    assert!(heard.lock().unwrap()[0].contains("authorization: Bearer t0psecret\r\n"));
    assert!(!done.to_string().contains("t0psecret"), "{done}");
    assert_eq!(done["headers"]["x-echo"], "Bearer [secret]");
    for (host, name, says) in [
        (stranger.as_str(), "api", "may not be sent to"),
        (friend.as_str(), "apj", "no secret is named `apj`: there are api, gone"),
        (friend.as_str(), "gone", "cannot read the secret"),
        ("example.com", "api", "in the clear: use https"),
    ] {
        let failure = world.act("http.request", ask(host, name)).await.unwrap_err();
        assert!(failure.message.contains(says), "{failure}");
        let mut dry = call("http.request", ask(host, name));
        dry.dry = true;
        let said = world.actions.call(dry, None).await.unwrap();
        assert!(!said.to_string().contains("t0psecret"), "{said}");
    }
    assert!(strange.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_may_be_repeated_by_its_method_or_by_a_key_of_its_own() {
    let world = world("[]", json!({}));
    let action = world.actions.get("http.request").unwrap();
    for (params, again) in [
        (json!({ "url": "http://x/" }), true),
        (json!({ "url": "http://x/", "method": "PUT" }), true),
        (json!({ "url": "http://x/", "method": "POST" }), false),
        (json!({ "url": "http://x/", "method": "PATCH" }), false),
        (json!({ "url": "http://x/", "method": "POST", "headers": { "Idempotency-Key": "a" } }), true),
    ] {
        assert_eq!(action.idempotent(&call("http.request", params.clone())), again, "{params}");
    }
}

#[tokio::test]
async fn a_server_that_never_ends_costs_no_more_than_the_time_given() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok();
                // A byte now and then, without end.
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    });
    let world = world("[]", json!({ "http": { "allow": [address] } }));
    let slow = call("http.request", json!({ "url": format!("http://{address}/") }));
    let begun = Instant::now();
    let failure = world.actions.call(slow, Some(Span(Duration::from_millis(300)))).await.unwrap_err();
    assert!(failure.kind == "timeout" && failure.retryable, "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}
