//! A unit of systemd, over D-Bus. A start, stop or restart is over when systemd's job is.
//!
//! How long a unit may take to stop is its own `TimeoutStopSec`; the kernel's grace is not used. A service that ends with
//! success by itself cannot be told from one that somebody stopped, so it counts as stopped.
//! <https://www.freedesktop.org/wiki/Software/systemd/dbus/>

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use zbus::connection::{Builder, Connection};
use zbus::{OwnedObjectPath, OwnedVariant, fdo};

use super::process::{Launch, Spawner};
use super::{Outside, Sight};
use crate::kernels::body::Done;
use crate::kernels::spec::Spec;
use crate::kernels::view::State;
use crate::model::Failure;

/// One unit.
pub(super) struct Unit {
    name: String,
    bus: String,
    /// How long a job may take.
    limit: Duration,
    spawner: Spawner,
    /// Made when it is first needed, and anew when it has broken.
    connection: Mutex<Option<Connection>>,
}

/// So much is read of both ends of what the journal has.
const JOURNAL_BYTES: usize = 4 * 1024 * 1024;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// How often a job is asked after.
const POLL: Duration = Duration::from_millis(50);

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);

/// Over and above the kernel's own limits, what a job may take to stop before it starts: systemd's own default.
const JOB_MARGIN: Duration = Duration::from_secs(90);

/// Properties by name.
type Properties = HashMap<String, OwnedVariant>;

impl Unit {
    pub(super) fn new(spec: &Spec, spawner: Spawner) -> Self {
        let it = spec.systemd.clone().unwrap_or_default();
        Self {
            name: it.unit.unwrap_or_else(|| format!("{}.service", spec.name)),
            bus: it.bus.unwrap_or_else(|| "system".into()),
            limit: spec.start_timeout.0 + spec.stop_grace.0 + JOB_MARGIN,
            spawner,
            connection: Mutex::default(),
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let builder = match self.bus.as_str() {
            "system" => Builder::system(),
            "session" => Builder::session(),
            address => Builder::address(address),
        };
        let connecting = tokio::time::timeout(CALL, builder.method_timeout(CALL).build()).await;
        let connected = connecting.unwrap_or_else(|_| Err(zbus::Error::Failure("no answer in time".into())));
        let connection = connected.map_err(|error| {
            let advice = "is D-Bus running, and is that its address (`systemd.bus`)?";
            Failure::retryable("failed", format!("cannot reach the bus `{}`: {error}; {advice}", self.bus))
        })?;
        *kept = Some(connection.clone());
        Ok(connection)
    }

    async fn call<B, R>(&self, path: &str, interface: &str, method: &str, body: &B) -> Result<R, Failure>
    where
        B: serde::Serialize + zbus::DynamicType,
        R: for<'d> zbus::wire::DynamicDeserialize<'d>,
    {
        let connection = self.connect().await?;
        let reply = connection.call_method(Some(SYSTEMD), path, Some(interface), method, body).await;
        let reply = reply.map_err(|error| self.failure(&error))?;
        reply.body().deserialize().map_err(|error| {
            Failure::new(
                "failed",
                format!("what answers on the bus `{}` is not systemd as known: {error}", self.bus),
            )
        })
    }

    fn failure(&self, error: &zbus::Error) -> Failure {
        let (name, said) = match error {
            zbus::Error::MethodError(name, said, _) => (name.to_string(), said.clone().unwrap_or_default()),
            zbus::Error::FDO(error) => match &**error {
                fdo::Error::AccessDenied(said)
                | fdo::Error::AuthFailed(said)
                | fdo::Error::InteractiveAuthorizationRequired(said) => ("AccessDenied".into(), said.clone()),
                other => (String::new(), other.to_string()),
            },
            other => (String::new(), other.to_string()),
        };
        match name.rsplit('.').next().unwrap_or_default() {
            "AccessDenied" => Failure::new(
                "refused",
                format!(
                    "systemd does not let the engine's user act on {}: {said}; a polkit rule for the action \
                         org.freedesktop.systemd1.manage-units grants it",
                    self.name
                ),
            ),
            "NoSuchUnit" | "LoadFailed" => self.unknown(&said),
            "UnitMasked" | "OnlyByDependency" => Failure::new("refused", format!("{}: {said}", self.name)),
            _ => Failure::retryable(
                "failed",
                format!("no answer from systemd on the bus `{}`: {said}", self.bus),
            ),
        }
    }

    fn unknown(&self, said: &str) -> Failure {
        let advice = "see `systemctl list-unit-files`, and `systemd.unit` in the configuration";
        let said = said.trim_end_matches('.');
        Failure::new("invalid", format!("systemd knows no unit `{}` ({said}): {advice}", self.name))
    }

    /// Where the unit is found on the bus.
    async fn path(&self) -> Result<OwnedObjectPath, Failure> {
        self.call("/org/freedesktop/systemd1", MANAGER, "LoadUnit", &(self.name.as_str(),)).await
    }

    async fn properties(&self, path: &str, kind: &str) -> Result<Properties, Failure> {
        let interface = format!("{SYSTEMD}.{kind}");
        self.call(path, PROPERTIES, "GetAll", &(interface.as_str(),)).await
    }

    async fn sight(&self) -> Result<Sight, Failure> {
        let path = self.path().await?;
        let unit = self.properties(path.as_str(), "Unit").await?;
        match text(&unit, "LoadState").as_str() {
            "not-found" => return Err(self.unknown("not found")),
            "masked" => {
                return Err(Failure::new(
                    "refused",
                    format!("{} is masked: `systemctl unmask` it", self.name),
                ));
            }
            "bad-setting" | "error" => {
                return Err(self.unknown("its file has a mistake: see `systemctl status`"));
            }
            _ => {}
        }
        let service = if self.name.ends_with(".service") {
            self.properties(path.as_str(), "Service").await?
        } else {
            Properties::new()
        };
        let mut sight = read(&unit, &service);
        if !matches!(self.bus.as_str(), "system" | "session") {
            // Those of another machine, or of a container.
            sight.pids.clear();
        }
        Ok(sight)
    }

    /// Has systemd do something, and waits until it has.
    async fn act(&self, method: &str) -> Result<(), Failure> {
        // A unit that nobody has loaded has no path to be asked after.
        let path = self.path().await?;
        let job: OwnedObjectPath =
            self.call("/org/freedesktop/systemd1", MANAGER, method, &(self.name.as_str(), "replace")).await?;
        let deadline = Instant::now() + self.limit;
        loop {
            let unit = self.properties(path.as_str(), "Unit").await?;
            if !has_job(&unit, job.as_str()) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let message = format!(
                    "systemd has not ended the job of {} within {} s",
                    self.name,
                    self.limit.as_secs()
                );
                return Err(Failure::retryable("timeout", message));
            }
            sleep(POLL).await;
        }
    }

    async fn journal(&self, n: usize) -> Result<Vec<String>, Failure> {
        let mut argv =
            vec!["journalctl".to_owned(), "--no-pager".into(), "--output=cat".into(), format!("--lines={n}")];
        match self.bus.as_str() {
            "system" => argv.push(format!("--unit={}", self.name)),
            "session" => argv.push(format!("--user-unit={}", self.name)),
            bus => {
                let message = format!("the journal that belongs to the bus `{bus}` cannot be read from here");
                return Err(Failure::new("refused", message));
            }
        }
        let failed =
            |error: std::io::Error| Failure::new("failed", format!("cannot run journalctl: {error}"));
        let launch = Launch { argv, inherit_env: true, ..Launch::default() };
        let output = self.spawner.output(launch, JOURNAL_BYTES).await.map_err(failed)?;
        let status = output.status;
        if !status.success() {
            let said = output.stderr.text.trim().to_owned();
            return Err(Failure::new("failed", format!("journalctl ended with {status}: {said}")));
        }
        let lines = output.stdout.text.lines();
        Ok(lines.filter(|line| *line != "-- No entries --").map(str::to_owned).collect())
    }
}

impl Outside for Unit {
    fn look(&self) -> Done<'_, Sight> {
        Box::pin(self.sight())
    }

    fn start<'a>(&'a self, _key: &'a str) -> Done<'a> {
        Box::pin(self.act("StartUnit"))
    }

    fn stop<'a>(&'a self, _grace: Duration, _key: &'a str) -> Done<'a> {
        Box::pin(self.act("StopUnit"))
    }

    fn restart<'a>(&'a self, _grace: Duration, _key: &'a str) -> Done<'a> {
        Box::pin(self.act("RestartUnit"))
    }

    fn scale<'a>(&'a self, _n: u32, _key: &'a str) -> Done<'a> {
        Box::pin(async { Err(Failure::new("refused", "a unit cannot be scaled")) })
    }

    fn logs(&self, n: usize) -> Done<'_, Vec<String>> {
        Box::pin(self.journal(n))
    }
}

fn read(unit: &Properties, service: &Properties) -> Sight {
    let result = text(service, "Result");
    let code = number(service, "ExecMainStatus");
    let how = match (result.as_str(), code) {
        ("exit-code", code) => format!("ended with exit code {code}"),
        ("signal" | "core-dump", signal) => format!("was ended by signal {signal}"),
        ("" | "success", _) => "has ended".to_owned(),
        (result, _) => format!("failed ({result})"),
    };
    let status = text(service, "StatusText");
    let (state, problem) = match text(unit, "ActiveState").as_str() {
        "active" | "reloading" | "refreshing" => (State::Healthy, None),
        "activating" if text(unit, "SubState") == "auto-restart" => {
            (State::Booting, Some(format!("{how}, and systemd starts it anew")))
        }
        "activating" => (State::Booting, Some(status).filter(|text| !text.is_empty())),
        "deactivating" => (State::Unhealthy, Some("is stopping".into())),
        "failed" => (State::Exited, Some(how)),
        "inactive" => (State::Stopped, Some("is not active".into())),
        other => (State::Unhealthy, Some(format!("is {other}"))),
    };
    let invocation = unit.get("InvocationID").and_then(|id| Vec::<u8>::try_from(id.clone()).ok());
    let pid = u32::try_from(number(service, "MainPID")).unwrap_or(0);
    Sight {
        problem,
        instance: invocation.map(|id| id.iter().map(|b| format!("{b:02x}")).collect()),
        pids: if pid > 0 { vec![pid] } else { Vec::new() },
        exit_code: (state == State::Exited).then_some(code),
        ..Sight::of(state)
    }
}

fn text(of: &Properties, name: &str) -> String {
    of.get(name).and_then(|value| String::try_from(value.clone()).ok()).unwrap_or_default()
}

fn number(of: &Properties, name: &str) -> i64 {
    let Some(value) = of.get(name) else { return 0 };
    i32::try_from(value).map(i64::from).or_else(|_| u32::try_from(value).map(i64::from)).unwrap_or(0)
}

/// Whether this job is the one that the unit waits for.
fn has_job(unit: &Properties, job: &str) -> bool {
    let Some(value) = unit.get("Job") else { return false };
    <(u32, OwnedObjectPath)>::try_from(value.clone()).is_ok_and(|(id, path)| id != 0 && path.as_str() == job)
}
