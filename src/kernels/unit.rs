//! One kernel: the operations on it, one after the other, and what is known of it.
//!
//! An operation goes on when its caller stops waiting, and is carried out once for each idempotency key.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::health::{self, Subject};
use super::life::{self, Context, Replica, Seat};
use super::ports;
use super::spec::{Port, Spec};
use super::view::{Health, ReplicaView, State, View};
use crate::model::Failure;

/// What can be done to a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Start,
    Stop(Option<Duration>),
    Restart(Option<Duration>),
    Scale(u32),
}

pub(super) struct Unit {
    pub(super) spec: Arc<Spec>,
    context: Arc<Context>,
    /// Held while an operation is carried out.
    past: tokio::sync::Mutex<Past>,
    live: Mutex<Live>,
    beats: watch::Sender<Option<Instant>>,
}

/// What later operations need to know of earlier ones.
#[derive(Default)]
struct Past {
    results: HashMap<String, Result<View, Failure>>,
    order: VecDeque<String>,
    restarts: VecDeque<Instant>,
}

struct Live {
    desired: u32,
    generation: u64,
    restarts: u64,
    replicas: BTreeMap<u32, Replica>,
    ports: BTreeMap<u32, u16>,
}

/// How many results are remembered for their idempotency keys; a run has 5,000 steps at most, few of them on one kernel.
const REMEMBERED: usize = 1_000;

impl Unit {
    pub(super) fn new(spec: Spec, context: Arc<Context>) -> Self {
        let live = Live {
            desired: spec.replicas.min,
            generation: 0,
            restarts: 0,
            replicas: BTreeMap::new(),
            ports: BTreeMap::new(),
        };
        let (spec, live) = (Arc::new(spec), Mutex::new(live));
        Self { spec, context, past: Default::default(), live, beats: watch::channel(None).0 }
    }

    /// Carries out `operation`, unless one with the same `key` was before. An empty key is not remembered.
    pub(super) async fn operate(self: &Arc<Self>, operation: Operation, key: &str) -> Result<View, Failure> {
        let (unit, key) = (Arc::clone(self), key.to_owned());
        let task = tokio::spawn(async move { unit.in_turn(operation, key).await });
        task.await.unwrap_or_else(|_| {
            Err(Failure::new("failed", "the operation broke off: this is a defect of Paramedic"))
        })
    }

    /// Ends everything, also while an operation is under way; `closing` has been cancelled before.
    pub(super) async fn close(&self) {
        let _turn = self.past.lock().await;
        if let Err(failure) = self.stop_all(self.spec.stop_grace.0).await {
            tracing::error!(kernel = self.spec.name, %failure, "a kernel cannot be stopped");
        }
    }

    pub(super) fn beat(&self) {
        self.beats.send_replace(Some(Instant::now()));
    }

    pub(super) fn view(&self) -> View {
        let live = self.live();
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
        let states: Vec<State> = replicas.iter().map(|replica| replica.state).collect();
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
            restarts: live.restarts,
            boot_ms: boots.reduce(f64::max),
            baseline_ms: spec.baseline_boot_ms,
            since: replicas.iter().map(|replica| replica.since).max(),
            last_error: replicas.iter().find_map(|replica| replica.error.clone()),
            fleet: spec.fleet.clone(),
            depends_on: spec.depends_on.clone(),
            replicas,
        }
    }

    /// Looks now, whatever the last check said.
    pub(super) async fn health(&self) -> Health {
        let seats: Vec<(Seat, Option<Instant>, State)> = {
            let live = self.live();
            let of = |replica: &Replica| {
                let status = replica.status.borrow();
                (replica.seat, status.begun, status.state)
            };
            live.replicas.values().map(of).collect()
        };
        let looks = seats.iter().map(|(seat, begun, state)| async move {
            match state {
                State::Stopped => Some("is stopped".to_owned()),
                State::Exited => Some("has ended".to_owned()),
                State::Booting => Some("is still booting".to_owned()),
                State::Healthy | State::Unhealthy => self.look(seat, *begun).await.err(),
            }
            .map(|problem| format!("replica {} {problem}", seat.index))
        });
        let mut problems: Vec<String> = join_all(looks).await.into_iter().flatten().collect();
        let view = self.view();
        let alive = view.replicas.iter().filter(|replica| replica.pid.is_some()).count();
        if alive < view.desired as usize && problems.is_empty() {
            problems.push(format!("{alive} of {} replicas run", view.desired));
        }
        Health {
            kernel: view.name,
            healthy: problems.is_empty(),
            state: view.state,
            problems,
            generation: view.generation,
        }
    }

    async fn look(&self, seat: &Seat, begun: Option<Instant>) -> Result<(), String> {
        let Some(probe) = &self.spec.health else { return Ok(()) };
        let launch = life::launch(&self.spec, seat);
        let beat = self.beats.borrow().filter(|at| begun.is_some_and(|begun| *at >= begun));
        let fill = |text: &str| seat.fill(text);
        health::check(probe, &Subject { fill: &fill, launch: &launch, spawner: &self.context.spawner, beat })
            .await
    }

    async fn in_turn(&self, operation: Operation, key: String) -> Result<View, Failure> {
        let mut past = self.past.lock().await;
        if let Some(result) = past.results.get(&key) {
            return result.clone();
        }
        if self.context.closing.is_cancelled() {
            return Err(Failure::new("cancelled", "the engine is shutting down"));
        }
        let result = match operation {
            Operation::Start => self.start_missing().await,
            Operation::Stop(grace) => self.stop_all(grace.unwrap_or(self.spec.stop_grace.0)).await,
            Operation::Restart(grace) => self.restart(&mut past, grace).await,
            Operation::Scale(n) => self.scale(n).await,
        };
        let result = result.map(|()| self.view());
        past.remember(key, &result);
        result
    }

    /// Starts every wished replica that does not run, and waits until they have booted.
    async fn start_missing(&self) -> Result<(), Failure> {
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

    async fn restart(&self, past: &mut Past, grace: Option<Duration>) -> Result<(), Failure> {
        let budget = self.spec.restarts;
        let now = Instant::now();
        while past.restarts.front().is_some_and(|at| now.duration_since(*at) > budget.within.0) {
            past.restarts.pop_front();
        }
        if past.restarts.len() >= budget.max as usize {
            let message = format!(
                "kernel `{}` was restarted {} times within {}, which is its limit: see why it does not stay up, \
                 or raise `restarts` in its configuration",
                self.spec.name, budget.max, budget.within
            );
            return Err(Failure::new("refused", message));
        }
        past.restarts.push_back(now);
        self.stop_all(grace.unwrap_or(self.spec.stop_grace.0)).await?;
        self.live().restarts += 1;
        self.start_missing().await
    }

    async fn scale(&self, n: u32) -> Result<(), Failure> {
        let range = self.spec.replicas;
        if n < range.min || n > range.max {
            let message = format!(
                "`replicas` is {n}: kernel `{}` can have {} to {}",
                self.spec.name, range.min, range.max
            );
            return Err(Failure::new("invalid", message));
        }
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

    async fn stop_all(&self, grace: Duration) -> Result<(), Failure> {
        self.stop_from(0, grace).await
    }

    /// Stops the replicas from number `first` on. Those of a smaller number stay.
    async fn stop_from(&self, first: u32, grace: Duration) -> Result<(), Failure> {
        let mut replicas = self.live().replicas.split_off(&first);
        let stopped = join_all(replicas.values().map(|replica| replica.stop(grace))).await;
        let problems: Vec<String> = stopped.into_iter().filter_map(Result::err).collect();
        let mut live = self.live();
        if first < live.desired {
            // Still wished: it is shown as stopped.
            live.replicas.append(&mut replicas);
        } else {
            for port in live.ports.split_off(&first).into_values() {
                self.context.ports.give_back(port);
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Failure::retryable("failed", format!("kernel `{}`: {}", self.spec.name, problems.join("; "))))
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

impl Past {
    /// Keeps a result for its key. A failure that another try may mend is not kept: the try comes with the same key.
    fn remember(&mut self, key: String, result: &Result<View, Failure>) {
        if key.is_empty() || result.as_ref().is_err_and(|failure| failure.retryable) {
            return;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.results.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.results.insert(key, result.clone());
    }
}
