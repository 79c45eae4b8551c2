//! A deployment of Kubernetes: a restart is a rollout, a stop is no replicas, its health is what its status says.
//!
//! Six calls of the API, made by the HTTP client that is there anyway; a client library would multiply the time to build.
//! What the engine must be allowed: get and patch `deployments`, list `pods`, get `pods/log`.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/>

mod access;
mod login;
mod stand;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::process::Spawner;
use super::web::{self, body, why};
use super::{Outside, Sight};
use crate::kernels::body::Done;
use crate::kernels::spec::Spec;
use crate::kernels::view::State;
use crate::model::Failure;
use access::Access;

/// One deployment.
pub(super) struct Deployment {
    name: String,
    namespace: String,
    container: Option<String>,
    /// What a start brings it to when nobody knows better.
    least: u32,
    access: Access,
    spawner: Spawner,
}

/// Set by a restart, as kubectl does.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Set by a stop: how many replicas there were.
const REPLICAS: &str = "paramedic/replicas";

/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Pods whose logs are read.
const PODS: usize = 10;

impl Deployment {
    pub(super) fn try_new(spec: &Spec, spawner: Spawner) -> Result<Self, String> {
        let it = spec.kubernetes.clone().unwrap_or_default();
        let access = Access::open(&it)?;
        let namespace = it.namespace.or_else(|| access.namespace.clone()).unwrap_or_else(|| "default".into());
        let (name, least) = (it.deployment.unwrap_or_else(|| spec.name.clone()), spec.replicas.min);
        Ok(Self { name, namespace, container: it.container, least, access, spawner })
    }

    fn path(&self) -> String {
        format!("/apis/apps/v1/namespaces/{}/deployments/{}", self.namespace, self.name)
    }

    async fn ask(&self, method: Method, path: &str, patch: Option<Value>) -> Result<Vec<u8>, Failure> {
        let server = &self.access.server;
        let mut request = self.access.client.request(method, format!("{server}{path}")).timeout(LIMIT);
        let token = self.access.login.token(&self.spawner).await;
        if let Some(token) = token.map_err(|problem| Failure::retryable("failed", problem))? {
            request = request.bearer_auth(token);
        }
        if let Some(patch) = patch {
            request = request
                .header("content-type", "application/strategic-merge-patch+json")
                .body(patch.to_string());
        }
        let answer = request.send().await.map_err(|error| {
            let kind = if error.is_timeout() { "timeout" } else { "failed" };
            Failure::retryable(kind, format!("cannot reach Kubernetes at {server}: {}", why(error)))
        })?;
        let status = answer.status();
        let bytes = body(answer).await.map_err(|error| {
            Failure::retryable("failed", format!("Kubernetes at {server} broke off: {error}"))
        })?;
        if status.is_success() {
            return Ok(bytes);
        }
        if status == StatusCode::UNAUTHORIZED {
            self.access.login.forget().await;
        }
        Err(web::failure(status, self.said(status, &bytes)))
    }

    fn said(&self, status: StatusCode, bytes: &[u8]) -> String {
        let said: Option<Value> = serde_json::from_slice(bytes).ok();
        let said = said.as_ref().and_then(|said| said["message"].as_str()).unwrap_or("no reason given");
        let server = &self.access.server;
        match status {
            StatusCode::UNAUTHORIZED => {
                format!("Kubernetes at {server} does not take the engine's token or certificate: {said}")
            }
            StatusCode::FORBIDDEN => format!(
                "Kubernetes at {server} does not let the engine do this: {said}; it must be allowed to get and patch \
                 deployments, to list pods and to get pods/log in the namespace `{}`",
                self.namespace
            ),
            StatusCode::NOT_FOUND => format!(
                "Kubernetes at {server} knows no deployment `{}` in the namespace `{}`: see `kubectl get deployments -A`, \
                 and `kubernetes` in the configuration",
                self.name, self.namespace
            ),
            _ => format!("Kubernetes at {server} says {}: {said}", status.as_u16()),
        }
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        let bytes = self.ask(Method::GET, path, None).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let server = &self.access.server;
            Failure::new(
                "failed",
                format!("what answers at {server} does not speak as Kubernetes does: {error}"),
            )
        })
    }

    async fn patch(&self, patch: Value) -> Result<(), Failure> {
        self.ask(Method::PATCH, &self.path(), Some(patch)).await.map(drop)
    }

    async fn pods(&self, deployment: &Value) -> Result<Value, Failure> {
        let Some(selector) = stand::selector(deployment) else { return Ok(json!({ "items": [] })) };
        let selector: String = selector.bytes().map(|b| format!("%{b:02X}")).collect();
        self.get(&format!("/api/v1/namespaces/{}/pods?labelSelector={selector}&limit=500", self.namespace))
            .await
    }

    async fn sight(&self) -> Result<Sight, Failure> {
        let deployment = self.get(&self.path()).await?;
        let mut sight = stand::read(&deployment);
        if matches!(sight.state, State::Unhealthy | State::Booting) {
            // They add to what is known; that they cannot be seen takes nothing away.
            let reasons = self.pods(&deployment).await.map(|pods| stand::reasons(&pods)).unwrap_or_default();
            if !reasons.is_empty() {
                let problem = sight.problem.take().unwrap_or_else(|| "is rolling out".into());
                sight.problem = Some(format!("{problem}: {}", reasons.join("; ")));
            }
        }
        Ok(sight)
    }

    async fn begin(&self) -> Result<(), Failure> {
        let deployment = self.get(&self.path()).await?;
        if deployment["spec"]["replicas"].as_u64() != Some(0) {
            return Ok(());
        }
        let noted =
            deployment["metadata"]["annotations"][REPLICAS].as_str().and_then(|text| text.parse().ok());
        let n: u32 = noted.filter(|n| *n > 0).unwrap_or(self.least);
        self.patch(json!({ "metadata": { "annotations": { REPLICAS: null } }, "spec": { "replicas": n } }))
            .await
    }

    async fn end(&self) -> Result<(), Failure> {
        let deployment = self.get(&self.path()).await?;
        let n = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        if n == 0 {
            return Ok(());
        }
        let note = json!({ "annotations": { REPLICAS: n.to_string() } });
        self.patch(json!({ "metadata": note, "spec": { "replicas": 0 } })).await
    }

    async fn roll(&self) -> Result<(), Failure> {
        let now = chrono::DateTime::from_timestamp(web::now(), 0).unwrap_or_default().to_rfc3339();
        let template = json!({ "metadata": { "annotations": { RESTARTED: now } } });
        self.patch(json!({ "spec": { "template": template } })).await
    }

    async fn lines(&self, n: usize) -> Result<Vec<String>, Failure> {
        let deployment = self.get(&self.path()).await?;
        let pods = self.pods(&deployment).await?;
        let names =
            pods["items"].as_array().into_iter().flatten().filter_map(|pod| pod["metadata"]["name"].as_str());
        let container = self.container.as_ref().map(|name| format!("&container={name}")).unwrap_or_default();
        let mut lines = Vec::new();
        for pod in names.take(PODS) {
            let path =
                format!("/api/v1/namespaces/{}/pods/{pod}/log?tailLines={n}{container}", self.namespace);
            match self.ask(Method::GET, &path, None).await {
                Ok(bytes) => lines.extend(web::last_lines(&bytes, n)),
                // One that has not begun yet, or has several containers, is no reason to show nothing of the others.
                Err(failure) if failure.kind == "invalid" => lines.push(format!("({pod}: {failure})")),
                Err(failure) => return Err(failure),
            }
        }
        Ok(lines)
    }
}

impl Outside for Deployment {
    fn look(&self) -> Done<'_, Sight> {
        Box::pin(self.sight())
    }

    fn start<'a>(&'a self, _key: &'a str) -> Done<'a> {
        Box::pin(self.begin())
    }

    fn stop<'a>(&'a self, _grace: Duration, _key: &'a str) -> Done<'a> {
        Box::pin(self.end())
    }

    fn restart<'a>(&'a self, _grace: Duration, _key: &'a str) -> Done<'a> {
        Box::pin(async move {
            self.roll().await?;
            // One that was scaled to nothing comes back too.
            self.begin().await
        })
    }

    fn scale<'a>(&'a self, n: u32, _key: &'a str) -> Done<'a> {
        Box::pin(self.patch(json!({ "spec": { "replicas": n } })))
    }

    fn logs(&self, n: usize) -> Done<'_, Vec<String>> {
        Box::pin(self.lines(n))
    }
}
