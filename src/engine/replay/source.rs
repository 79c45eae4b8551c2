//! Where a replay takes its events from: a file of JSON lines, or the log.

use std::io::Read;

use super::course::Course;
use super::pipe::{self, Enough, Feeder};
use super::report::Report;
use super::stage::Chunk;
use super::{Error, Options, Pace};
use crate::engine::decisions;
use crate::model::{Event, Span, Time};
use crate::rules::RuleSet;
use crate::sources::cloudevents::MAX_EVENT;
use crate::store::Store;

/// Bytes of a file that are handed in at once.
const BYTES: usize = 256 << 10;
/// Events of the log that are handed in at once.
const EVENTS: usize = 512;

/// Longest time before the one that is asked about in which patterns are filled and intents opened.
const WARM_UP: Span = Span::secs(7 * 86_400);

/// Plays the JSON lines of `input`, which is called `name`. Blocks.
///
/// # Errors
/// When it cannot be read, or a line is no event; then nothing is told of the others.
pub fn file(sets: &[RuleSet], options: &Options, name: &str, input: &mut dyn Read) -> Result<Report, Error> {
    let (feeder, running) = pipe::start(sets, options, Pace { begun: None, runs_out: true })?;
    let read = feed(feeder, name, input);
    let course = running.finish(name);
    read.and(course).map(Course::finish)
}

/// Plays the events in the log of `store` that came since `options.since`, or all of them.
///
/// # Errors
/// When it cannot be read.
pub async fn log(sets: &[RuleSet], options: &Options, store: &dyn Store) -> Result<Report, Error> {
    course_of_log(sets, options, store).await.map(Course::finish)
}

pub(super) async fn course_of_log(
    sets: &[RuleSet],
    options: &Options,
    store: &dyn Store,
) -> Result<Course, Error> {
    let start =
        options.since.map(|since| since.checked_sub_signed(warm_up(sets).delta()).unwrap_or(Time::MIN_UTC));
    let pace = pace_of(store, start).await?;
    let (feeder, running) = pipe::start(sets, options, pace)?;
    let mut batch = Batch { feeder: Some(feeder), events: Vec::with_capacity(EVENTS) };
    let after = match start {
        Some(start) => store.last_before(start).await?,
        None => 0,
    };
    let read = store.replay_log(after, Box::new(move |_, event| batch.add(event))).await;
    let course = tokio::task::spawn_blocking(move || running.finish("the log")).await;
    read?;
    course.map_err(|_| Error::Broke)?
}

/// How long before it the events must be known that have a say in what happens at a time.
fn warm_up(sets: &[RuleSet]) -> Span {
    let rules = || sets.iter().flat_map(RuleSet::rules).filter(|rule| rule.enabled);
    let patterns = rules().map(|rule| rule.pattern.reach().0 + rule.lateness.0).max().unwrap_or_default();
    let intents = rules().map(|rule| {
        let guard = &rule.plan.guard;
        let rate = guard.rate.map(|rate| rate.within).unwrap_or_default();
        let open = guard.hold_down.unwrap_or_default().0 + rule.plan.expire.0;
        open.max(guard.cooldown.unwrap_or_default().0).max(rate.0)
    });
    Span(patterns + intents.max().unwrap_or_default()).min(WARM_UP)
}

/// As the log says: what is expected from the start was waited for from the moment at which the engine began to follow
/// its rules, if the log is played from there on.
async fn pace_of(store: &dyn Store, start: Option<Time>) -> Result<Pace, Error> {
    // Of a log whose beginning is forgotten nobody knows what was heard since then.
    let whole = store.last_before(Time::MIN_UTC).await? == 0;
    let eras = decisions::eras(store).await?;
    let first = eras.first().filter(|era| era.after == 0 && whole).map(|era| era.since);
    Ok(Pace { begun: first.filter(|first| start.is_none_or(|start| start <= *first)), runs_out: false })
}

/// Hands in whole lines, however long the file is.
fn feed(mut feeder: Feeder, name: &str, input: &mut dyn Read) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Read { file: name.into(), why: error.to_string() };
    let mut line = 1;
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let begun = rest.len();
        rest.resize(begun + BYTES, 0);
        let read = loop {
            match input.read(&mut rest[begun..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => break read.map_err(failed)?,
            }
        };
        rest.truncate(begun + read);
        if line == 1 && rest.starts_with(b"\xef\xbb\xbf") {
            rest.drain(..3);
        }
        let end = match rest.iter().rposition(|byte| *byte == b'\n') {
            Some(end) if read > 0 => end + 1,
            _ if read == 0 => rest.len(),
            // What is longer than any event may be is told as such by whoever reads the line.
            _ if rest.len() > MAX_EVENT + 2 => rest.len(),
            _ => continue,
        };
        let next = rest.split_off(end);
        let lines = std::mem::replace(&mut rest, next);
        let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        if !lines.is_empty() && matches!(feeder.push(Chunk::Lines(line, lines)), Err(Enough)) {
            return Ok(());
        }
        line += count;
        if read == 0 {
            return Ok(());
        }
    }
}

/// Events of the log until they are enough for a chunk; the rest goes with it.
struct Batch {
    feeder: Option<Feeder>,
    events: Vec<Event>,
}

impl Batch {
    fn add(&mut self, event: Event) {
        if self.feeder.is_none() {
            return;
        }
        self.events.push(event);
        if self.events.len() >= EVENTS {
            self.push();
        }
    }

    fn push(&mut self) {
        let events = std::mem::replace(&mut self.events, Vec::with_capacity(EVENTS));
        if let Some(feeder) = &mut self.feeder
            && feeder.push(Chunk::Events(events)).is_err()
        {
            self.feeder = None;
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.events.is_empty() {
            self.push();
        }
    }
}
