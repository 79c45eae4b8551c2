//! The store of a rehearsal: everything in memory, each commit settled at once on the thread that hands it in.
//!
//! It promises all that the trait does but to outlive its process. It has no threads and waits for nothing, so it takes
//! part in virtual time. Clones are handles on the same. Start with [`Memory::new`].

mod events;
#[cfg(test)]
mod group;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::ready;

use super::{
    Commit, Counts, Entry, Error, EventKey, EventQuery, IntentQuery, OnSettled, OpenRun, Page, Prune, Pruned,
    Read, Store, Wanted, Write,
};
use crate::model::alert::AlertStatus;
use crate::model::{Alert, AlertId, Clock, Event, Intent, IntentId, OutcomeRecord, Run, RunId, Step, Time};

/// Everything in memory.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    key: EventKey,
    kept: Mutex<Kept>,
    /// Where a test gathers commits into one group.
    #[cfg(test)]
    group: group::Group,
}

#[derive(Debug, Default)]
struct Kept {
    log: events::Log,
    intents: BTreeMap<IntentId, Arc<Intent>>,
    runs: BTreeMap<RunId, Run>,
    steps: BTreeMap<RunId, BTreeMap<u32, Step>>,
    outcomes: BTreeMap<(IntentId, u32), OutcomeRecord>,
    alerts: BTreeMap<AlertId, Alert>,
    /// With the time they were last handed in.
    sources: HashMap<String, (String, Time)>,
    meta: HashMap<String, String>,
    timeline: Vec<Entry>,
}

impl Memory {
    /// An empty store. `clock` dates what is written.
    pub fn new(clock: Clock) -> Self {
        // Nobody outside can reach it, so its secret need not be one: the same each time.
        let key = EventKey::new(b"paramedic memory");
        Self(Arc::new(Inner {
            clock,
            key,
            kept: Mutex::default(),
            #[cfg(test)]
            group: group::Group::default(),
        }))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, writes: Vec<Write>) {
        let now = self.0.clock.now();
        let mut kept = self.kept();
        for write in writes {
            kept.put(write, &self.0.key, now);
        }
    }

    fn read<T: Send + 'static>(&self, read: impl FnOnce(&Kept) -> T) -> Read<'_, T> {
        let answer = read(&self.kept());
        ready(Ok(answer)).boxed()
    }
}

impl Kept {
    fn put(&mut self, write: Write, key: &EventKey, now: Time) {
        match write {
            Write::Events(events) => self.log.append(events, key, now),
            Write::Notes { about, text } => self.log.note(about, text),
            Write::Intent(intent) => {
                self.intents.insert(intent.id, intent);
            }
            Write::Run(run) => {
                self.runs.insert(run.id, *run);
            }
            Write::Steps(steps) => {
                for step in steps {
                    self.steps.entry(step.run).or_default().insert(step.seq, step);
                }
            }
            Write::Outcome(outcome) => {
                self.outcomes.insert((outcome.intent, outcome.attempt), outcome);
            }
            Write::Alert(alert) => {
                self.alerts.insert(alert.id, alert);
            }
            Write::Source { hash, text } => {
                self.sources.entry(hash).or_insert((text, now)).1 = now;
            }
            Write::Meta { key, value } => {
                self.meta.insert(key, value);
            }
            Write::RemoveMeta { key } => {
                self.meta.remove(&key);
            }
            Write::Timeline { at, kind, data } => self.timeline.push(Entry { at, kind, data }),
        }
    }

    fn intents(&self, query: &IntentQuery) -> Result<Page<Intent>, Error> {
        let limit = if query.limit == 0 { 100 } else { query.limit.min(10_000) };
        let before = query.cursor.as_deref().map(|text| text.parse().map_err(|_| no_cursor(text)));
        let before: Option<IntentId> = before.transpose()?;
        let wanted = |intent: &Intent| {
            before.is_none_or(|before| intent.id < before)
                && query.status.is_none_or(|status| intent.status == status)
                && query.open.is_none_or(|open| intent.status.is_open() == open)
                && query.rule.as_ref().is_none_or(|rule| intent.rule == *rule)
                && query.target.as_ref().is_none_or(|target| intent.target == *target)
        };
        let mut found = self.intents.values().rev().filter(|intent| wanted(intent));
        let items: Vec<Intent> = found.by_ref().take(limit).map(|intent| intent.as_ref().clone()).collect();
        let next_cursor = found.next().and(items.last()).map(|last| last.id.to_string());
        Ok(Page { items, next_cursor })
    }

    fn outcomes(&self, since: Time) -> Vec<OutcomeRecord> {
        let mut found: Vec<_> = self.outcomes.values().filter(|it| it.at >= since).cloned().collect();
        found.sort_by_key(|it| it.at);
        found
    }

    fn alerts(&self, active_only: bool, limit: usize) -> Vec<Alert> {
        let wanted = |alert: &&Alert| !active_only || alert.status != AlertStatus::Resolved;
        let mut found: Vec<_> = self.alerts.values().filter(wanted).cloned().collect();
        found.sort_by_key(|alert| std::cmp::Reverse((alert.updated_at, alert.id)));
        found.truncate(limit);
        found
    }

    fn timeline(&self, limit: usize) -> Vec<Entry> {
        // Newest first, and of one moment the last that came.
        let mut found: Vec<Entry> = self.timeline.iter().rev().cloned().collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.at));
        found.truncate(limit);
        found
    }

    fn counts(&self) -> Counts {
        let count = |n: usize| n as u64;
        Counts {
            events: count(self.log.len()),
            open_intents: count(self.intents.values().filter(|it| it.status.is_open()).count()),
            intents: count(self.intents.len()),
            runs: count(self.runs.len()),
            outcomes: count(self.outcomes.len()),
            active_alerts: count(self.alerts(true, usize::MAX).len()),
            bytes: 0,
            used: 0,
        }
    }

    fn prune(&mut self, what: Prune) -> Pruned {
        let mut done = Pruned::default();
        if let Some(before) = what.events {
            done.events = self.log.forget(before);
        }
        if let Some(before) = what.intents {
            let old = |intent: &Intent| !intent.status.is_open() && intent.updated_at < before;
            let Self { intents, runs, steps, .. } = self;
            runs.retain(|id, run| {
                let kept = !intents.get(&run.intent).is_some_and(|intent| old(intent));
                if !kept {
                    steps.remove(id);
                }
                kept
            });
            done.intents = shrink(intents, |intent| !old(intent));
        }
        if let Some(before) = what.alerts {
            let old = |alert: &Alert| alert.status == AlertStatus::Resolved && alert.updated_at < before;
            done.alerts = shrink(&mut self.alerts, |alert| !old(alert));
        }
        if let Some(before) = what.timeline {
            let count = self.timeline.len();
            self.timeline.retain(|entry| entry.at >= before);
            done.timeline = (count - self.timeline.len()) as u64;
        }
        if let Some((before, keep)) = what.sources {
            let Self { sources, runs, .. } = self;
            let open: Vec<&str> = runs
                .values()
                .filter(|run| run.status.is_open())
                .map(|run| run.source_hash.as_str())
                .collect();
            let count = sources.len();
            sources.retain(|hash, (_, used)| {
                *used >= before || keep.contains(hash) || open.contains(&hash.as_str())
            });
            done.sources = (count - sources.len()) as u64;
        }
        done
    }
}

/// Drops what is not `kept`; answers how many.
fn shrink<K: Ord, V>(map: &mut BTreeMap<K, V>, kept: impl Fn(&V) -> bool) -> u64 {
    let before = map.len();
    map.retain(|_, value| kept(value));
    (before - map.len()) as u64
}

/// The first of `items` as a page.
fn page<'a, T: Clone + 'a>(
    items: impl Iterator<Item = &'a T>,
    limit: usize,
    cursor: impl Fn(&T) -> String,
) -> Page<T> {
    let mut items: Vec<T> = items.take(limit.saturating_add(1)).cloned().collect();
    let more = items.len() > limit;
    items.truncate(limit);
    Page { next_cursor: items.last().filter(|_| more).map(cursor), items }
}

fn no_cursor(text: &str) -> Error {
    Error::Invalid(format!("`{text}` is not a cursor: take `next_cursor` of the page before"))
}

impl Store for Memory {
    fn commit_watched(&self, writes: Vec<Write>, on_settled: Option<OnSettled>) -> Commit {
        let (done, commit) = Commit::watched(on_settled);
        #[cfg(test)]
        let Some((writes, done)) = self.0.group.take_in(writes, done) else { return commit };
        self.put(writes);
        done.settle(Ok(()));
        commit
    }

    fn event_key(&self, source: &str, id: &str) -> u64 {
        self.0.key.of(source, id)
    }

    fn recent_keys(&self, limit: usize) -> Read<'_, Vec<u64>> {
        self.read(|kept| kept.log.recent_keys(limit))
    }

    fn replay_events(&self, since: Time, mut each: Box<dyn FnMut(Event) + Send>) -> Read<'_, u64> {
        let events = self.kept().log.since(since);
        let given = events.len() as u64;
        for event in events {
            each(event.as_ref().clone());
        }
        ready(Ok(given)).boxed()
    }

    fn replay_log(&self, after: u64, mut each: Box<dyn FnMut(u64, Event) + Send>) -> Read<'_, u64> {
        let (events, last) = {
            let kept = self.kept();
            (kept.log.after(after), kept.log.last())
        };
        for (number, event) in events {
            each(number, event.as_ref().clone());
        }
        ready(Ok(last)).boxed()
    }

    fn last_before(&self, arrived: Time) -> Read<'_, u64> {
        self.read(move |kept| kept.log.last_before(arrived))
    }

    fn find_event(&self, id: String) -> Read<'_, Option<(u64, Event)>> {
        self.read(|kept| kept.log.find(&id))
    }

    fn notes(&self, number: u64) -> Read<'_, Option<(u64, String)>> {
        self.read(|kept| kept.log.notes(number))
    }

    fn events(&self, query: EventQuery) -> Read<'_, Page<Event>> {
        let page = self.kept().log.query(&query);
        ready(page).boxed()
    }

    fn open_intents(&self, mut each: Box<dyn FnMut(Intent) + Send>) -> Read<'_, u64> {
        let open: Vec<Arc<Intent>> =
            self.kept().intents.values().filter(|it| it.status.is_open()).cloned().collect();
        open.iter().for_each(|intent| each(intent.as_ref().clone()));
        ready(Ok(open.len() as u64)).boxed()
    }

    fn ended_since(
        &self,
        since: Time,
        mut wanted: Wanted,
        mut each: Box<dyn FnMut(Intent) + Send>,
    ) -> Read<'_, u64> {
        let ended = {
            let kept = self.kept();
            let ended = kept.intents.values().filter(|it| !it.status.is_open() && it.updated_at >= since);
            let mut ended: Vec<_> =
                ended.filter(|it| wanted(&it.rule, it.updated_at)).map(|it| it.as_ref().clone()).collect();
            ended.sort_by_key(|it: &Intent| (it.updated_at, it.id));
            ended
        };
        let given = ended.len() as u64;
        ended.into_iter().for_each(&mut each);
        ready(Ok(given)).boxed()
    }

    fn oldest_ended(&self) -> Read<'_, Option<Time>> {
        let ended = |it: &&Arc<Intent>| !it.status.is_open();
        self.read(move |kept| kept.intents.values().filter(ended).map(|it| it.updated_at).min())
    }

    fn intent(&self, id: IntentId) -> Read<'_, Option<Intent>> {
        self.read(|kept| kept.intents.get(&id).map(|intent| intent.as_ref().clone()))
    }

    fn intents(&self, query: IntentQuery) -> Read<'_, Page<Intent>> {
        let page = self.kept().intents(&query);
        ready(page).boxed()
    }

    fn open_runs(&self, each: Box<dyn FnMut(OpenRun) + Send>) -> Read<'_, u64> {
        let open: Vec<OpenRun> = {
            let kept = self.kept();
            let last = |id| kept.steps.get(id)?.last_key_value().map(|(_, step)| step.clone());
            let open = kept.runs.values().filter(|run| run.status.is_open()).map(|run| OpenRun {
                id: run.id,
                intent: run.intent,
                status: run.status,
                deadline: run.deadline,
                last: last(&run.id),
            });
            open.collect()
        };
        let given = open.len() as u64;
        open.into_iter().for_each(each);
        ready(Ok(given)).boxed()
    }

    fn run_and_steps(&self, id: RunId) -> Read<'_, Option<(Run, Vec<Step>)>> {
        self.read(|kept| {
            let steps = kept.steps.get(&id).into_iter().flat_map(|all| all.values().cloned()).collect();
            Some((kept.runs.get(&id)?.clone(), steps))
        })
    }

    fn run(&self, id: RunId) -> Read<'_, Option<Run>> {
        self.read(|kept| kept.runs.get(&id).cloned())
    }

    fn runs_of(&self, intent: IntentId) -> Read<'_, Vec<Run>> {
        self.read(|kept| kept.runs.values().filter(|run| run.intent == intent).cloned().collect())
    }

    fn open_runs_of(&self, intent: IntentId) -> Read<'_, Vec<Run>> {
        self.read(|kept| {
            let open = kept.runs.values().filter(|run| run.intent == intent && run.status.is_open());
            open.cloned().collect()
        })
    }

    fn runs_page(&self, intent: IntentId, limit: usize, cursor: Option<String>) -> Read<'_, Page<Run>> {
        let before = match cursor.map(|text| text.parse::<RunId>().map_err(|_| no_cursor(&text))) {
            Some(Err(error)) => return ready(Err(error)).boxed(),
            Some(Ok(id)) => Some(id),
            None => None,
        };
        self.read(|kept| {
            let runs = kept.runs.values().rev();
            let runs = runs.filter(|run| run.intent == intent && before.is_none_or(|before| run.id < before));
            page(runs, limit, |run| run.id.to_string())
        })
    }

    fn steps_page(&self, run: RunId, limit: usize, cursor: Option<String>) -> Read<'_, Page<Step>> {
        let after = match cursor.map(|text| text.parse::<u32>().map_err(|_| no_cursor(&text))) {
            Some(Err(error)) => return ready(Err(error)).boxed(),
            Some(Ok(seq)) => Some(seq),
            None => None,
        };
        self.read(|kept| {
            let steps = kept.steps.get(&run).into_iter().flat_map(|all| all.values());
            page(steps.filter(|step| after.is_none_or(|after| step.seq > after)), limit, |step| {
                step.seq.to_string()
            })
        })
    }

    fn steps(&self, run: RunId) -> Read<'_, Vec<Step>> {
        self.read(|kept| kept.steps.get(&run).into_iter().flat_map(|all| all.values().cloned()).collect())
    }

    fn outcomes(&self) -> Read<'_, Vec<OutcomeRecord>> {
        self.outcomes_since(Time::MIN_UTC)
    }

    fn outcomes_since(&self, since: Time) -> Read<'_, Vec<OutcomeRecord>> {
        self.read(|kept| kept.outcomes(since))
    }

    fn outcomes_after(&self, after: u64, mut each: Box<dyn FnMut(OutcomeRecord) + Send>) -> Read<'_, u64> {
        let mut found: Vec<_> = self.kept().outcomes.values().cloned().collect();
        found.sort_by_key(|it| it.number);
        let last = found.last().map_or(0, |it| it.number);
        found.retain(|it| it.number > after);
        found.into_iter().for_each(&mut each);
        ready(Ok(last)).boxed()
    }

    fn outcomes_of(&self, intent: IntentId) -> Read<'_, Vec<OutcomeRecord>> {
        self.read(move |kept| {
            kept.outcomes.range((intent, 0)..=(intent, u32::MAX)).map(|(_, it)| it.clone()).collect()
        })
    }

    fn alerts(&self, active_only: bool, limit: usize) -> Read<'_, Vec<Alert>> {
        self.read(|kept| kept.alerts(active_only, limit))
    }

    fn source(&self, hash: String) -> Read<'_, Option<String>> {
        self.read(|kept| kept.sources.get(&hash).map(|(text, _)| text.clone()))
    }

    fn meta(&self, key: String) -> Read<'_, Option<String>> {
        self.read(|kept| kept.meta.get(&key).cloned())
    }

    fn metas(&self, prefix: String) -> Read<'_, Vec<(String, String)>> {
        self.read(move |kept| {
            let found = kept.meta.iter().filter(|(key, _)| key.starts_with(&prefix));
            let mut found: Vec<_> = found.map(|(key, value)| (key.clone(), value.clone())).collect();
            found.sort();
            found
        })
    }

    fn timeline(&self, limit: usize) -> Read<'_, Vec<Entry>> {
        self.read(|kept| kept.timeline(limit))
    }

    fn counts(&self) -> Read<'_, Counts> {
        self.read(Kept::counts)
    }

    fn prune(&self, what: Prune) -> Read<'_, Pruned> {
        let done = self.kept().prune(what);
        ready(Ok(done)).boxed()
    }

    fn verify(&self) -> Read<'_, Vec<String>> {
        ready(Ok(Vec::new())).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Memory;
    use crate::model::Clock;
    use crate::model::clock::micros;
    use crate::store::Store;
    use crate::store::conformance::{Grouped, Home, conformance};

    /// What is closed and opened again is the same store: a process that goes on.
    impl Home for Memory {
        fn open(&self) -> Arc<dyn Store> {
            Arc::new(self.clone())
        }

        fn open_grouped(&self) -> (Arc<dyn Store>, Arc<dyn Grouped>) {
            (Arc::new(self.clone()), Arc::new(self.clone()))
        }
    }

    fn memory() -> Memory {
        Memory::new(Clock::fixed(micros(1_700_001_000_000_000)))
    }

    conformance!(memory);
}
