//! The last look before an effect, after its `started` record is durable: was its intent ended, is it frozen, is the data
//! directory gone, does the engine stop?
//!
//! Who closes the gate for an intent or for all first makes the answer a no, then waits in [`Gate::clear`]: an effect that
//! was let through before is then under way, and none begins after. Start with [`Gate::enter`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Parts, lock};
use crate::freeze::Freeze;
use crate::model::IntentId;
use crate::platform::beginning;

/// Longest wait for an effect that was let through to begin: what begins is mostly a process, in a millisecond.
const LONGEST: Duration = Duration::from_secs(2);

/// Whether what the engine stands on is still there.
pub trait Ground: Send + Sync {
    /// Why what is written now would be lost; none if it would not.
    fn lost(&self) -> Option<String>;
}

/// Why an effect must not begin.
#[derive(Clone, Debug, PartialEq)]
pub enum Shut {
    /// Its intent has ended, or the engine stops.
    Ended,
    /// It is held until it is thawed.
    Frozen(Freeze),
    /// What came of it could not be kept; why.
    Lost(String),
}

/// Who is about to have an effect.
#[derive(Clone, Debug)]
pub struct Who {
    /// For which intent.
    pub intent: IntentId,
    /// By which playbook.
    pub playbook: Option<String>,
    /// Whether it changes anything but what operators and the engine know.
    pub acts: bool,
}

/// Those that were let through and have not begun yet.
#[derive(Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    passing: Mutex<Passing>,
    left: Notify,
}

#[derive(Default)]
struct Passing {
    next: u64,
    inside: BTreeMap<u64, IntentId>,
}

struct Pass {
    gate: Arc<Inner>,
    number: u64,
}

impl Drop for Pass {
    fn drop(&mut self) {
        lock(&self.gate.passing).inside.remove(&self.number);
        self.gate.left.notify_waiters();
    }
}

impl Gate {
    /// Lets an effect through; give the pass to [`beginning::with`], and begin at once.
    ///
    /// # Errors
    /// Why not.
    pub fn enter(&self, parts: &Parts, who: &Who) -> Result<beginning::Pass, Shut> {
        self.pass(who.intent, || shut(parts, who))
    }

    fn pass(&self, intent: IntentId, shut: impl FnOnce() -> Option<Shut>) -> Result<beginning::Pass, Shut> {
        // First in, then the look: who closes the gate after that look finds this one inside.
        let pass = self.go_in(intent);
        match shut() {
            Some(shut) => Err(shut),
            None => Ok(Arc::new(pass)),
        }
    }

    /// Waits until each effect that was let through so far, for `intent` or for all, has begun.
    pub async fn clear(&self, intent: Option<IntentId>) {
        let wanted = |it: &IntentId| intent.is_none_or(|id| id == *it);
        let before = lock(&self.0.passing).next;
        let is_clear = || !lock(&self.0.passing).inside.range(..before).any(|(_, it)| wanted(it));
        let cleared = async {
            loop {
                let mut left = std::pin::pin!(self.0.left.notified());
                left.as_mut().enable();
                if is_clear() {
                    return;
                }
                left.await;
            }
        };
        if tokio::time::timeout(LONGEST, cleared).await.is_err() {
            tracing::warn!("an action that was let through before has not begun after {LONGEST:?}");
        }
    }

    fn go_in(&self, intent: IntentId) -> Pass {
        let mut passing = lock(&self.0.passing);
        let number = passing.next;
        passing.next += 1;
        passing.inside.insert(number, intent);
        Pass { gate: self.0.clone(), number }
    }
}

/// Why no effect may begin now, if none may. That the engine stops is asked by who works.
pub fn shut(parts: &Parts, who: &Who) -> Option<Shut> {
    let Some(intent) = parts.board.get(who.intent) else { return Some(Shut::Ended) };
    if !who.acts {
        return None;
    }
    if let Some(freeze) = parts.freeze.on(&intent, who.playbook.as_deref()) {
        return Some(Shut::Frozen(freeze));
    }
    parts.ground.lost().map(Shut::Lost)
}

impl std::fmt::Display for Shut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended => f.write_str("its intent has ended"),
            Self::Frozen(freeze) => write!(f, "{freeze}"),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests;
