//! How operators are told: the list of alerts with its store, and for each channel a queue of its own that survives the
//! engine.
//!
//! An alert is durable, with the channels that it is for, before whoever raised it goes on; nobody ever waits for a
//! channel. Each channel has one worker: one that hangs or refuses delays no other, a critical alert overtakes the rest,
//! and a storm becomes one digest a minute. An alert counts as sent once the channel confirmed it. Start with
//! [`Notifier`].

mod digest;
mod list;
mod notifier;
mod numbers;
mod outage;
mod queue;
mod worker;

pub use list::{ChangeError, List};
pub use notifier::Notifier;

use std::sync::{Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
