//! What the board knows of the time before: read back at a start, and when rules go live that ask for more of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{MAX_ANSWERED, is_recorded_only, key};
use super::{Board, MANUAL};
use crate::model::{Intent, IntentId, Time};
use crate::rules::RuleSet;
use crate::store::{Error, IntentQuery};

/// Name under which the store keeps from when on it knows the intents that ended: those before were pruned.
pub const SINCE: &str = "intents.since";

/// How long a wish of a person or another system is known by its key after its end.
const ANSWERED: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// Wishes read back at a time.
const PAGE: usize = 1_000;

/// Which of the intents that ended are read back: by rule, those since a time.
struct Wanted {
    since: Time,
    rules: BTreeMap<String, Time>,
}

impl Wanted {
    /// None if that is nothing.
    fn of(rules: BTreeMap<String, Time>) -> Option<Self> {
        Some(Self { since: *rules.values().min()?, rules })
    }
}

impl Board {
    /// Reads back the intents that were open when the engine stopped, and of those that ended what guards ask for under
    /// `rules`. Only at the start, before anything is worked on.
    ///
    /// # Errors
    /// When the store cannot be read; then call it again.
    pub async fn recall(self: &Arc<Self>, rules: &RuleSet) -> Result<(), Error> {
        let now = self.back_from();
        // All of it is read below.
        drop(self.lock_state().past.adopt(rules));
        let pruned = self.store.meta(SINCE.into()).await?;
        if let Some(pruned) = pruned.and_then(|text| text.parse().ok()) {
            self.pruned(pruned);
        }
        let board = self.clone();
        self.store.open_intents(Box::new(move |intent| board.take_up(intent))).await?;
        // Now, as what is open may ask for more than the rules do.
        let since = self.lock_state().past.since(now);
        if let Some(wanted) = Wanted::of(since) {
            let board = self.clone();
            self.read_back(wanted, move |intent| board.restore([intent])).await?;
        }
        self.recall_answered(now).await
    }

    /// `rules` are live from now on. They may ask for more of the past than was kept, which is read back; call it before
    /// an intent is born of them. Where that fails, guards wait instead of acting on a gap.
    pub async fn look_back(self: &Arc<Self>, rules: &RuleSet) {
        let now = self.back_from();
        let wanted = {
            let mut state = self.lock_state();
            let more = state.past.adopt(rules);
            let mut since = state.past.since(now);
            since.retain(|rule, _| more.contains(rule));
            let Some(wanted) = Wanted::of(since) else { return };
            for id in state.open.ids() {
                if let Some(intent) = state.open.get(id).filter(|intent| more.contains(&intent.rule)) {
                    state.remember_starts(&intent);
                }
            }
            wanted
        };
        let board = self.clone();
        let each = move |intent: Intent| board.lock_state().remember_starts(&intent);
        if let Err(error) = self.read_back(wanted, each).await {
            self.pruned(self.clock.now());
            tracing::error!(
                "failed to read back the repairs that the guards of the new rules go by: {error}; until a restart \
                 their cooldowns and rates wait as if each target had just been repaired"
            );
        }
    }

    /// The store has forgotten the intents that ended before `time`: guards that ask for more wait.
    pub fn pruned(&self, time: Time) {
        let steady = self.clock.to_steady(time, self.clock.era());
        self.lock_state().past.pruned(steady);
    }

    /// The earliest time at which an intent may have ended that guards ask for at `now`.
    pub fn oldest_wanted(&self, now: Time) -> Time {
        let guards = self.lock_state().past.oldest(now).unwrap_or(now);
        guards.min(now - ANSWERED)
    }

    /// Remembers what ended lately, oldest first; only at the start.
    pub(super) fn restore(&self, ended: impl IntoIterator<Item = Intent>) {
        let mut state = self.lock_state();
        for intent in ended {
            state.remember_starts(&intent);
            if is_recorded_only(&intent) {
                state.remember_recorded(&Arc::new(intent));
                continue;
            }
            state.forget_end(&intent);
            state.remember_end(&intent);
            let open = state.open.of(&intent.rule, &intent.group).and_then(|id| state.open.get(id));
            if let Some(open) = open {
                state.relapse(&open);
            }
        }
    }

    /// Puts back an intent that was open when the engine stopped.
    pub fn take_up(&self, intent: Intent) {
        let mut state = self.lock_state();
        state.remember_starts(&intent);
        state.relapse(&intent);
        if intent.rule == MANUAL {
            state.remember_answered(key(&intent.rule, &intent.group), intent.id);
        }
        let id = intent.id;
        state.put_open(Arc::new(intent));
        state.open.pack(id, false);
    }

    /// From when it is looked back for what the present asks for: what was written down before the clock was set forward
    /// looks older than it is.
    fn back_from(&self) -> Time {
        self.clock.now() - self.clock.looks_older(Time::UNIX_EPOCH)
    }

    async fn read_back(
        &self,
        wanted: Wanted,
        each: impl FnMut(Intent) + Send + 'static,
    ) -> Result<u64, Error> {
        let Wanted { since, rules } = wanted;
        let wanted = Box::new(move |rule: &str, at| rules.get(rule).is_some_and(|since| at >= *since));
        self.store.ended_since(since, wanted, Box::new(each)).await
    }

    async fn recall_answered(&self, now: Time) -> Result<(), Error> {
        let rule = Some(MANUAL.to_owned());
        let mut query = IntentQuery { rule, open: Some(false), limit: PAGE, ..IntentQuery::default() };
        let mut answered: Vec<(IntentId, String)> = Vec::new();
        loop {
            let page = self.store.intents(query.clone()).await?;
            let old = page.items.last().is_none_or(|oldest| oldest.id.time() < now - ANSWERED);
            answered.extend(page.items.into_iter().map(|it| (it.id, it.group)));
            match page.next_cursor {
                Some(cursor) if !old && answered.len() < MAX_ANSWERED => query.cursor = Some(cursor),
                _ => break,
            }
        }
        let mut state = self.lock_state();
        for (id, group) in answered.into_iter().rev() {
            state.remember_answered(key(MANUAL, &group), id);
        }
        Ok(())
    }
}
