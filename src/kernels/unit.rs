//! One kernel: the operations on it, one after the other, and what is known of it.
//!
//! An operation goes on when its caller stops waiting, and is carried out once for each idempotency key. What the kernel
//! is made of is its [`Body`]'s business.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::body::Body;
use super::context::Context;
use super::external::External;
use super::replicas::Replicas;
use super::spec::{Provider, Spec};
use super::view::{Health, State, View};
use super::wishes::Wish;
use super::{Error, providers};
use crate::model::Failure;

/// What can be done to a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Boot {
        anew: bool,
    },
    Start,
    Stop(Option<Duration>),
    /// As a stop, by whoever will start it again: nothing to be remembered for longer.
    Pause(Option<Duration>),
    Restart(Option<Duration>),
    Scale(u32),
}

pub(super) struct Unit {
    pub(super) spec: Arc<Spec>,
    context: Arc<Context>,
    body: Box<dyn Body>,
    /// Held while an operation is carried out.
    past: tokio::sync::Mutex<Past>,
    restarts: AtomicU64,
    /// Whether it was never started because something that it needs did not come up.
    waits: AtomicBool,
}

/// What later operations need to know of earlier ones.
#[derive(Default)]
struct Past {
    results: HashMap<String, Result<View, Failure>>,
    order: VecDeque<String>,
    restarts: VecDeque<Instant>,
}

/// How many results are remembered for their idempotency keys; a run has 5,000 steps at most, few of them on one kernel.
const REMEMBERED: usize = 1_000;

impl Unit {
    /// One that does nothing yet.
    pub(super) fn try_new(spec: Spec, context: &Arc<Context>) -> Result<Self, Error> {
        let (spec, context) = (Arc::new(spec), Arc::clone(context));
        let body: Box<dyn Body> = match spec.provider {
            Provider::Process => Box::new(Replicas::new(Arc::clone(&spec), Arc::clone(&context))),
            _ => {
                let outside = providers::open(&spec, &context.spawner)
                    .map_err(|problem| Error::Provider { kernel: spec.name.clone(), problem })?;
                Box::new(External::new(Arc::clone(&spec), Arc::clone(&context), outside))
            }
        };
        Ok(Self::of(spec, context, body))
    }

    /// One that is only spoken of: whoever provides it is not made ready.
    pub(super) fn planned(spec: Spec, context: &Arc<Context>) -> Self {
        let (spec, context) = (Arc::new(spec), Arc::clone(context));
        let body = Box::new(Replicas::new(Arc::clone(&spec), Arc::clone(&context)));
        Self::of(spec, context, body)
    }

    fn of(spec: Arc<Spec>, context: Arc<Context>, body: Box<dyn Body>) -> Self {
        let (restarts, waits) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { spec, context, body, past: Default::default(), restarts, waits }
    }

    /// Carries out `operation` on behalf of `by`, unless one with the same `key` was before. An empty key is not remembered.
    pub(super) async fn operate(
        self: &Arc<Self>,
        operation: Operation,
        key: &str,
        by: &str,
    ) -> Result<View, Failure> {
        let (unit, key, by) = (Arc::clone(self), key.to_owned(), by.to_owned());
        let task = tokio::spawn(async move { unit.in_turn(operation, key, &by).await });
        task.await.unwrap_or_else(|_| {
            Err(Failure::new("failed", "the operation broke off: this is a defect of Paramedic"))
        })
    }

    /// Ends everything that is the engine's own, also while an operation is under way; `closing` has been cancelled.
    pub(super) async fn close(&self) {
        let _turn = self.past.lock().await;
        if let Err(failure) = self.body.close().await {
            tracing::error!(kernel = self.spec.name, %failure, "a kernel cannot be stopped");
        }
    }

    pub(super) fn beat(&self, instance: Option<&str>) {
        self.body.beat(instance);
    }

    /// Wishes for `n` replicas, or as near to it as it may have, before it is booted.
    pub(super) fn wish(&self, n: u32) {
        self.body.wish(n.clamp(self.spec.replicas.min, self.spec.replicas.max));
    }

    /// Says that it was not started because of others, or that this is over.
    pub(super) fn set_waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::SeqCst);
    }

    /// Whether it was not started because of others, and nobody has touched it since.
    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::SeqCst)
    }

    /// Whether an operation with this key has been carried out.
    pub(super) async fn has_done(&self, key: &str) -> bool {
        !key.is_empty() && self.past.lock().await.results.contains_key(key)
    }

    /// Where it stands by itself, whatever it waits for.
    pub(super) fn state(&self) -> State {
        self.body.view().state
    }

    pub(super) fn view(&self) -> View {
        let mut view = self.body.view();
        view.restarts = self.restarts.load(Ordering::SeqCst);
        view.wish = self.wished();
        let down = matches!(view.state, State::Exited | State::Unhealthy)
            || self.waits() && view.state == State::Stopped;
        if down {
            view.waits_for = self.context.missing(&self.spec);
            if !view.waits_for.is_empty() {
                view.state = State::Waiting;
            }
        }
        view
    }

    /// Looks now, whatever the last check said.
    pub(super) async fn health(&self) -> Health {
        let problems = self.body.health().await;
        let view = self.view();
        Health {
            kernel: view.name,
            healthy: problems.is_empty(),
            state: view.state,
            problems,
            generation: view.generation,
            waits_for: view.waits_for,
        }
    }

    pub(super) async fn logs(&self, n: usize) -> Result<Vec<String>, Failure> {
        self.body.logs(n).await
    }

    async fn in_turn(&self, operation: Operation, key: String, by: &str) -> Result<View, Failure> {
        if let Operation::Stop(Some(grace))
        | Operation::Pause(Some(grace))
        | Operation::Restart(Some(grace)) = operation
        {
            // A stop that is under way need not take longer than whoever comes now would let it.
            self.body.hurry(grace);
        }
        let mut past = self.past.lock().await;
        if let Some(result) = past.results.get(&key) {
            return result.clone();
        }
        if self.context.closing.is_cancelled() {
            return Err(Failure::new("cancelled", "the engine is shutting down"));
        }
        self.set_waits(false);
        let grace = |grace: Option<Duration>| grace.unwrap_or(self.spec.stop_grace.0);
        let result = match operation {
            Operation::Boot { .. } if self.wished().is_some_and(|wish| wish.stopped) => Ok(()),
            Operation::Boot { anew } => self.body.boot(anew).await,
            Operation::Start => {
                self.remember(by, |wish| wish.stopped = false).await;
                self.body.start(&key).await
            }
            Operation::Stop(limit) => {
                self.remember(by, |wish| wish.stopped = true).await;
                self.body.stop(grace(limit), &key).await
            }
            Operation::Pause(limit) => self.body.stop(grace(limit), &key).await,
            Operation::Restart(limit) => match self.spend(&mut past) {
                Ok(()) => {
                    self.remember(by, |wish| wish.stopped = false).await;
                    self.body.restart(grace(limit), &key).await
                }
                Err(failure) => Err(failure),
            },
            Operation::Scale(n) => match self.within(n) {
                Ok(()) => {
                    self.remember(by, |wish| (wish.stopped, wish.replicas) = (false, Some(n))).await;
                    self.body.scale(n, &key).await
                }
                Err(failure) => Err(failure),
            },
        };
        let result = result.map(|()| self.view());
        past.remember(key, &result);
        result
    }

    /// What was wished of it that outlives the engine.
    fn wished(&self) -> Option<Wish> {
        // What lives outside is as it is, whatever somebody wished once.
        let own = self.spec.provider == Provider::Process;
        self.context.wishes.get().filter(|_| own)?.of(&self.spec.name)
    }

    /// Keeps what is wished of it now, so that it outlives the engine.
    async fn remember(&self, by: &str, change: impl FnOnce(&mut Wish)) {
        let own = self.spec.provider == Provider::Process;
        let Some(wishes) = self.context.wishes.get().filter(|_| own) else { return };
        let problem = format!("kernel/{}/wish", self.spec.name);
        match wishes.change(&self.spec.name, by, self.context.clock.now(), change).await {
            Ok(()) => self.context.clear(&problem),
            // To stop something is more urgent than to remember it.
            Err(error) => self.context.raise(
                &problem,
                &format!(
                    "failed to record what was done to kernel `{}` by hand: {error}; a restart of the engine will forget \
                     it, so do it again once the store works",
                    self.spec.name
                ),
            ),
        }
    }

    /// Takes one restart from the budget.
    fn spend(&self, past: &mut Past) -> Result<(), Failure> {
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
        self.restarts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn within(&self, n: u32) -> Result<(), Failure> {
        let range = self.spec.replicas;
        if n < range.min || n > range.max {
            let message = format!(
                "`replicas` is {n}: kernel `{}` can have {} to {}",
                self.spec.name, range.min, range.max
            );
            return Err(Failure::new("invalid", message));
        }
        Ok(())
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
