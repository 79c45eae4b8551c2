//! How events get from those who make them to those who wait for them, within one process.
//!
//! [`Lanes`] carry work in order of priority, [`Taps`] show the stream to onlookers who may miss something,
//! [`Waits`] are for one event each and miss nothing, and a [`Publisher`] takes events from inside the engine.
//! Nothing here is durable: what must survive goes through the store first. Start with [`Publisher`].

use crate::model::Event;

mod lanes;
mod taps;
mod waits;

pub use lanes::{Full, Lanes};
pub use taps::{Seen, Tap, Taps};
pub use waits::{Ticket, Waits};

/// Takes events that come up inside the engine: state changes of kernels, results of a stress test.
pub trait Publisher: Send + Sync {
    /// Hands `event` over and goes on; never waits. What happens when too many are waiting is the publisher's to
    /// say, and to count.
    fn publish(&self, event: Event);
}
