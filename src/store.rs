//! What must survive: the event log, intents, runs with their journals, outcomes, alerts, and small things by name.
//!
//! A [`Store`] takes [`Write`]s in groups that are kept whole or not at all, in the order in which they are handed
//! in, and answers queries. It decides nothing and must not be asked to: what a record means is told by its owner.
//! No backend's language (SQL) shows through this trait. Start with [`Store`].

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{
    Alert, Event, Intent, IntentId, OutcomeRecord, Pattern, Run, RunId, RunStatus, Status, Step, Time,
};

pub mod client;
mod commit;
#[cfg(test)]
pub(crate) mod conformance;
mod error;
mod key;
pub mod memory;
pub mod sqlite;

pub use commit::{Commit, Committer, OnSettled};
pub use error::Error;
pub use key::EventKey;
pub use memory::Memory;
pub use sqlite::Sqlite;

/// What a read answers, later.
pub type Read<'a, T> = BoxFuture<'a, Result<T, Error>>;

/// Whether an intent of a rule that ended at a time is wanted.
pub type Wanted = Box<dyn FnMut(&str, Time) -> bool + Send>;

/// A record that was set aside, as it does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// What it was: the name of its table.
    pub origin: &'static str,
    /// Its key there.
    pub key: String,
    /// Why it does not read.
    pub why: String,
}

/// A place that keeps what it acknowledged through `kill -9` and power loss.
pub trait Store: Send + Sync {
    /// Takes `writes` as one unit: after a crash all of them are there, or none. The answer resolves when they are
    /// durable. Units become durable in the order of the calls, whether or not the answer is awaited; an empty unit
    /// therefore resolves, without an error, when everything before it is settled, whatever became of that. Never blocks:
    /// what does not fit is refused with [`Error::Busy`], and then nothing of it was taken.
    fn commit(&self, writes: Vec<Write>) -> Commit {
        self.commit_watched(writes, None)
    }

    /// The same, and calls `on_settled` with the answer before any later unit is answered.
    fn commit_watched(&self, writes: Vec<Write>, on_settled: Option<OnSettled>) -> Commit;

    /// Whether it takes nothing any more, as its writer has ended.
    fn is_stopped(&self) -> bool {
        false
    }

    /// Looks through all records and sets aside those that do not read, whole and never deleted; answers how many. To
    /// be called once a read has failed with [`Error::Corrupt`].
    fn set_aside(&self) -> Read<'_, usize> {
        Box::pin(async { Ok(0) })
    }

    /// Sets aside what is kept under the name `key`, as it does not read for this reason.
    fn set_meta_aside(&self, _key: String, _why: String) -> Read<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Whether a read has found something that does not read since [`Store::set_aside`] was called last.
    fn has_unreadable(&self) -> bool {
        false
    }

    /// Takes the list of what was set aside since it was taken last.
    fn take_set_aside(&self) -> Vec<SetAside> {
        Vec::new()
    }

    /// The idempotency key of an event, under this store's own secret.
    fn event_key(&self, source: &str, id: &str) -> u64;

    /// The keys of the latest events, at most `limit`, oldest first.
    fn recent_keys(&self, limit: usize) -> Read<'_, Vec<u64>>;

    /// Gives `each` every kept event that happened at `since` or later, in order of arrival; answers how many.
    fn replay_events(&self, since: Time, each: Box<dyn FnMut(Event) + Send>) -> Read<'_, u64>;

    /// Gives `each` every kept event with a number above `after`, with its number, in order; answers the number of the
    /// last event. Numbers are those of arrival, from 1, without gaps.
    fn replay_log(&self, after: u64, each: Box<dyn FnMut(u64, Event) + Send>) -> Read<'_, u64>;

    /// The number of the last event of those that became durable before `arrived` by the store's own clock, with none
    /// before them that did later; it goes by whole units, so a little earlier may come. 0 if there is none.
    fn last_before(&self, arrived: Time) -> Read<'_, u64>;

    /// The latest event with this id, and its number.
    fn find_event(&self, id: String) -> Read<'_, Option<(u64, Event)>>;

    /// What was noted about event number `number` and its neighbours, and the number of the first of them.
    fn notes(&self, number: u64) -> Read<'_, Option<(u64, String)>>;

    /// Events that pass the query. A page may be short, even empty, when much had to be read for it: only
    /// `next_cursor` says whether there is more.
    fn events(&self, query: EventQuery) -> Read<'_, Page<Event>>;

    /// Gives `each` every intent to which something may still happen, oldest first; answers how many.
    fn open_intents(&self, each: Box<dyn FnMut(Intent) + Send>) -> Read<'_, u64>;

    /// Gives `each` the intents that ended at `since` or later, in that order, of those that are `wanted`, by their rule
    /// and the time they ended. There may be very many; those that are not wanted cost little.
    fn ended_since(&self, since: Time, wanted: Wanted, each: Box<dyn FnMut(Intent) + Send>) -> Read<'_, u64>;

    /// When the first of the intents that are kept ended; none if none has.
    fn oldest_ended(&self) -> Read<'_, Option<Time>>;

    /// One intent.
    fn intent(&self, id: IntentId) -> Read<'_, Option<Intent>>;

    /// Intents that pass the query, newest first.
    fn intents(&self, query: IntentQuery) -> Read<'_, Page<Intent>>;

    /// Gives `each` every run that has not ended, oldest first; answers how many.
    fn open_runs(&self, each: Box<dyn FnMut(OpenRun) + Send>) -> Read<'_, u64>;

    /// One run.
    fn run(&self, id: RunId) -> Read<'_, Option<Run>>;

    /// One run with its journal, as they stood at one moment.
    fn run_and_steps(&self, id: RunId) -> Read<'_, Option<(Run, Vec<Step>)>>;

    /// The runs of an intent, oldest first. There may be very many: for tests and tools.
    fn runs_of(&self, intent: IntentId) -> Read<'_, Vec<Run>>;

    /// The runs of an intent that have not ended, oldest first.
    fn open_runs_of(&self, intent: IntentId) -> Read<'_, Vec<Run>>;

    /// The runs of an intent, newest first, as a page of at most `limit`.
    fn runs_page(&self, intent: IntentId, limit: usize, cursor: Option<String>) -> Read<'_, Page<Run>>;

    /// A run's journal, in order.
    fn steps(&self, run: RunId) -> Read<'_, Vec<Step>>;

    /// A run's journal, in order, as a page of at most `limit`.
    fn steps_page(&self, run: RunId, limit: usize, cursor: Option<String>) -> Read<'_, Page<Step>>;

    /// All outcomes, in the order in which they were known.
    fn outcomes(&self) -> Read<'_, Vec<OutcomeRecord>>;

    /// The outcomes known at `since` or later, in that order.
    fn outcomes_since(&self, since: Time) -> Read<'_, Vec<OutcomeRecord>>;

    /// Gives `each` the outcomes with a number above `after`, in the order of their numbers; answers the highest number.
    fn outcomes_after(&self, after: u64, each: Box<dyn FnMut(OutcomeRecord) + Send>) -> Read<'_, u64>;

    /// The outcomes of one intent, by attempt.
    fn outcomes_of(&self, intent: IntentId) -> Read<'_, Vec<OutcomeRecord>>;

    /// Alerts, latest change first, at most `limit`; with `active_only` those that are not resolved.
    fn alerts(&self, active_only: bool, limit: usize) -> Read<'_, Vec<Alert>>;

    /// A playbook's source by its hash.
    fn source(&self, hash: String) -> Read<'_, Option<String>>;

    /// A small thing by name.
    fn meta(&self, key: String) -> Read<'_, Option<String>>;

    /// The small things whose names begin with `prefix`, in the order of their names.
    fn metas(&self, prefix: String) -> Read<'_, Vec<(String, String)>>;

    /// The latest entries of the timeline, newest first.
    fn timeline(&self, limit: usize) -> Read<'_, Vec<Entry>>;

    /// How much is kept.
    fn counts(&self) -> Read<'_, Counts>;

    /// Forgets what is older than the query says, in small portions between which commits go on.
    fn prune(&self, prune: Prune) -> Read<'_, Pruned>;

    /// Looks for damage; answers what it found, one line a finding. Reads everything: minutes on a large store.
    fn verify(&self) -> Read<'_, Vec<String>>;
}

/// A run that has not ended, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRun {
    /// Which.
    pub id: RunId,
    /// For which intent.
    pub intent: IntentId,
    /// What is being carried out.
    pub status: RunStatus,
    /// When its time is up.
    pub deadline: Time,
    /// The last entry of its journal.
    pub last: Option<Step>,
}

/// Something to keep.
#[derive(Clone, Debug)]
pub enum Write {
    /// Appends to the event log, in this order. The store does not look for duplicates.
    Events(Vec<Arc<Event>>),
    /// Keeps a text about the last `about` events that the same unit appends before it, as long as they are kept.
    Notes {
        /// How many events it is about.
        about: usize,
        /// The text.
        text: String,
    },
    /// Keeps an intent, in place of the one with the same id.
    Intent(Arc<Intent>),
    /// Keeps a run, in place of the one with the same id.
    Run(Box<Run>),
    /// Keeps steps, each in place of the one with the same run and number.
    Steps(Vec<Step>),
    /// Keeps an outcome, in place of the one with the same intent and attempt.
    Outcome(OutcomeRecord),
    /// Keeps an alert, in place of the one with the same id.
    Alert(Alert),
    /// Keeps a playbook's source under the hash of its content.
    Source {
        /// Hash of the content.
        hash: String,
        /// The content.
        text: String,
    },
    /// Keeps a small thing under a name.
    Meta {
        /// The name. Names that begin with `store.` are the store's own.
        key: String,
        /// The thing, mostly JSON.
        value: String,
    },
    /// Removes the small thing of this name, if there is one.
    RemoveMeta {
        /// The name.
        key: String,
    },
    /// Appends to the timeline.
    Timeline {
        /// When.
        at: Time,
        /// What kind of thing, such as `strategy_changed`.
        kind: String,
        /// The details.
        data: Value,
    },
}

/// Which events are asked for.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Of these topics.
    pub pattern: Option<Pattern>,
    /// That happened at this time or later.
    pub since: Option<Time>,
    /// That happened before this time.
    pub until: Option<Time>,
    /// That became durable at this time or later by the store's own clock, whatever time their senders give. It goes
    /// by whole commits, so a little more may come.
    pub arrived_since: Option<Time>,
    /// Whose JSON text holds this, upper and lower case of ASCII letters being the same.
    pub text: Option<String>,
    /// At most so many; 0 is taken as 100.
    pub limit: usize,
    /// Go on where a page ended.
    pub cursor: Option<String>,
    /// In order of arrival, newest first; otherwise oldest first.
    pub newest_first: bool,
}

/// Which intents are asked for.
#[derive(Clone, Debug, Default)]
pub struct IntentQuery {
    /// With this status.
    pub status: Option<Status>,
    /// Open or closed ones.
    pub open: Option<bool>,
    /// Of this rule.
    pub rule: Option<String>,
    /// For this target.
    pub target: Option<String>,
    /// At most so many; 0 is taken as 100.
    pub limit: usize,
    /// Go on where a page ended.
    pub cursor: Option<String>,
}

/// Bytes of JSON at which a page is full, whatever its limit: an item may have a megabyte. One item always fits.
pub const PAGE_BYTES: usize = 8 << 20;

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Where to go on; none at the end.
    pub next_cursor: Option<String>,
}

/// An entry of the timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Time,
    /// What kind of thing.
    pub kind: String,
    /// The details.
    pub data: Value,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Intents to which something may still happen.
    pub open_intents: u64,
    /// All intents.
    pub intents: u64,
    /// Runs.
    pub runs: u64,
    /// Outcomes.
    pub outcomes: u64,
    /// Alerts that are not resolved.
    pub active_alerts: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes of them that records take; the rest is room for those to come.
    #[serde(default)]
    pub used: u64,
}

/// What may be forgotten. What is not named is kept. Outcomes are always kept: learning rests on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prune {
    /// Events that arrived before this time.
    pub events: Option<Time>,
    /// Closed intents last changed before this time, with their runs and journals.
    pub intents: Option<Time>,
    /// Resolved alerts last changed before this time.
    pub alerts: Option<Time>,
    /// Entries of the timeline before this time.
    pub timeline: Option<Time>,
    /// Sources that were not handed in since this time, no open run goes by, and are not named to stay.
    pub sources: Option<(Time, Vec<String>)>,
    /// What goes, whatever its age, while the records take more room than there is to be.
    pub budget: Option<Budget>,
}

/// What goes, oldest first, while the records take more than so much room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// So much, in bytes.
    pub bytes: u64,
    /// The latest events that stay all the same.
    pub events: u64,
    /// Once no more events may go: closed intents last changed before this time, with their runs and journals.
    pub intents: Option<Time>,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Events.
    pub events: u64,
    /// Intents.
    pub intents: u64,
    /// Alerts.
    pub alerts: u64,
    /// Entries of the timeline.
    pub timeline: u64,
    /// Sources.
    #[serde(default)]
    pub sources: u64,
}
