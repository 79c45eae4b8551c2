//! The wall clock was set: what is put down of it before anything else is decided.

use std::sync::Arc;

use super::{Ingest, Mind};
use crate::engine::clock;
use crate::model::Event;
use crate::rules::Stepped;
use crate::store::Write;

impl Ingest {
    /// At the start: the log goes on where it ended, or in another era.
    pub(super) fn go_on(&self, mind: &mut Mind) {
        self.clock.not_before(mind.logged);
        mind.arrived = mind.logged.max(self.clock.now());
        if !mind.patterns_were_saved {
            // Of what they were before nothing is known, and so nothing of theirs is to be moved.
            self.windows().set_era(self.clock.era());
        }
    }

    /// Begins another era if the wall clock was set, or says again what could not be kept. What it returns belongs into
    /// the log before anything that comes with it.
    pub(super) fn look_at_clock(&self, mind: &mut Mind) -> Option<(Arc<Event>, Write)> {
        if let Some(by) = self.clock.drift() {
            self.clock.step(by);
        }
        let mut windows = self.windows();
        let (now, era) = self.clock.stamp();
        if windows.era() >= era {
            return None;
        }
        let by = self.clock.between(windows.era(), era).num_microseconds().unwrap_or(0);
        let stepped = Stepped { era, by, to: now };
        windows.step(&mind.rules, stepped);
        mind.arrived = now;
        Some((Arc::new(stepped.event()), clock::keep(&self.clock)?))
    }
}
