//! Who waits for whom: the order of booting, and of a restart that takes dependants along.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Registry;
use super::context::Context;
use super::spec::{Spec, ranks};
use super::unit::{Operation, Unit};
use super::view::{State, View};
use crate::model::Failure;
use crate::platform::Part;

/// How often trouble that may be over is looked at.
const AGAIN: Duration = Duration::from_millis(250);

impl Registry {
    /// Boots every kernel when those it depends on have booted; see [`Registry::boot`].
    pub(super) async fn boot_all(&self, anew: bool) -> Vec<View> {
        let settled: HashMap<&str, watch::Sender<bool>> =
            self.kernels.keys().map(|name| (name.as_str(), watch::channel(false).0)).collect();
        let boots = self.kernels.values().map(|unit| {
            let settled = &settled;
            async move {
                for needed in &unit.spec.depends_on {
                    if let Some(other) = settled.get(needed.as_str()) {
                        other.subscribe().wait_for(|settled| *settled).await.ok();
                    }
                }
                if self.context.missing(&unit.spec).is_empty() {
                    // Told as events already.
                    unit.operate(Operation::Boot { anew }, "", &self.by).await.ok();
                } else {
                    self.start_later(unit, Operation::Boot { anew });
                }
                settled[unit.spec.name.as_str()].send_replace(true);
            }
        });
        join_all(boots).await;
        let again = tell_again(Arc::clone(&self.context), Arc::downgrade(&self.kernels));
        drop(Part::new("kernel-dependencies").spawn(again));
        self.list()
    }

    /// Restarts `name` with all that depend on it; see [`Registry::restart_with_dependants`].
    pub(super) async fn restart_all(
        &self,
        name: &str,
        grace: Option<Duration>,
        key: &str,
    ) -> Result<View, Failure> {
        // The part of one dependant in it has a key of its own.
        let part = |what: &str, unit: &Unit| match key {
            "" => String::new(),
            key => format!("{key}/{what}/{}", unit.spec.name),
        };
        let unit = Arc::clone(self.find(name)?);
        let dependants = self.dependants_of(name);
        let runs = |unit: &Arc<Unit>| !matches!(unit.state(), State::Stopped);
        // A repeated call finds those stopped that it has stopped before.
        let mut taken: Vec<Arc<Unit>> = Vec::new();
        for unit in dependants {
            if runs(&unit) || unit.waits() || unit.has_done(&part("stop", &unit)).await {
                taken.push(unit);
            }
        }
        let mut stopped: Vec<&Arc<Unit>> = Vec::new();
        for dependant in taken.iter().rev() {
            let done = dependant.operate(Operation::Pause(grace), &part("stop", dependant), &self.by).await;
            stopped.push(dependant);
            if let Err(failure) = done {
                for stopped in stopped.iter().rev() {
                    stopped.operate(Operation::Start, "", &self.by).await.ok();
                }
                let message =
                    format!("`{name}` was not restarted, as one that depends on it does not stop: {failure}");
                return Err(Failure { message, ..failure });
            }
        }
        let restarted = unit.operate(Operation::Restart(grace), key, &self.by).await;
        let mut failed = Vec::new();
        for dependant in &taken {
            if self.context.missing(&dependant.spec).is_empty() {
                let started = dependant.operate(Operation::Start, &part("start", dependant), &self.by).await;
                failed.extend(started.err());
            } else {
                self.start_later(dependant, Operation::Start);
            }
        }
        let view = restarted?;
        match failed.into_iter().next() {
            None => Ok(view),
            Some(failure) => {
                let message =
                    format!("`{name}` was restarted, but one that depends on it did not come up: {failure}");
                Err(Failure { message, ..failure })
            }
        }
    }

    /// Those that depend on `name`, directly or not, in the order in which they boot.
    pub(super) fn dependants_of(&self, name: &str) -> Vec<Arc<Unit>> {
        let mut found = vec![name];
        let mut next = 0;
        while let Some(needed) = found.get(next).copied() {
            let more = self.kernels.values().map(|unit| &unit.spec);
            let more = more.filter(|spec| spec.depends_on.iter().any(|name| name == needed));
            for spec in more {
                if !found.contains(&spec.name.as_str()) {
                    found.push(&spec.name);
                }
            }
            next += 1;
        }
        let ranks = ranks(self.kernels.values().map(|unit| &*unit.spec));
        let mut units: Vec<Arc<Unit>> =
            found[1..].iter().filter_map(|name| self.kernels.get(*name)).map(Arc::clone).collect();
        units.sort_by_key(|unit| ranks.get(unit.spec.name.as_str()).copied());
        units
    }

    /// Marks it as waiting, and starts it when what it needs is healthy, unless somebody has touched it meanwhile.
    fn start_later(&self, unit: &Arc<Unit>, operation: Operation) {
        unit.set_waits(true);
        let (context, unit, by) = (Arc::clone(&self.context), Arc::clone(unit), Arc::clone(&self.by));
        tracing::info!(kernel = unit.spec.name, needs = ?context.missing(&unit.spec), "not started before what it needs is healthy");
        let part = Part::new(format!("kernel {} waits", unit.spec.name));
        drop(part.spawn(async move {
            if wait(&context, &unit).await {
                // Told as events.
                unit.operate(operation, "", &by).await.ok();
            }
        }));
    }
}

/// Tells trouble once more that was held to come from something else, when that is over and the trouble is not.
async fn tell_again(context: Arc<Context>, kernels: Weak<BTreeMap<String, Arc<Unit>>>) {
    let mut changes = context.changes.subscribe();
    // Since when each has had no excuse.
    let mut since: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        tokio::select! {
            () = context.closing.cancelled() => return,
            changed = changes.changed(), if since.is_empty() => if changed.is_err() { return },
            () = sleep(AGAIN), if !since.is_empty() => {}
        }
        let Some(kernels) = kernels.upgrade() else { return };
        let held = context.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        since.retain(|name, _| held.contains_key(name));
        for (name, (what, data)) in held {
            let Some(unit) = kernels.get(&name) else { continue };
            if !context.missing(&unit.spec).is_empty() {
                since.remove(&name);
                continue;
            }
            let over = since.entry(name.clone()).or_insert_with(Instant::now).elapsed();
            // What has ended does not come back by itself; what runs is given time to notice.
            let state = unit.state();
            if state == State::Exited || state == State::Unhealthy && over >= patience(&unit.spec) {
                context.publish(&unit.spec, &what, data);
                since.remove(&name);
            } else if !matches!(state, State::Unhealthy) {
                context.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            }
        }
    }
}

/// How long a kernel that runs may take to be healthy again after what it needs is.
fn patience(spec: &Spec) -> Duration {
    spec.health.as_ref().map_or(AGAIN, |probe| (probe.interval.0 + probe.timeout.0) * (probe.failures + 1))
}

/// Waits until what `unit` needs is healthy; false if nobody wishes for its start any more.
async fn wait(context: &Context, unit: &Unit) -> bool {
    let mut changes = context.changes.subscribe();
    while unit.waits() {
        if context.missing(&unit.spec).is_empty() {
            return true;
        }
        tokio::select! {
            () = context.closing.cancelled() => return false,
            changed = changes.changed() => if changed.is_err() { return false },
        }
    }
    false
}
