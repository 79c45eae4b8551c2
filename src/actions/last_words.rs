//! What a call has to say if its time is up before it ends: the action leaves a way to ask, whoever breaks the call off
//! asks.

use std::fmt;
use std::sync::{Arc, OnceLock};

type Ask = Box<dyn Fn() -> String + Send + Sync>;

/// A place for a way to ask one call; a clone is the same place.
#[derive(Clone, Default)]
pub struct LastWords(Arc<OnceLock<Ask>>);

impl LastWords {
    /// Leaves the way to ask; the first one stays.
    pub fn leave(&self, ask: impl Fn() -> String + Send + Sync + 'static) {
        self.0.get_or_init(|| Box::new(ask));
    }

    /// What there is to say; empty if nothing is known.
    pub fn ask(&self) -> String {
        self.0.get().map(|ask| ask()).unwrap_or_default()
    }
}

impl PartialEq for LastWords {
    /// It says nothing about what is called.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for LastWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastWords")
    }
}
