//! From events to what they lead to: what is due first, then each event in order, as one transaction.

use std::sync::Arc;

use super::{Ingest, Mind};
use crate::engine::decisions::{DecidedEvent, Decisions};
use crate::intents::board::{Became, Changes};
use crate::journal::edge;
use crate::model::Event;
use crate::rules::{Firing, Timed, is_timer};
use crate::store::{Commit, Write};

/// What a batch came to.
pub(super) struct Decided {
    pub(super) commit: Commit,
    /// All events of it, those of timers included.
    pub(super) events: Vec<Arc<Event>>,
    pub(super) changes: Changes,
    /// How many rules fired.
    pub(super) fired: usize,
}

impl Ingest {
    /// Decides about `arrived`, which have just come in after the clock was `stepped`, if it was, and have these keys, and
    /// hands them to the store with the intents they lead to.
    pub(super) fn decide(
        &self,
        stepped: Option<(Arc<Event>, Write)>,
        arrived: Vec<Arc<Event>>,
        keys: &[u64],
        mind: &mut Mind,
    ) -> Decided {
        let now = mind.arrived;
        let mut windows = self.windows();
        let mut board = self.board.batch();
        let mut decisions = Decisions::default();
        let mut fired = 0;
        let (mut events, mut writes) = (Vec::new(), Vec::new());
        if let Some((event, kept)) = stepped {
            mind.seen.insert(self.store.event_key(&event.source, &event.id));
            events.push(event);
            writes.push(kept);
        }
        let mut due = Vec::new();
        windows.advance(&mind.rules, now, &mut due);
        for Timed { event, fired: it } in due {
            if !mind.seen.insert(self.store.event_key(&event.source, &event.id)) {
                continue;
            }
            fired += 1;
            let became = board.fire(&it, &event, now, self.chance.identity());
            decisions.timed(events.len(), &it.rule.name, became);
            events.push(event);
        }
        let (mut firings, mut notes) = (Vec::new(), Vec::new());
        let careful = !keys.is_empty() && mind.quarantine.begin(keys);
        for (event, key) in arrived.into_iter().zip(keys) {
            let number = events.len();
            events.push(event);
            let event = &events[number];
            if is_timer(event) {
                continue;
            }
            if careful && !mind.quarantine.admit(*key) {
                self.hold(event);
                continue;
            }
            edge::meet(&event.id);
            let hits = mind.rules.hits(event, &mut mind.scratch);
            self.metrics.conditions_failed.inc_by(self.failing.note(&mind.rules, mind.scratch.errors(), now));
            if hits.is_empty() {
                continue;
            }
            windows.apply(&mind.rules, event, &hits, &mut firings, &mut notes);
            self.metrics.conditions_failed.inc_by(self.failing.note(&mind.rules, windows.failures(), now));
            self.failing.note_ungrouped(&mind.rules, &notes);
            let mut became: Vec<(String, Became)> = Vec::new();
            for firing in firings.drain(..) {
                let (rule, what) = match firing {
                    Firing::Fire(it) => {
                        fired += 1;
                        let what = board.fire(&it, event, now, self.chance.identity());
                        (it.rule.name.clone(), Some(what))
                    }
                    Firing::Resolved { rule, group } => {
                        (rule.name.clone(), board.resolve(&rule, &group, event, now))
                    }
                };
                became.extend(what.map(|what| (rule, what)));
            }
            decisions.add(DecidedEvent { at: number, notes: std::mem::take(&mut notes), became });
        }
        if !keys.is_empty() {
            mind.quarantine.end(keys, careful);
        }
        edge::pass("matched");
        if !events.is_empty() {
            writes.push(Write::Events(events.clone()));
            writes.extend(decisions.write(events.len()));
        }
        mind.position += events.len() as u64;
        let progress = self.progress(mind.handed + 1);
        let at = (mind.position, now);
        writes.extend(mind.saving.write(&self.store, &windows, at, progress, events.len()));
        self.metrics.patterns(windows.tally());
        let (commit, changes) = board.commit(writes);
        edge::pass("intent");
        Decided { commit, events, changes, fired }
    }
}
