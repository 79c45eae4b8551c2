//! Plays one test: the engine's own loop on one thread in virtual time, with actions that only answer.
//!
//! Time stands still while anything computes and then jumps to the next thing that is due, so an hour's wait takes
//! microseconds and the same test takes the same course each time. No other thread may take part: time would run on
//! while it computes. That is why the store is in memory, scripts compute in place and no kernel is watched.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::case::{Case, Happening};
use super::mock::{self, World};
use super::people::People;
use super::seen::{self, Seen};
use super::{Stage, alone, prior};
use crate::engine::explain::Explanation;
use crate::engine::wire::{Doors, Rest};
use crate::engine::{Config, Engine};
use crate::freeze::Switch;
use crate::model::{Chance, Clock, Event, Pattern, Time};
use crate::observability::{Aggregator, alerts::Book};
use crate::plugins::Plugins;
use crate::rules::{RuleReason, RuleSet};
use crate::store::Memory;
use crate::tasks::lock;
use crate::{actions, kernels, tasks};

/// A test whose end is not said, and in which something is still under way after so long, is given up.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The smallest step of virtual time: after it, everything that could be done at once is done.
const TICK: Duration = Duration::from_millis(1);

/// Longest sleep between two looks at what goes on.
const NAP: Duration = Duration::from_secs(3_600);

/// Changes of intents and events, and besides so many for each event sent: more is a circle, something that sets itself
/// off anew.
const MOST_CHANGES: usize = 5_000;
const CHANGES_AN_EVENT: usize = 50;

/// Whether a rule fired for an event and why: the event's place in the test, from 0, and what `explain` says.
pub(super) type Reasons = Vec<(usize, RuleReason)>;

/// Plays `case`; with `ask`, also says why that rule did or did not fire for each event.
pub(super) async fn play(stage: &Stage, case: &Case, ask: Option<&str>) -> (Seen, Reasons) {
    let began = Instant::now();
    let clock = Clock::following(case.start, move || began.elapsed());
    let (engine, world) = build(stage, case, clock);
    let pulse = Arc::new(Notify::new());
    begin(&engine, &pulse).await;
    let refused = match &case.alone {
        Some(alone) => alone::begin(&engine, case, alone).await.err(),
        None => None,
    };
    let sent = Arc::new(Mutex::new(Sent::default()));
    let sender = Sender { engine: engine.clone(), case: case.clone(), began, ask: ask.map(Into::into) };
    let sending = tokio::spawn(sender.send(sent.clone()));
    let mut people = People::new(case);
    let watching = Watching { engine: &engine, world: &world, sent: &sent, pulse: &pulse, began };
    let (virtual_time, cut) = watching.to_the_end(case, &mut people).await;
    // What has not come by now does not come.
    sending.abort();
    let mut seen = seen::collect(stage, engine.store(), case.start, &case.events).await;
    seen.virtual_time = virtual_time;
    let sent = std::mem::take(&mut *lock(&sent));
    seen.troubles.extend(cut.map(|cut| format!("it came to no end: {cut}; `until:` ends a test before")));
    seen.troubles.extend(refused.into_iter().chain(sent.refused));
    if let Some(first) = case.events.get(sent.count) {
        let (n, at) = (sent.count + 1, first.at);
        seen.troubles.push(format!("event {n}, at {at}, did not come before the test was over"));
    }
    seen.troubles
        .extend(people.left().map(|person| format!("nobody was asked, so nobody did this: {person}")));
    (seen, sent.reasons)
}

/// The actions that there are; within a runtime.
pub(super) fn specs() -> Vec<actions::Spec> {
    actions(actions::Config::default(), Vec::new()).list()
}

/// The actions that there are, as an operator allows them, and the kernels that they know; none of them may be called,
/// only asked. Within a runtime.
pub(in crate::engine) fn actions(config: actions::Config, kernels: Vec<kernels::Spec>) -> actions::Registry {
    let (doors, _) = doors(Clock::fixed(Time::UNIX_EPOCH));
    let kernels = kernels::Registry::planned(kernels, doors.inbox.clone(), Clock::fixed(Time::UNIX_EPOCH));
    real(&doors, &kernels, config)
}

fn doors(clock: Clock) -> (Doors, kernels::Registry) {
    let store = Arc::new(Memory::new(clock.clone()));
    let doors = Doors::open(Config::default(), store, clock.clone(), Chance::seeded(1), Book::default());
    let kernels = kernels::Registry::none(doors.inbox.clone(), clock);
    (doors, kernels)
}

fn real(doors: &Doors, kernels: &kernels::Registry, config: actions::Config) -> actions::Registry {
    actions::Registry::builtin(&actions::Ports {
        kernels: kernels.clone(),
        spawner: kernels::Spawner::none(),
        alerts: doors.alerts.clone(),
        intents: doors.intents.clone(),
        config,
    })
}

fn build(stage: &Stage, case: &Case, clock: Clock) -> (Engine, Arc<World>) {
    let (doors, kernels) = doors(clock.clone());
    let real = real(&doors, &kernels, actions::Config::default());
    let world = Arc::new(World {
        clock,
        publisher: doors.inbox.clone(),
        coming: AtomicUsize::new(0),
        made: AtomicUsize::new(0),
    });
    let rest = Rest {
        actions: mock::registry(&real, &stage.plugins, &case.actions, &world),
        kernels,
        plugins: Plugins::none(),
        // What is tested alone must not be disturbed by rules that its events happen to fire.
        rules: if case.alone.is_some() { RuleSet::empty() } else { stage.rules.clone() },
        library: stage.library.clone(),
        learner: prior::learner(stage, case),
        first: case.playbook.clone(),
        observed: Aggregator::default(),
        pool: tasks::pool::Pool::in_place(),
        freeze: Switch::none(world.clock.clone()),
        gap: None,
    };
    (Engine::assemble(doors, rest), world)
}

/// Starts the parts that run by themselves, all of them as tasks of this thread.
async fn begin(engine: &Engine, pulse: &Arc<Notify>) {
    let (ingest, publish, is_ready) = engine.pipe(crate::engine::ingest::quarantine::Quarantine::default());
    tokio::spawn(publish.run());
    tokio::spawn(ingest.run());
    drop(is_ready.await);
    engine.0.ready.store(true, Ordering::SeqCst);
    tokio::spawn(engine.0.tasks.clone().run());
    if let Ok(everything) = Pattern::try_new(">") {
        let (mut tap, pulse) = (engine.taps().subscribe(everything), pulse.clone());
        tokio::spawn(async move {
            while tap.recv().await.is_some() {
                pulse.notify_one();
            }
        });
    }
    let (changed, pulse) = (engine.0.changed.clone(), pulse.clone());
    tokio::spawn(async move {
        loop {
            changed.notified().await;
            pulse.notify_one();
        }
    });
}

/// What has been sent so far.
#[derive(Default)]
struct Sent {
    count: usize,
    refused: Vec<String>,
    reasons: Reasons,
}

struct Sender {
    engine: Engine,
    case: Case,
    began: Instant,
    ask: Option<String>,
}

impl Sender {
    /// Sends the events at their times; those of one moment come together.
    async fn send(self, sent: Arc<Mutex<Sent>>) {
        // Asked why, it goes one by one, so that each event is judged by what was known then.
        let together = |a: &Happening, b: &Happening| self.ask.is_none() && a.at == b.at;
        for moment in self.case.events.chunk_by(together) {
            tokio::time::sleep_until(self.began + moment[0].at.0).await;
            let events: Vec<Event> = moment.iter().map(|it| it.event.clone()).collect();
            let taken = self.engine.deliver(events).await;
            let why = match &self.ask {
                Some(_) => self.engine.explain_logged(&moment[0].event.id).await.ok().flatten(),
                None => None,
            };
            let why = why.map(Explanation::into_reasons).unwrap_or_default();
            let mut sent = lock(&sent);
            let number = sent.count;
            if let Err(error) = taken {
                sent.refused.push(format!("event {} was not taken in: {error}", number + 1));
            }
            if let Some(rule) = &self.ask {
                sent.reasons.extend(why.into_iter().filter(|it| it.rule == *rule).map(|it| (number, it)));
            }
            sent.count += moment.len();
        }
    }
}

struct Watching<'a> {
    engine: &'a Engine,
    world: &'a World,
    sent: &'a Mutex<Sent>,
    pulse: &'a Notify,
    began: Instant,
}

impl Watching<'_> {
    /// Lets time pass until nothing is under way, or the test's time is up; answers how much passed, and what was
    /// still under way if that was too long.
    async fn to_the_end(&self, case: &Case, people: &mut People) -> (Duration, Option<String>) {
        let most = MOST_CHANGES + CHANGES_AN_EVENT * case.events.len();
        let limit = case.until.map_or(LONGEST, |until| until.0);
        let (mut nap, mut last, mut changes) = (TICK, Duration::ZERO, 0);
        loop {
            let mut wake = Instant::now() + nap;
            wake = wake.min(self.began + limit);
            if let Some(at) = people.next_at(self.began.elapsed()) {
                wake = wake.min(self.began + at);
            }
            tokio::select! {
                biased;
                () = self.pulse.notified() => {
                    (nap, last) = (TICK, self.began.elapsed());
                    changes += 1;
                }
                () = tokio::time::sleep_until(wake) => nap = (nap * 2).min(NAP),
            }
            if people.act(self.engine, self.began.elapsed()).await {
                nap = TICK;
            }
            let passed = self.began.elapsed();
            if passed >= limit {
                let cut = case.until.is_none().then(|| self.under_way());
                return (limit.min(passed), cut);
            }
            let happened = self.settled(most).await;
            if happened > 0 {
                last = self.began.elapsed().saturating_sub(TICK);
            }
            changes += happened;
            if changes > most {
                let cut = "it goes round in circles: what it does sets it off anew, again and again";
                return (last, Some(cut.into()));
            }
            if case.until.is_none() && lock(self.sent).count == case.events.len() && self.is_quiet() {
                return (last, None);
            }
        }
    }

    /// Lets everything happen that can at this moment, until that is more than `most`; how much it was.
    async fn settled(&self, most: usize) -> usize {
        let tick = tokio::time::sleep(TICK);
        tokio::pin!(tick);
        let mut happened = 0;
        while happened <= most {
            tokio::select! {
                biased;
                () = self.pulse.notified() => happened += 1,
                () = &mut tick => break,
            }
        }
        happened
    }

    fn is_quiet(&self) -> bool {
        let inner = &self.engine.0;
        self.world.coming.load(Ordering::SeqCst) == 0
            && inner.lanes.depths().iter().sum::<usize>() == 0
            && inner.under_way.load(Ordering::SeqCst) == 0
            && inner.board.is_empty()
            && !inner.tasks.is_working()
            && inner.tasks.load().0 == 0
            && self.engine.next_timer().is_none()
    }

    fn under_way(&self) -> String {
        let open = self.engine.0.board.open();
        match open.first() {
            Some(intent) => format!("the intent of `{}` is still {}", intent.rule, intent.status),
            None => "a timer is still armed".into(),
        }
    }
}

impl Engine {
    /// When the next timer of a pattern is due; a rehearsal goes on while there is one. Schedules are not among them:
    /// they come again for ever, so a test of one says `until`.
    fn next_timer(&self) -> Option<Time> {
        lock(&self.0.windows).waits_until()
    }
}

/// A text of a value that fits a line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.chars().next().is_some_and(char::is_alphanumeric)
        && text.chars().all(|c| c.is_alphanumeric() || " ._-/".contains(c))
}
