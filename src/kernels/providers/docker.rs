//! A container of Docker or Podman, over the API socket. Nothing is created or removed, only what is there is operated.
//!
//! Eight calls of the Engine API in its compatible form, which Podman serves too; so no client library is needed.
//! <https://docs.docker.com/reference/api/engine/>

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::web::{self, body};
use super::{Outside, Sight};
use crate::kernels::body::Done;
use crate::kernels::spec::Spec;
use crate::kernels::view::State;
use crate::model::Failure;

/// One container.
pub(super) struct Container {
    name: String,
    socket: PathBuf,
    client: Client,
}

/// Where the daemon serves by default.
const SOCKET: &str = "/var/run/docker.sock";

/// Over and above the grace, how long the daemon may take to answer.
const MARGIN: Duration = Duration::from_secs(30);

/// What is read of `GET /containers/{id}/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Inspected {
    id: String,
    state: ContainerState,
    config: ContainerConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerState {
    status: String,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    pid: u32,
    exit_code: i64,
    error: String,
    started_at: String,
    finished_at: String,
    health: Option<Health>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Health {
    status: String,
    log: Option<Vec<Check>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    output: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerConfig {
    tty: bool,
}

impl Container {
    pub(super) fn try_new(spec: &Spec) -> Result<Self, String> {
        let it = spec.docker.clone().unwrap_or_default();
        let socket = match it.socket {
            Some(socket) => socket,
            None => from_env(std::env::var("DOCKER_HOST").ok().as_deref())?,
        };
        let client = web::client().unix_socket(socket.clone()).build();
        let client =
            client.map_err(|error| format!("cannot make a client of Docker: {}", web::why(error)))?;
        Ok(Self { name: it.container.unwrap_or_else(|| spec.name.clone()), socket, client })
    }

    async fn ask(&self, method: Method, path: &str, limit: Duration) -> Result<Vec<u8>, Failure> {
        let asked = self.client.request(method, format!("http://docker{path}")).timeout(limit).send().await;
        let answer = asked.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        let bytes = body(answer).await.map_err(|error| {
            Failure::retryable("failed", format!("Docker at {} broke off: {error}", self.socket.display()))
        })?;
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(bytes);
        }
        let said: Option<Value> = serde_json::from_slice(&bytes).ok();
        let said =
            said.as_ref().and_then(|said| said["message"].as_str()).unwrap_or("no reason given").trim();
        let message = match status {
            StatusCode::NOT_FOUND => format!(
                "Docker at {} knows no container `{}`: see `docker ps -a`, and `docker.container` in the configuration",
                self.socket.display(),
                self.name
            ),
            _ => format!("Docker at {} says {}: {said}", self.socket.display(), status.as_u16()),
        };
        Err(web::failure(status, message))
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let denied = is_denied(&error);
        let (at, timed_out) = (self.socket.display(), error.is_timeout());
        let why = web::why(error);
        if denied {
            let advice = "let the engine's user open it, for Docker by the group `docker`";
            return Failure::new("refused", format!("the engine may not open {at}: {advice}"));
        }
        if timed_out {
            return Failure::retryable("timeout", format!("Docker at {at} does not answer: {why}"));
        }
        let advice = "is the daemon running, and is that its socket (`docker.socket`)?";
        Failure::retryable("failed", format!("cannot reach Docker at {at}: {why}; {advice}"))
    }

    async fn inspect(&self) -> Result<Inspected, Failure> {
        let path = format!("/containers/{}/json", self.name);
        let bytes = self.ask(Method::GET, &path, MARGIN).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let at = self.socket.display();
            Failure::new("failed", format!("what answers at {at} does not speak as Docker does: {error}"))
        })
    }

    async fn sight(&self) -> Result<Sight, Failure> {
        let it = self.inspect().await?;
        let mut sight = read(&it.state);
        if sight.state == State::Exited && self.was_stopped(&it).await {
            sight.state = State::Stopped;
        }
        Ok(sight)
    }

    /// Whether a person or a program asked for its end: the daemon then tells `stop` besides `die`.
    async fn was_stopped(&self, it: &Inspected) -> bool {
        let ended = chrono::DateTime::parse_from_rfc3339(&it.state.finished_at);
        let Ok(ended) = ended.map(|at| at.timestamp()) else { return false };
        // Only so far back: the daemon keeps few events, and would wait for more without an end.
        let (since, until) = (ended - 2, (ended + 60).min(web::now()));
        let filters = format!(r#"{{"container":["{}"],"event":["stop"]}}"#, it.id);
        let filters: String = filters.bytes().map(|b| format!("%{b:02X}")).collect();
        let path = format!("/events?since={since}&until={until}&filters={filters}");
        match self.ask(Method::GET, &path, Duration::from_secs(5)).await {
            Ok(bytes) => !bytes.trim_ascii().is_empty(),
            Err(_) => false,
        }
    }

    async fn post(&self, what: &str, grace: Option<Duration>) -> Result<(), Failure> {
        let query = grace.map(|grace| format!("?t={}", seconds(grace))).unwrap_or_default();
        let path = format!("/containers/{}/{what}{query}", self.name);
        self.ask(Method::POST, &path, grace.unwrap_or_default() + MARGIN).await.map(drop)
    }
}

impl Outside for Container {
    fn look(&self) -> Done<'_, Sight> {
        Box::pin(self.sight())
    }

    fn start<'a>(&'a self, _key: &'a str) -> Done<'a> {
        Box::pin(self.post("start", None))
    }

    fn stop<'a>(&'a self, grace: Duration, _key: &'a str) -> Done<'a> {
        Box::pin(self.post("stop", Some(grace)))
    }

    fn restart<'a>(&'a self, grace: Duration, _key: &'a str) -> Done<'a> {
        Box::pin(self.post("restart", Some(grace)))
    }

    fn scale<'a>(&'a self, _n: u32, _key: &'a str) -> Done<'a> {
        Box::pin(async { Err(Failure::new("refused", "a container cannot be scaled")) })
    }

    fn logs(&self, n: usize) -> Done<'_, Vec<String>> {
        Box::pin(async move {
            let tty = self.inspect().await?.config.tty;
            let path = format!("/containers/{}/logs?stdout=1&stderr=1&tail={n}", self.name);
            let bytes = self.ask(Method::GET, &path, MARGIN).await?;
            Ok(web::last_lines(&if tty { bytes } else { unframed(&bytes) }, n))
        })
    }
}

fn from_env(host: Option<&str>) -> Result<PathBuf, String> {
    match host.filter(|host| !host.is_empty()) {
        None => Ok(SOCKET.into()),
        Some(host) => host.strip_prefix("unix://").map(PathBuf::from).ok_or_else(|| {
            format!(
                "DOCKER_HOST is {host}, and only a socket in the file system is spoken to: write `docker.socket`, or \
                 bring that one here by `ssh -L`"
            )
        }),
    }
}

fn read(state: &ContainerState) -> Sight {
    let health = state.health.as_ref().map_or("none", |health| health.status.as_str());
    let (stands, problem) = match state.status.as_str() {
        "running" if health == "unhealthy" => {
            let last = state.health.iter().filter_map(|health| health.log.as_ref()?.last()).next_back();
            let said: String =
                last.map(|check| check.output.trim().chars().take(300).collect()).unwrap_or_default();
            let problem = format!("fails the health check of its image: {said}");
            (State::Unhealthy, Some(problem.trim_end_matches(": ").to_owned()))
        }
        "running" if health == "starting" => (State::Booting, None),
        "running" => (State::Healthy, None),
        "paused" => (State::Unhealthy, Some("is paused".into())),
        "restarting" => (State::Booting, Some(format!("{}, and Docker starts it anew", how(state)))),
        "created" => (State::Stopped, Some("was never started".into())),
        "removing" => (State::Stopped, Some("is being removed".into())),
        _ => (State::Exited, Some(how(state))),
    };
    let runs = !matches!(stands, State::Exited | State::Stopped);
    Sight {
        problem,
        certain: stands == State::Unhealthy,
        instance: Some(state.started_at.clone()),
        pids: Some(state.pid).filter(|pid| runs && *pid > 0).into_iter().collect(),
        exit_code: (stands == State::Exited).then_some(state.exit_code),
        ..Sight::of(stands)
    }
}

fn how(state: &ContainerState) -> String {
    let mut text = format!("ended with exit code {}", state.exit_code);
    if state.oom_killed {
        text.push_str(", killed for want of memory");
    }
    if !state.error.is_empty() {
        text = format!("{text}: {}", state.error.trim());
    }
    text
}

/// Takes the streams out of their frames: a byte for the stream, three of nothing, four of length, then so much.
fn unframed(mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (frame, rest) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(frame);
        bytes = rest;
    }
    text
}

/// Whole seconds, which is what the API takes; never cut to none.
fn seconds(grace: Duration) -> u64 {
    grace.as_secs() + u64::from(grace.subsec_nanos() > 0)
}

fn is_denied(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied)
        {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_says_of_a_container_is_read_as_it_is_meant() {
        for (json, state, problem) in [
            (r#"{"Status":"running","Pid":7}"#, State::Healthy, ""),
            (r#"{"Status":"running","Health":{"Status":"starting","Log":null}}"#, State::Booting, ""),
            (r#"{"Status":"running","Health":{"Status":"healthy","Log":[]}}"#, State::Healthy, ""),
            (
                r#"{"Status":"running","Health":{"Status":"unhealthy","Log":[{"Output":"a"},{"Output":"refused\n"}]}}"#,
                State::Unhealthy,
                "fails the health check of its image: refused",
            ),
            (r#"{"Status":"paused"}"#, State::Unhealthy, "is paused"),
            (r#"{"Status":"created"}"#, State::Stopped, "was never started"),
            (
                r#"{"Status":"exited","ExitCode":137,"OOMKilled":true}"#,
                State::Exited,
                "ended with exit code 137, killed for want of memory",
            ),
            (
                r#"{"Status":"restarting","ExitCode":1}"#,
                State::Booting,
                "ended with exit code 1, and Docker starts it anew",
            ),
        ] {
            let sight = read(&serde_json::from_str(json).unwrap());
            assert_eq!((sight.state, sight.problem.unwrap_or_default().as_str()), (state, problem), "{json}");
        }
    }

    #[test]
    fn lines_come_out_of_their_frames_also_when_the_last_is_cut_off() {
        let frames = b"\x01\0\0\0\0\0\0\x02a\n\x02\0\0\0\0\0\0\x02b\n\x01\0\0\0\0\0\0\x09cut";
        assert_eq!(unframed(frames), b"a\nb\ncut");
        assert_eq!(seconds(Duration::from_millis(1)), 1);
    }

    #[test]
    fn a_docker_host_that_cannot_be_spoken_to_is_said_to_be() {
        assert_eq!(from_env(Some("unix:///run/x.sock")), Ok("/run/x.sock".into()));
        assert_eq!(from_env(Some("")), Ok(SOCKET.into()));
        assert!(from_env(Some("tcp://h:2375")).unwrap_err().contains("ssh -L"));
    }
}
