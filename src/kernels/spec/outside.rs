//! What an operator writes about a kernel that lives outside the engine: whose it is, and by what name it goes there.
//!
//! All of it is read and checked in every build, so that a configuration means the same everywhere; whether the
//! provider itself is built in is said by [`Provider::is_built_in`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Spec;

/// Who carries out start and stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// A child process of the engine.
    #[default]
    Process,
    /// A unit of systemd, over D-Bus.
    Systemd,
    /// A container of Docker or Podman, over the API socket.
    Docker,
    /// A deployment of Kubernetes.
    Kubernetes,
    /// Whatever has addresses by which it is started and stopped.
    Http,
}

/// `systemd:`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Systemd {
    /// Which unit; the kernel's name with `.service` if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `system`, `session`, or an address such as `unix:path=/run/dbus/system_bus_socket`; `system` if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bus: Option<String>,
}

/// `docker:`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Docker {
    /// Name or id of the container; the kernel's name if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Where the API is served; `unix://` of `DOCKER_HOST`, else `/var/run/docker.sock`, if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// `kubernetes:`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// Which deployment; the kernel's name if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// In which namespace; that of the context, else `default`, if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Which context of the kubeconfig; its current one if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The kubeconfig; if not said, the service account where the engine runs in a pod, else `KUBECONFIG` or
    /// `~/.kube/config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// Whose log is read where a pod has several containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// `http:`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Answers with a status below 400 while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Request>,
    /// Where in the JSON of `status` a value stands that changes with each start, such as `/started_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Starts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Request>,
    /// Stops it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Request>,
    /// Restarts it; if not said, `stop` and then `start`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Request>,
    /// Scales it; `${REPLICAS}` is filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<Request>,
    /// Gives its last lines as text; `${LINES}` is filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<Request>,
    /// Whether the same `Idempotency-Key` twice does no more than once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
}

/// One request that the `http` provider makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `http://` or `https://` address.
    pub url: String,
    /// GET for `status` and `logs`, else POST, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Sent with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Text>,
    /// Sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A value that may be a secret, and then stands elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Text {
    /// As written.
    Plain(String),
    /// `{ env: NAME }` or `{ file: PATH }`, each with a `prefix` if wished; read anew for each request.
    Kept(Kept),
}

/// Where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// In this variable of the engine's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// In this file, without the line's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Comes before it, such as `Bearer `.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, `{ env: NAME }` or `{ file: PATH }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::Plain(text.into()))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                Kept::deserialize(de::value::MapAccessDeserializer::new(map)).map(Text::Kept)
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Process, Self::Systemd, Self::Docker, Self::Kubernetes, Self::Http];

    /// The name, as it is written everywhere; that of the cargo feature too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Systemd => "systemd",
            Self::Docker => "docker",
            Self::Kubernetes => "kubernetes",
            Self::Http => "http",
        }
    }

    /// Whether this build can carry it out.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Process => true,
            Self::Systemd => cfg!(feature = "systemd"),
            Self::Docker => cfg!(feature = "docker"),
            Self::Kubernetes => cfg!(feature = "kubernetes"),
            Self::Http => cfg!(feature = "http"),
        }
    }
}

impl Spec {
    /// Takes relative paths from `base`, the directory of the configuration.
    pub fn rebase(&mut self, base: &Path) {
        let kept = self.http.iter_mut().flat_map(|http| {
            let ways = [
                &mut http.status,
                &mut http.start,
                &mut http.stop,
                &mut http.restart,
                &mut http.scale,
                &mut http.logs,
            ];
            ways.into_iter().flatten().flat_map(|request| request.headers.values_mut())
        });
        let files = kept.filter_map(|text| match text {
            Text::Kept(kept) => kept.file.as_mut(),
            Text::Plain(_) => None,
        });
        let config = self.kubernetes.iter_mut().filter_map(|it| it.kubeconfig.as_mut());
        let socket = self.docker.iter_mut().filter_map(|it| it.socket.as_mut());
        for path in files.chain(config).chain(socket).chain(&mut self.cwd) {
            *path = base.join(&*path);
        }
    }
}

/// What is wrong: field, problem.
type Wrong = (&'static str, String);

/// Whether everything that is written fits the provider.
pub(super) fn check(spec: &Spec) -> Result<(), Wrong> {
    let name = spec.provider.as_str();
    for (other, written) in [
        (Provider::Systemd, spec.systemd.is_some()),
        (Provider::Docker, spec.docker.is_some()),
        (Provider::Kubernetes, spec.kubernetes.is_some()),
        (Provider::Http, spec.http.is_some()),
    ] {
        if written && other != spec.provider {
            let field = other.as_str();
            let problem =
                format!("is written, but its provider is {name}: add `provider: {field}`, or take it out");
            return Err((field, problem));
        }
    }
    if spec.provider == Provider::Process {
        return Ok(());
    }
    if !spec.provider.is_built_in() {
        let built: Vec<&str> =
            Provider::ALL.into_iter().filter(|p| p.is_built_in()).map(Provider::as_str).collect();
        return Err((
            "provider",
            format!(
                "is `{name}`, which is not part of this program: build it with `cargo build --release --features \
                 {name}` (`--features full` for all), or use one of {}",
                built.join(", ")
            ),
        ));
    }
    for (field, written) in [
        ("command", !spec.command.is_empty()),
        ("env", !spec.env.is_empty()),
        ("cwd", spec.cwd.is_some()),
        ("port", spec.port.is_some()),
    ] {
        if written {
            let problem =
                format!("is for a process that the engine starts, and {name} starts this one: take it out");
            return Err((field, problem));
        }
    }
    let scales = match spec.provider {
        Provider::Kubernetes => true,
        Provider::Http => spec.http.as_ref().is_some_and(|http| http.scale.is_some()),
        _ => false,
    };
    if !scales && (spec.replicas.min, spec.replicas.max) != (1, 1) {
        let problem = match spec.provider {
            Provider::Http => {
                "needs an address that scales it: add `scale` to its `http`, or take `replicas` out".into()
            }
            _ => format!("cannot be had: there is one of a kernel of {name}; take `replicas` out"),
        };
        return Err(("replicas", problem));
    }
    match spec.provider {
        Provider::Systemd => spec.systemd.as_ref().map_or(Ok(()), systemd),
        Provider::Docker => spec.docker.as_ref().map_or(Ok(()), docker),
        Provider::Kubernetes => kubernetes(spec),
        Provider::Http => http(spec),
        Provider::Process => Ok(()),
    }
}

fn systemd(it: &Systemd) -> Result<(), Wrong> {
    if let Some(unit) = &it.unit {
        let fits =
            unit.rsplit_once('.').is_some_and(|(name, kind)| !name.is_empty() && KINDS.contains(&kind));
        if !fits || unit.contains(['/', ' ', '*', '\0']) {
            let problem =
                format!("is `{unit}`: write the whole name of one unit, such as `{}.service`", plain(unit));
            return Err(("systemd.unit", problem));
        }
    }
    match it.bus.as_deref() {
        None | Some("system" | "session") => Ok(()),
        Some(bus) if bus.contains(':') && bus.contains('=') => Ok(()),
        Some(bus) => Err((
            "systemd.bus",
            format!(
                "is `{bus}`: use system, session, or an address such as unix:path=/run/dbus/system_bus_socket"
            ),
        )),
    }
}

/// Kinds of units that can be started and stopped to some purpose.
const KINDS: [&str; 7] = ["service", "socket", "target", "timer", "mount", "path", "slice"];

fn plain(unit: &str) -> &str {
    unit.split(['.', '/', ' ', '*', '\0']).find(|part| !part.is_empty()).unwrap_or("name")
}

fn docker(it: &Docker) -> Result<(), Wrong> {
    let fits = |name: &String| {
        name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    if let Some(name) = it.container.as_ref().filter(|name| !fits(name)) {
        return Err((
            "docker.container",
            format!("is `{name}`: use the name or the id that `docker ps` shows"),
        ));
    }
    if let Some(socket) = it.socket.as_ref().filter(|socket| socket.to_string_lossy().contains("://")) {
        let problem = match socket.to_string_lossy().strip_prefix("unix://") {
            Some(path) => format!("is an address: write the path alone, `{path}`"),
            None => format!(
                "is `{}`: only a socket in the file system is spoken to; one of another machine comes here by `ssh -L`",
                socket.display()
            ),
        };
        return Err(("docker.socket", problem));
    }
    Ok(())
}

fn kubernetes(spec: &Spec) -> Result<(), Wrong> {
    let Some(it) = &spec.kubernetes else { return Ok(()) };
    let label = |text: &String| {
        (1..=253).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
            && !text.starts_with(['-', '.'])
            && !text.ends_with(['-', '.'])
    };
    for (field, value) in [
        ("kubernetes.deployment", &it.deployment),
        ("kubernetes.namespace", &it.namespace),
        ("kubernetes.container", &it.container),
    ] {
        if let Some(value) = value.as_ref().filter(|value| !label(value)) {
            let problem = format!(
                "is `{value}`: a name there is made of a-z, 0-9, `-` and `.`, without a kind before it"
            );
            return Err((field, problem));
        }
    }
    Ok(())
}

fn http(spec: &Spec) -> Result<(), Wrong> {
    let Some(it) = &spec.http else {
        let problem = "is missing: write `http:` with at least `status` or a `health` probe, and `restart` or `stop` and `start`";
        return Err(("http", problem.into()));
    };
    for (field, request) in [
        ("http.status", &it.status),
        ("http.start", &it.start),
        ("http.stop", &it.stop),
        ("http.restart", &it.restart),
        ("http.scale", &it.scale),
        ("http.logs", &it.logs),
    ] {
        if let Some(request) = request {
            self::request(request).map_err(|problem| (field, problem))?;
        }
    }
    if it.status.is_none() && spec.health.is_none() {
        return Err((
            "http",
            "says nowhere whether it runs: add `status: { url: … }` to it, or a `health` probe".into(),
        ));
    }
    if it.restart.is_none() && (it.start.is_none() || it.stop.is_none()) {
        return Err((
            "http",
            "cannot be restarted: add `restart: { url: … }`, or both `stop` and `start`".into(),
        ));
    }
    if it
        .scale
        .as_ref()
        .is_some_and(|r| !format!("{}{}", r.url, r.body.as_deref().unwrap_or("")).contains("${REPLICAS}"))
    {
        return Err(("http.scale", "does not say how many: put ${REPLICAS} into its `url` or `body`".into()));
    }
    match it.instance.as_deref() {
        Some(_) if it.status.is_none() => {
            Err(("http.instance", "points into the answer of `status`, which is not set: add it".into()))
        }
        Some(pointer) if !pointer.starts_with('/') => {
            Err(("http.instance", format!("is `{pointer}`: write a JSON pointer, such as /started_at")))
        }
        _ => Ok(()),
    }
}

fn request(it: &Request) -> Result<(), String> {
    let rest = it.url.strip_prefix("http://").or_else(|| it.url.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    if host.is_empty() || it.url.bytes().any(|b| b <= b' ') {
        return Err(format!("has the url `{}`: write http://host:port/path, or https", it.url));
    }
    if host.contains('@') {
        return Err(
            "has a user name or password in its url: put it into `headers`, with `{ env: NAME }`".into()
        );
    }
    if let Some(method) = it.method.as_deref().filter(|method| !METHODS.contains(method)) {
        return Err(format!("has the method `{method}`: use one of {}", METHODS.join(", ")));
    }
    for (name, value) in &it.headers {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(format!("has the header `{name}`, which cannot be the name of one"));
        }
        if let Text::Kept(kept) = value
            && kept.env.is_some() == kept.file.is_some()
        {
            return Err(format!(
                "has the header `{name}` with both or neither of `env` and `file`: write one of them"
            ));
        }
    }
    Ok(())
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

#[cfg(test)]
mod tests;
