//! What an operator writes about a kernel, and the check that it makes sense. No I/O here.
//!
//! Start with [`Spec`]; [`check`] looks at all of them together and gives the order of booting.

mod order;
mod outside;
mod port;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(super) use order::ranks;
pub use outside::{Docker, Http, Kept, Kubernetes, Provider, Request, Systemd, Text};
pub use port::Port;

use crate::model::Span;
use crate::model::diagnostic::nearest;

/// One kernel, as it stands under `kernels:` in the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Unique; `[a-z0-9][a-z0-9_-]{0,63}`.
    pub name: String,
    /// 1, 2 or 3; what the dashboard groups by.
    #[serde(default = "first_layer")]
    pub layer: u8,
    /// Who carries out start and stop.
    #[serde(default)]
    pub provider: Provider,
    /// Which unit it is, with `provider: systemd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systemd: Option<Systemd>,
    /// Which container it is, with `provider: docker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<Docker>,
    /// Which deployment it is, with `provider: kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// How it is spoken to, with `provider: http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Program and arguments, with `provider: process`; no shell. `${PORT}` and `${REPLICA}` are filled in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Added to the engine's own environment. `${PORT}` and `${REPLICA}` are filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where it runs; the engine's own directory if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// The port it is told to listen on, as `PORT` in its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// How to see that it works. Without one, a process that has lived 500 ms counts as healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Probe>,
    /// How many processes at least and at most; it boots with the least.
    #[serde(default)]
    pub replicas: Replicas,
    /// Kernels that boot first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// How long a boot may take.
    #[serde(default = "start_timeout")]
    pub start_timeout: Span,
    /// How long it has between SIGTERM and SIGKILL.
    #[serde(default = "stop_grace")]
    pub stop_grace: Span,
    /// What a boot usually takes; told with each boot, so that a rule can see a slow one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_boot_ms: Option<f64>,
    /// How many restarts are allowed in a while.
    #[serde(default)]
    pub restarts: Budget,
    /// The group of kernels that blast radius counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
}

/// Least and most processes of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicas {
    /// Least, at least 1.
    pub min: u32,
    /// Most, at most 64.
    pub max: u32,
}

/// Restarts allowed in a while; beyond it a restart is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How many.
    pub max: u32,
    /// In how long.
    pub within: Span,
}

/// How to see that a kernel works: exactly one of `http`, `tcp`, `exec`, `heartbeat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// A GET of this `http://` address answers with 2xx or 3xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// This `host:port` takes a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// This command ends with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Vec<String>>,
    /// `true`: heartbeat events come in, none older than `timeout`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heartbeat: bool,
    /// Pause between two checks of a kernel that has booted.
    #[serde(default = "interval")]
    pub interval: Span,
    /// How long one check may take.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Failed checks in a row that make it unhealthy.
    #[serde(default = "failures")]
    pub failures: u32,
    /// Whose answer to `http` or `tcp` counts, where the address is one of this machine.
    #[serde(default, skip_serializing_if = "Listener::is_own")]
    pub listener: Listener,
}

/// Whose answer to a probe counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listener {
    /// That of the kernel's own processes.
    #[default]
    Own,
    /// Anybody's: somebody else listens for it, as with `docker run -p`.
    Any,
}

/// What is wrong with the specs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field of one kernel.
    #[error("kernel `{kernel}`: `{field}` {problem}")]
    Field {
        /// Which kernel.
        kernel: String,
        /// Which field.
        field: &'static str,
        /// What is wrong and what to write.
        problem: String,
    },
    /// Two of one name.
    #[error("two kernels are named `{0}`: give one of them another name")]
    Twice(String),
    /// `depends_on` leads back to where it began.
    #[error("kernels wait for each other in a circle: {0}: take one of these `depends_on` out")]
    Circle(String),
}

/// Most replicas of one kernel.
const MAX_REPLICAS: u32 = 64;

/// Checks every spec, and all of them together.
///
/// # Errors
/// The first thing wrong, with kernel and field.
pub fn check(specs: &[Spec]) -> Result<(), Error> {
    check_all(specs).into_iter().next().map_or(Ok(()), Err)
}

/// What is wrong with each spec by itself; of one kernel, the first.
pub fn check_each(specs: &[Spec]) -> Vec<Error> {
    specs.iter().filter_map(|spec| spec.check().err()).collect()
}

/// Everything that is wrong with the specs; of one kernel, the first.
pub fn check_all(specs: &[Spec]) -> Vec<Error> {
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for spec in specs {
        found.extend(spec.check().err());
        if !names.insert(spec.name.as_str()) {
            found.push(Error::Twice(spec.name.clone()));
        }
    }
    for spec in specs {
        if let Some(needed) = spec.depends_on.iter().find(|needed| !names.contains(needed.as_str())) {
            let advice = match nearest(needed, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {}", names.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            let problem = format!("names `{needed}`, which is no kernel: {advice}");
            found.push(spec.wrong("depends_on", problem));
        }
    }
    for (i, spec) in specs.iter().enumerate() {
        let Some(ports) = spec.ports() else { continue };
        let taken = specs[..i].iter().find(|other| {
            other.ports().is_some_and(|others| ports.start() <= others.end() && others.start() <= ports.end())
        });
        if let Some(other) = taken {
            let problem = format!("is taken by kernel `{}` or one of its replicas: use another", other.name);
            found.push(spec.wrong("port", problem));
        }
    }
    if found.is_empty() {
        found.extend(order::circle(specs).map(|path| Error::Circle(path.join(" → "))));
    }
    found
}

impl Spec {
    fn check(&self) -> Result<(), Error> {
        if !is_name(&self.name) {
            let problem = "must be 1 to 64 of a-z, 0-9, `_` and `-`, beginning with a letter or digit";
            return Err(self.wrong("name", problem.into()));
        }
        if !(1..=3).contains(&self.layer) {
            return Err(self.wrong("layer", format!("is {}: use 1, 2 or 3", self.layer)));
        }
        outside::check(self).map_err(|(field, problem)| self.wrong(field, problem))?;
        if self.provider == Provider::Process {
            self.check_command()?;
        }
        let Replicas { min, max } = self.replicas;
        if min == 0 || min > max || max > MAX_REPLICAS {
            let problem = format!("is {min} to {max}: write 1 ≤ min ≤ max ≤ {MAX_REPLICAS}");
            return Err(self.wrong("replicas", problem));
        }
        self.check_port()?;
        for (field, span) in [("start_timeout", self.start_timeout), ("restarts", self.restarts.within)] {
            if span.is_zero() {
                return Err(self.wrong(field, "is 0: write a length of time such as 30s".into()));
            }
        }
        if self.baseline_boot_ms.is_some_and(|ms| !ms.is_finite() || ms <= 0.0) {
            return Err(self.wrong("baseline_boot_ms", "must be a number of milliseconds above 0".into()));
        }
        self.health.as_ref().map_or(Ok(()), |probe| self.check_probe(probe))
    }

    fn check_command(&self) -> Result<(), Error> {
        if self.command.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(self.wrong(
                "command",
                "is empty: write the program and its arguments as a list, or another `provider`".into(),
            ));
        }
        if self.command.iter().any(|arg| arg.contains('\0')) {
            return Err(self.wrong("command", "holds a NUL character, which no argument can".into()));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(self
                    .wrong("env", format!("has `{name}`, which cannot be a variable's name or holds NUL")));
            }
        }
        Ok(())
    }

    /// The ports that its replicas listen on, if they are fixed.
    fn ports(&self) -> Option<std::ops::RangeInclusive<u32>> {
        match self.port {
            Some(Port::Fixed(port)) => {
                Some(u32::from(port)..=u32::from(port) + self.replicas.max.saturating_sub(1))
            }
            _ => None,
        }
    }

    fn check_port(&self) -> Result<(), Error> {
        if let Some(Port::Fixed(port)) = self.port {
            let last = u32::from(port) + self.replicas.max - 1;
            if port == 0 || last > u32::from(u16::MAX) {
                return Err(self.wrong(
                    "port",
                    format!("is {port}: use `auto`, or one from 1 to 65535 with room for all replicas"),
                ));
            }
        }
        let uses = |text: &String| text.contains("${PORT}");
        if self.port.is_none() {
            let probe = self.health.as_ref();
            let probed = probe
                .is_some_and(|p| p.http.iter().chain(&p.tcp).any(uses) || p.exec.iter().flatten().any(uses));
            if self.command.iter().any(uses) || self.env.values().any(uses) || probed {
                return Err(self.wrong("port", "is not set, but ${PORT} is used: add `port: auto`".into()));
            }
        }
        Ok(())
    }

    fn check_probe(&self, probe: &Probe) -> Result<(), Error> {
        let kinds = [probe.http.is_some(), probe.tcp.is_some(), probe.exec.is_some(), probe.heartbeat];
        if kinds.iter().filter(|set| **set).count() != 1 {
            return Err(self.wrong("health", "needs exactly one of http, tcp, exec, heartbeat".into()));
        }
        if let Some(url) = &probe.http {
            super::health::split_url(url).map_err(|problem| self.wrong("health.http", problem))?;
        }
        if probe.tcp.as_ref().is_some_and(|address| !address.contains(':')) {
            return Err(self.wrong("health.tcp", "must be host:port".into()));
        }
        if probe.exec.as_ref().is_some_and(|argv| argv.first().is_none_or(String::is_empty)) {
            return Err(
                self.wrong("health.exec", "is empty: write a program and its arguments as a list".into())
            );
        }
        if probe.interval.is_zero() || probe.timeout.is_zero() {
            return Err(self.wrong(
                "health",
                "has an interval or timeout of 0: write a length of time such as 1s".into(),
            ));
        }
        if probe.failures == 0 {
            return Err(self.wrong("health.failures", "is 0: use 1 or more".into()));
        }
        Ok(())
    }

    fn wrong(&self, field: &'static str, problem: String) -> Error {
        Error::Field { kernel: self.name.clone(), field, problem }
    }
}

fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| plain(b) || b == b'_' || b == b'-')
        && text.bytes().next().is_some_and(plain)
}

impl Listener {
    fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

impl Default for Replicas {
    fn default() -> Self {
        Self { min: 1, max: 1 }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { max: 30, within: Span::secs(600) }
    }
}

fn first_layer() -> u8 {
    1
}
fn start_timeout() -> Span {
    Span::secs(30)
}
fn stop_grace() -> Span {
    Span::secs(5)
}
fn interval() -> Span {
    Span::secs(1)
}
fn timeout() -> Span {
    Span::secs(1)
}
fn failures() -> u32 {
    3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(yaml: &str) -> Vec<Spec> {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn what_cannot_work_is_refused_at_load_naming_kernel_and_field() {
        for (yaml, expected) in [
            ("[{name: A, command: [x]}]", "kernel `A`: `name` must be"),
            ("[{name: a, command: []}]", "kernel `a`: `command` is empty"),
            ("[{name: a, command: [x], layer: 4}]", "kernel `a`: `layer` is 4"),
            ("[{name: a, command: [x]}, {name: a, command: [x]}]", "two kernels are named `a`"),
            ("[{name: a, command: [x], replicas: {min: 2, max: 1}}]", "kernel `a`: `replicas` is 2 to 1"),
            ("[{name: a, command: [x, '${PORT}']}]", "kernel `a`: `port` is not set"),
            (
                "[{name: a, command: [x], port: 65535, replicas: {min: 1, max: 2}}]",
                "kernel `a`: `port` is 65535",
            ),
            ("[{name: a, command: [x], health: {interval: 1s}}]", "kernel `a`: `health` needs exactly one"),
            (
                "[{name: a, command: [x], health: {tcp: 'h:1', heartbeat: true}}]",
                "kernel `a`: `health` needs exactly one",
            ),
            (
                "[{name: a, command: [x], health: {http: 'https://h/'}}]",
                "kernel `a`: `health.http` must begin with http://",
            ),
            (
                "[{name: a, command: [x], health: {tcp: 'h:1', failures: 0}}]",
                "kernel `a`: `health.failures` is 0",
            ),
            ("[{name: a, command: [x], start_timeout: 0s}]", "kernel `a`: `start_timeout` is 0"),
            (
                "[{name: a, command: [x], depends_on: [b]}]",
                "kernel `a`: `depends_on` names `b`, which is no kernel",
            ),
            (
                "[{name: a, command: [x], port: 80, replicas: {min: 1, max: 2}}, {name: b, command: [x], port: 81}]",
                "kernel `b`: `port` is taken by kernel `a`",
            ),
            (
                "[{name: web, command: [x]}, {name: a, command: [x], depends_on: [wbe]}]",
                "kernel `a`: `depends_on` names `wbe`, which is no kernel: did you mean `web`?",
            ),
            ("[{name: a, command: [x], depends_on: [a]}]", "kernels wait for each other in a circle: a → a"),
            (
                "[{name: a, command: [x], depends_on: [b]}, {name: b, command: [x], depends_on: [c]}, {name: c, command: [x], depends_on: [b]}]",
                "kernels wait for each other in a circle: b → c → b",
            ),
        ] {
            let error = check(&specs(yaml)).expect_err(yaml).to_string();
            assert!(error.starts_with(expected), "{yaml}\n{error}");
        }
    }

    #[test]
    fn a_short_spec_gets_the_documented_defaults() {
        let spec = specs(
            "[{name: web-1, command: [run, me], port: auto, health: {http: 'http://127.0.0.1:${PORT}/'}}]",
        )
        .remove(0);
        check(std::slice::from_ref(&spec)).unwrap();
        assert_eq!(
            (spec.layer, spec.replicas, spec.port),
            (1, Replicas { min: 1, max: 1 }, Some(Port::Auto))
        );
        assert_eq!((spec.restarts.max, spec.restarts.within), (30, Span::secs(600)));
        assert_eq!(spec.health.map(|p| (p.interval, p.failures)), Some((Span::secs(1), 3)));
    }

    #[test]
    fn a_slip_in_a_key_is_not_ignored() {
        let error = serde_yaml::from_str::<Vec<Spec>>("[{name: a, command: [x], layr: 2}]").unwrap_err();
        assert!(error.to_string().contains("layr"), "{error}");
    }
}
