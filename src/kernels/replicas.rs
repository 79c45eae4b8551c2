//! A kernel made of the engine's own processes: so many replicas, each with its seat, its port and its log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use serde_json::{Map, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::body::{Body, Done};
use super::context::Context;
use super::ending::KILL_WAIT;
use super::health::{self, Subject};
use super::life::{self, Beats, Replica, Seat};
use super::logs;
use super::ports;
use super::spec::{Port, Spec};
use super::view::{ReplicaView, State, View};
use crate::model::Failure;

/// The processes of one kernel.
pub(super) struct Replicas {
    spec: Arc<Spec>,
    context: Arc<Context>,
    live: Mutex<Live>,
    beats: watch::Sender<Beats>,
}

struct Live {
    desired: u32,
    generation: u64,
    replicas: BTreeMap<u32, Replica>,
    ports: BTreeMap<u32, u16>,
}

impl Live {
    /// Forgets those that are not wished any more and have ended.
    fn retire(&mut self, context: &Context) {
        let desired = self.desired;
        self.replicas.retain(|index, replica| *index < desired || !replica.status.borrow().ended);
        let replicas = &self.replicas;
        self.ports.retain(|index, port| {
            let stays = *index < desired || replicas.contains_key(index);
            if !stays {
                context.ports.give_back(*port);
            }
            stays
        });
    }
}

impl Body for Replicas {
    fn view(&self) -> View {
        let mut live = self.live();
        live.retire(&self.context);
        let replicas: Vec<ReplicaView> = live
            .replicas
            .values()
            .map(|replica| {
                let status = replica.status.borrow();
                ReplicaView {
                    replica: replica.seat.index,
                    state: status.state,
                    pid: status.pid,
                    port: replica.seat.port,
                    since: status.since,
                    error: status.error.clone(),
                }
            })
            .collect();
        // One beyond the wished number that does not end says nothing of how the others are.
        let wished = |replica: &&ReplicaView| replica.replica < live.desired;
        let states: Vec<State> = replicas.iter().filter(wished).map(|replica| replica.state).collect();
        let boots = live.replicas.values().filter_map(|replica| replica.status.borrow().boot_ms);
        let spec = &self.spec;
        View {
            name: spec.name.clone(),
            layer: spec.layer,
            provider: spec.provider,
            state: State::of_all(&states),
            pids: replicas.iter().filter_map(|replica| replica.pid).collect(),
            desired: live.desired,
            min: spec.replicas.min,
            max: spec.replicas.max,
            generation: live.generation,
            restarts: 0,
            boot_ms: boots.reduce(f64::max),
            baseline_ms: spec.baseline_boot_ms,
            since: replicas.iter().map(|replica| replica.since).max(),
            last_error: replicas.iter().find_map(|replica| replica.error.clone()),
            fleet: spec.fleet.clone(),
            depends_on: spec.depends_on.clone(),
            waits_for: Vec::new(),
            wish: None,
            replicas,
        }
    }

    fn boot(&self, _anew: bool) -> Done<'_> {
        Box::pin(self.start_missing())
    }

    fn start<'a>(&'a self, _key: &'a str) -> Done<'a> {
        Box::pin(self.start_missing())
    }

    fn wish(&self, n: u32) {
        self.live().desired = n;
    }

    fn hurry(&self, grace: Duration) {
        self.live().replicas.values().for_each(|replica| replica.hurry(grace));
    }

    fn stop<'a>(&'a self, grace: Duration, _key: &'a str) -> Done<'a> {
        Box::pin(self.stop_from(0, grace))
    }

    fn restart<'a>(&'a self, grace: Duration, _key: &'a str) -> Done<'a> {
        Box::pin(async move {
            self.stop_from(0, grace).await?;
            self.start_missing().await
        })
    }

    fn scale<'a>(&'a self, n: u32, _key: &'a str) -> Done<'a> {
        Box::pin(self.bring_to(n))
    }

    fn health(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(self.problems())
    }

    fn logs(&self, n: usize) -> Done<'_, Vec<String>> {
        Box::pin(async move {
            let mut lines = Vec::new();
            let desired = self.live().desired;
            for replica in 0..desired {
                let path = logs::path(&self.context.logs_dir, &self.spec.name, replica);
                let tail = logs::tail(&path, n).await;
                lines.extend(tail.map_err(|error| {
                    Failure::new("failed", format!("cannot read the log {}: {error}", path.display()))
                })?);
            }
            Ok(lines)
        })
    }

    fn beat(&self, instance: Option<&str>) {
        let live = self.live();
        // Nobody beats for what does not run, nor for one that ran before.
        let marks: Vec<Arc<str>> = live.replicas.values().filter_map(Replica::runs_as).collect();
        drop(live);
        let now = Instant::now();
        self.beats.send_modify(|beats| {
            beats.retain(|mark, _| marks.contains(mark));
            let of = marks.into_iter().filter(|mark| instance.is_none_or(|instance| instance == &**mark));
            beats.extend(of.map(|mark| (mark, now)));
        });
    }

    fn close(&self) -> Done<'_> {
        Box::pin(self.stop_from(0, self.spec.stop_grace.0))
    }
}

impl Replicas {
    pub(super) fn new(spec: Arc<Spec>, context: Arc<Context>) -> Self {
        let live = Live {
            desired: spec.replicas.min,
            generation: 0,
            replicas: BTreeMap::new(),
            ports: BTreeMap::new(),
        };
        Self { spec, context, live: Mutex::new(live), beats: watch::channel(Beats::new()).0 }
    }

    async fn problems(&self) -> Vec<String> {
        let seats: Vec<(Seat, life::Status)> = {
            let live = self.live();
            let of = |replica: &Replica| (replica.seat, replica.status.borrow().clone());
            live.replicas.values().filter(|replica| replica.seat.index < live.desired).map(of).collect()
        };
        let looks = seats.iter().map(|(seat, status)| async move {
            match status.state {
                State::Stopping => Some("is stopping".to_owned()),
                State::Stopped | State::Waiting => Some("is stopped".to_owned()),
                State::Exited => Some("has ended".to_owned()),
                State::Booting => Some("is still booting".to_owned()),
                State::Healthy | State::Unhealthy => self.look(seat, status).await.err(),
            }
            .map(|problem| format!("replica {} {problem}", seat.index))
        });
        let mut problems: Vec<String> = join_all(looks).await.into_iter().flatten().collect();
        let view = self.view();
        let alive = view.replicas.iter().filter(|replica| replica.pid.is_some()).count();
        if alive < view.desired as usize && problems.is_empty() {
            problems.push(format!("{alive} of {} replicas run", view.desired));
        }
        problems
    }

    async fn look(&self, seat: &Seat, status: &life::Status) -> Result<(), String> {
        let Some(probe) = &self.spec.health else { return Ok(()) };
        let launch = life::launch(&self.spec, seat);
        let beat = status.mark.as_ref().and_then(|mark| self.beats.borrow().get(mark).copied());
        let fill = |text: &str| seat.fill(text);
        let (spawner, owner) = (&self.context.spawner, status.owner.clone());
        health::check(probe, &Subject { fill: &fill, launch: &launch, spawner, beat, owner }).await
    }

    /// Starts every wished replica that does not run, and waits until they have booted.
    async fn start_missing(&self) -> Result<(), Failure> {
        self.ended_all().await?;
        let started: Vec<u32> = {
            let mut live = self.live();
            let runs = |live: &Live, i: &u32| live.replicas.get(i).is_some_and(|r| !r.status.borrow().ended);
            let missing: Vec<u32> = (0..live.desired).filter(|index| !runs(&live, index)).collect();
            if !missing.is_empty() {
                live.generation += 1;
            }
            for index in &missing {
                let port = self.port(&mut live, *index)?;
                let seat = Seat { index: *index, generation: live.generation, port };
                let replica = life::begin(&self.context, &self.spec, seat, self.beats.subscribe());
                live.replicas.insert(*index, replica);
            }
            missing
        };
        let boots = join_all(started.iter().map(|index| self.settled(*index)));
        let problems: Vec<String> = tokio::select! {
            boots = boots => boots.into_iter().filter_map(Result::err).collect(),
            () = self.context.closing.cancelled() => return Err(Failure::new("cancelled", "the engine is shutting down")),
        };
        if problems.is_empty() {
            return Ok(());
        }
        Err(Failure::retryable(
            "failed",
            format!("kernel `{}` did not boot: {}", self.spec.name, problems.join("; ")),
        ))
    }

    /// Waits until those are gone that are stopping: two of one replica never run side by side.
    async fn ended_all(&self) -> Result<(), Failure> {
        let stopping: Vec<Replica> = {
            let live = self.live();
            let wished = live.replicas.values().filter(|replica| replica.seat.index < live.desired);
            wished.filter(|replica| replica.is_stopping()).cloned().collect()
        };
        let gone = join_all(stopping.iter().map(|replica| replica.gone(KILL_WAIT))).await;
        self.failed_of(gone.into_iter().filter_map(Result::err).collect(), "is not started")
    }

    fn failed_of(&self, problems: Vec<String>, what: &str) -> Result<(), Failure> {
        if problems.is_empty() {
            return Ok(());
        }
        let message = format!("kernel `{}` {what}: {}", self.spec.name, problems.join("; "));
        Err(Failure::retryable("failed", message))
    }

    async fn settled(&self, index: u32) -> Result<(), String> {
        // The watch is taken out of the lock before it is waited for.
        let mut status = match self.live().replicas.get(&index) {
            Some(replica) => replica.status.clone(),
            None => return Err(format!("replica {index} was stopped")),
        };
        let settled = status.wait_for(|status| status.settled.is_some()).await;
        let settled = settled.ok().and_then(|status| status.settled.clone());
        settled
            .unwrap_or_else(|| Err("was stopped".into()))
            .map_err(|error| format!("replica {index} {error}"))
    }

    async fn bring_to(&self, n: u32) -> Result<(), Failure> {
        let before = std::mem::replace(&mut self.live().desired, n);
        self.stop_from(n, self.spec.stop_grace.0).await?;
        let started = self.start_missing().await;
        let mut data = Map::new();
        data.insert("from".into(), json!(before));
        data.insert("to".into(), json!(n));
        data.insert("state".into(), json!(self.view().state));
        self.context.publish(&self.spec, "scaled", data);
        started
    }

    /// Stops the replicas from number `first` on. Those of a smaller number stay. One that does not end is kept until it
    /// has, also where it is not wished any more.
    async fn stop_from(&self, first: u32, grace: Duration) -> Result<(), Failure> {
        let stopping: Vec<Replica> = {
            let live = self.live();
            live.replicas.range(first..).map(|(_, replica)| replica.clone()).collect()
        };
        let stopped = join_all(stopping.iter().map(|replica| replica.stop(grace))).await;
        self.live().retire(&self.context);
        self.failed_of(stopped.into_iter().filter_map(Result::err).collect(), "does not stop")
    }

    fn port(&self, live: &mut Live, index: u32) -> Result<Option<u16>, Failure> {
        match self.spec.port {
            None => Ok(None),
            // Checked at load: it fits.
            Some(Port::Fixed(first)) => Ok(u16::try_from(u32::from(first) + index).ok()),
            Some(Port::Auto) => {
                if let Some(port) = live.ports.get(&index).copied() {
                    if ports::is_free(port) {
                        return Ok(Some(port));
                    }
                    self.context.ports.give_back(port);
                }
                let port = self.context.ports.take();
                let port =
                    port.ok_or_else(|| Failure::retryable("failed", "no free port is left on this machine"))?;
                live.ports.insert(index, port);
                Ok(Some(port))
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
