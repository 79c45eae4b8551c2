//! Deployments of Kubernetes are kernels: rollout restart, scale, stop, logs, health.
//!
//! Against a stand-in for the API server, which does to a deployment what the controller does and refuses each request
//! that the real one would: wrong path, method, content type, token or patch. TLS is a real `openssl s_server`.
#![cfg(feature = "kubernetes")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/kernels.rs"]
mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use paramedic::kernels;
use serde_json::{Value, json};
use support::World;

/// The API server, of one deployment `web` in the namespace `shop`.
struct Server {
    deployment: Value,
    /// What the pods cannot do: why they wait.
    sick: Option<&'static str>,
    /// Looks until the controller has seen a change, and until new pods are ready.
    lag: u32,
    token: &'static str,
    forbids: bool,
    patches: Vec<Value>,
}

type Shared = State<Arc<Mutex<Server>>>;

const PATH: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code });
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

impl Server {
    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if header("authorization") != format!("Bearer {}", self.token) {
            return status(401, "Unauthorized", "Unauthorized");
        }
        if self.forbids {
            return status(
                403,
                "Forbidden",
                "deployments.apps \"web\" is forbidden: User \"paramedic\" cannot get resource",
            );
        }
        let query = uri.query().unwrap_or_default();
        match (method.as_str(), uri.path()) {
            ("GET", PATH) => {
                self.settle();
                Json(self.deployment.clone()).into_response()
            }
            ("PATCH", PATH) => {
                if header("content-type") != "application/strategic-merge-patch+json" {
                    return status(
                        415,
                        "UnsupportedMediaType",
                        "the body of the request was in an unknown format",
                    );
                }
                let Ok(patch) = serde_json::from_slice::<Value>(body) else {
                    return status(400, "BadRequest", "not JSON");
                };
                self.patch(&patch);
                Json(self.deployment.clone()).into_response()
            }
            ("GET", "/api/v1/namespaces/shop/pods")
                if query.contains("labelSelector=%61%70%70%3D%77%65%62") =>
            {
                let state = match self.sick {
                    None => json!({ "running": {} }),
                    Some(reason) => json!({ "waiting": { "reason": reason } }),
                };
                let pod = |n: u32| json!({ "metadata": { "name": format!("web-{n}") }, "status": { "containerStatuses": [{ "state": state }] } });
                Json(json!({ "kind": "PodList", "items": [pod(1), pod(2)] })).into_response()
            }
            ("GET", "/api/v1/namespaces/shop/pods/web-1/log") if query == "tailLines=2&container=app" => {
                "a\nb\n".into_response()
            }
            ("GET", "/api/v1/namespaces/shop/pods/web-2/log") => {
                status(400, "BadRequest", "container \"app\" is waiting to start")
            }
            _ => status(404, "NotFound", "the server could not find the requested resource"),
        }
    }

    /// A strategic merge patch, as far as maps go: `null` takes out, the rest is put in.
    fn patch(&mut self, patch: &Value) {
        fn merge(into: &mut Value, patch: &Value) {
            let Value::Object(patch) = patch else {
                *into = patch.clone();
                return;
            };
            for (name, value) in patch {
                if value.is_null() {
                    into.as_object_mut().unwrap().remove(name);
                } else {
                    merge(&mut into[name], value);
                }
            }
        }
        let before = self.deployment["spec"].clone();
        merge(&mut self.deployment, patch);
        self.patches.push(patch.clone());
        if self.deployment["spec"] != before {
            self.deployment["metadata"]["generation"] = json!(self.generation() + 1);
            self.lag = 2;
        }
    }

    fn generation(&self) -> u64 {
        self.deployment["metadata"]["generation"].as_u64().unwrap()
    }

    /// What the controller does between two looks.
    fn settle(&mut self) {
        if self.lag > 0 {
            self.lag -= 1;
            return;
        }
        let n = self.deployment["spec"]["replicas"].as_u64().unwrap();
        let available = if self.sick.is_some() { 0 } else { n };
        self.deployment["status"] = json!({
            "observedGeneration": self.generation(), "replicas": n, "updatedReplicas": n, "availableReplicas": available,
        });
    }
}

async fn serve() -> (String, Arc<Mutex<Server>>) {
    let server = Arc::new(Mutex::new(Server {
        deployment: json!({
            "metadata": { "name": "web", "generation": 1, "annotations": {} },
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" } }, "template": { "metadata": { "annotations": {} } } },
            "status": {},
        }),
        sick: None,
        lag: 0,
        token: "t1",
        forbids: false,
        patches: Vec::new(),
    }));
    let answer = |State(it): Shared, method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        it.lock().unwrap().answer(&method, &uri, &headers, &body)
    };
    let router = Router::new().fallback(answer).with_state(Arc::clone(&server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, server)
}

/// A kubeconfig for this server, in `dir`, with this user.
fn kubeconfig(dir: &Path, server: &str, cluster: &str, user: &str) -> String {
    let path = dir.join("config");
    let text = format!(
        "{{current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u, namespace: shop}}}}], \
         clusters: [{{name: k, cluster: {{server: '{server}'{cluster}}}}}], users: [{{name: u, user: {user}}}]}}"
    );
    std::fs::write(&path, text).unwrap();
    format!(
        "[{{name: web, provider: kubernetes, replicas: {{min: 1, max: 5}}, start_timeout: 5s, \
         health: {{exec: ['true'], interval: 100ms, failures: 2}}, \
         kubernetes: {{kubeconfig: '{}', container: app}}}}]",
        path.display()
    )
}

#[tokio::test]
async fn a_deployment_is_adopted_rolled_out_once_scaled_stopped_and_read() {
    let (url, server) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "t1\n").unwrap();
    let yaml = kubeconfig(dir.path(), &url, "", &format!("{{tokenFile: '{}'}}", token.display()));
    let world = World::new(&yaml, dir.path());
    let (heard, registry) = (&world.heard, &world.registry);
    registry.boot().await;
    heard.wait("web", "healthy", "adopted").await;
    let view = world.view("web");
    assert_eq!((view.state, view.desired, view.replicas.len()), (kernels::State::Healthy, 2, 2));
    assert!(server.lock().unwrap().patches.is_empty(), "an engine that starts changes nothing");

    // A restart is a rollout, and over when the new pods are there.
    let view = registry.restart("web", None, "r1").await.unwrap();
    assert_eq!((view.state, view.restarts), (kernels::State::Healthy, 1));
    assert!(view.boot_ms.is_some_and(|ms| ms > 0.0));
    heard.wait("web", "healthy", "booted").await;
    let patches = std::mem::take(&mut server.lock().unwrap().patches);
    let at = &patches[0]["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
    assert!(patches.len() == 1 && at.as_str().is_some_and(|at| at.contains('T')), "{patches:?}");

    // The engine dies before the step's end is on disk; its next life comes with the same key.
    let next = World::new(&yaml, dir.path());
    next.registry.restart("web", None, "r1").await.unwrap();
    assert!(server.lock().unwrap().patches.is_empty(), "a rollout that was begun is not begun again");
    next.registry.shutdown().await;

    // Its tokens change: the file is read anew.
    server.lock().unwrap().token = "t2";
    std::fs::write(&token, "t2").unwrap();
    assert_eq!(registry.scale("web", 3, "").await.unwrap().desired, 3);
    let view = registry.stop("web", None, "").await.unwrap();
    assert_eq!(
        (view.state, server.lock().unwrap().deployment["spec"]["replicas"].as_u64()),
        (kernels::State::Stopped, Some(0))
    );
    let view = registry.start("web", "").await.unwrap();
    assert_eq!((view.state, view.desired), (kernels::State::Healthy, 3), "as many as there were");
    assert_eq!(registry.logs("web", 2).await.unwrap()[..2], ["a", "b"]);

    // Pods that do not run make it unhealthy, with the reason that a person would look for.
    server.lock().unwrap().sick = Some("CrashLoopBackOff");
    let data = heard.wait("web", "unhealthy", "hang").await;
    assert_eq!(data["message"], "has 0 of 3 replicas available: CrashLoopBackOff (2 pods)");
    let failure = registry.restart("web", None, "r2").await.unwrap_err();
    assert!(failure.retryable && failure.message.contains("CrashLoopBackOff"), "{failure}");
    server.lock().unwrap().sick = None;
    heard.wait("web", "healthy", "booted").await;

    // What cannot be done says why, and whether it is worth another try.
    server.lock().unwrap().forbids = true;
    let failure = registry.restart("web", None, "r3").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("refused", false));
    assert!(
        failure.message.contains("cannot get resource") && failure.message.contains("pods/log"),
        "{failure}"
    );
    server.lock().unwrap().token = "t3";
    let failure = registry.restart("web", None, "r4").await.unwrap_err();
    assert!(failure.kind == "refused" && !failure.message.contains("t2"), "{failure}");
    registry.shutdown().await;
    let lost = World::new(&yaml.replace("container: app", "deployment: lost"), dir.path());
    {
        let mut it = server.lock().unwrap();
        (it.token, it.forbids) = ("t2", false);
    }
    let failure = lost.registry.restart("web", None, "").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("invalid", false));
    assert!(failure.message.contains("no deployment `lost` in the namespace `shop`"), "{failure}");
}

#[tokio::test]
async fn a_program_of_the_kubeconfig_may_give_the_token() {
    let (url, server) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    let script = format!(
        "echo x >> {}; test \"$SECRET\" = s && echo '{{\"kind\": \"ExecCredential\", \"status\": {{\"token\": \"t1\"}}}}'",
        count.display()
    );
    let user = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, {script:?}], env: [{{name: SECRET, value: s}}]}}}}"
    );
    let world = World::new(&kubeconfig(dir.path(), &url, "", &user), dir.path());
    world.registry.boot().await;
    world.heard.wait("web", "healthy", "adopted").await;
    assert!(world.registry.health("web").await.unwrap().healthy);
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\n", "a token is kept while it holds");
    server.lock().unwrap().token = "t2";
    assert!(!world.registry.health("web").await.unwrap().healthy);
    server.lock().unwrap().token = "t1";
    assert!(world.registry.health("web").await.unwrap().healthy);
    assert!(std::fs::read_to_string(&count).unwrap().len() >= 4, "one that is not taken is asked for anew");
    world.registry.shutdown().await;
}

#[tokio::test]
async fn only_the_authority_of_the_kubeconfig_is_believed_and_the_engine_shows_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let run = Command::new("openssl").args(arguments.split(' ')).current_dir(dir.path()).output();
        run.is_ok_and(|output| output.status.success())
    };
    if !openssl("version") {
        assert!(std::env::var_os("CI").is_none(), "openssl is missing, and CI is to have it");
        println!("skipped: openssl is not installed");
        return;
    }
    for (name, subject) in [("ca", "/CN=authority"), ("other", "/CN=other")] {
        assert!(openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj {subject} -keyout {name}.key -out {name}.crt"
        )));
    }
    std::fs::write(dir.path().join("ext"), "subjectAltName=IP:127.0.0.1").unwrap();
    for name in ["server", "client"] {
        assert!(openssl(&format!(
            "req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        )));
        assert!(openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out {name}.crt"
        )));
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut tls = Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            &format!("127.0.0.1:{port}"),
            "-cert",
            "server.crt",
            "-key",
            "server.key",
        ])
        .args(["-CAfile", "ca.crt", "-Verify", "1", "-verify_return_error", "-www", "-quiet"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut said = Vec::new();
    for (authority, user) in [
        ("ca.crt", "{client-certificate: client.crt, client-key: client.key}"),
        ("other.crt", "{client-certificate: client.crt, client-key: client.key}"),
        ("ca.crt", "{}"),
    ] {
        let server = format!("https://127.0.0.1:{port}");
        let yaml = kubeconfig(dir.path(), &server, &format!(", certificate-authority: {authority}"), user);
        let world = World::new(&yaml, dir.path());
        said.push(world.registry.restart("web", None, "").await.unwrap_err().message);
    }
    tls.kill().unwrap();
    tls.wait().unwrap();
    // It is no API server; that this is seen shows that both sides believed each other.
    assert!(said[0].contains("does not speak as Kubernetes does"), "{said:#?}");
    assert!(said[1].contains("cannot reach Kubernetes") && said[1].contains("certificate"), "{said:#?}");
    assert!(said[2].contains("cannot reach Kubernetes") || said[2].contains("broke off"), "{said:#?}");
}
