//! The threads of a replay: one feeds, some match, one plays in order. All that is under way is bounded.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::course::Course;
use super::stage::{BadLine, Chunk, Item, Matcher};
use super::{Error, Options, Pace};
use crate::rules::RuleSet;

/// Chunks under way for each thread that matches.
const AHEAD: usize = 4;

/// Priority of a thread that gives way; 19 is the least.
const NICE: i32 = 10;

/// What a chunk came to: its events, and the line at which it broke off.
type Matched = (Vec<Item>, Option<BadLine>);

/// Where events are handed in; dropping it says that there are no more.
pub(super) struct Feeder {
    work: SyncSender<(u64, Chunk)>,
    tickets: Receiver<()>,
    next: u64,
}

/// Nothing more is wanted.
#[derive(Debug)]
pub(super) struct Enough;

/// A replay that runs.
pub(super) struct Running {
    course: JoinHandle<(Course, Option<BadLine>)>,
    matchers: Vec<JoinHandle<()>>,
}

/// Starts the threads.
pub(super) fn start(sets: &[RuleSet], options: &Options, pace: Pace) -> Result<(Feeder, Running), Error> {
    let threads = options.threads.max(1);
    let ahead = threads * AHEAD;
    let (work, jobs) = sync_channel::<(u64, Chunk)>(ahead);
    let (done, matched) = channel::<(u64, Matched)>();
    let (consumed, tickets) = channel();
    for _ in 0..ahead {
        // The other end is in this function.
        consumed.send(()).ok();
    }
    let jobs = Arc::new(Mutex::new(jobs));
    let mut matchers = Vec::with_capacity(threads);
    for _ in 0..threads {
        let (jobs, done, matcher) = (jobs.clone(), done.clone(), Matcher::new(sets));
        matchers.push(spawn("replay-match", options.gives_way, move || match_all(&jobs, &done, matcher))?);
    }
    let course = Course::new(sets, options, pace);
    let course = spawn("replay", options.gives_way, move || play_all(course, &matched, &consumed))?;
    Ok((Feeder { work, tickets, next: 0 }, Running { course, matchers }))
}

impl Feeder {
    /// Hands in the next events; waits while too many are under way.
    pub(super) fn push(&mut self, chunk: Chunk) -> Result<(), Enough> {
        self.tickets.recv().map_err(|_| Enough)?;
        self.work.send((self.next, chunk)).map_err(|_| Enough)?;
        self.next += 1;
        Ok(())
    }
}

impl Running {
    /// Waits for the end of what is called `name`; the feeder must be gone.
    pub(super) fn finish(self, name: &str) -> Result<Course, Error> {
        let broke = self.matchers.into_iter().map(JoinHandle::join).filter(Result::is_err).count() > 0;
        match self.course.join() {
            Ok((_, Some(bad))) => {
                Err(Error::Line { file: name.into(), line: bad.line, message: bad.message })
            }
            Ok((course, None)) if !broke => Ok(course),
            _ => Err(Error::Broke),
        }
    }
}

fn match_all(jobs: &Mutex<Receiver<(u64, Chunk)>>, done: &Sender<(u64, Matched)>, mut matcher: Matcher) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, chunk)) = next else { return };
        let matched = match matcher.chunk(chunk) {
            Ok(items) => (items, None),
            Err((items, bad)) => (items, Some(bad)),
        };
        if done.send((number, matched)).is_err() {
            return;
        }
    }
}

/// Plays chunks in their order, until one breaks off or nothing more is wanted.
fn play_all(
    mut course: Course,
    matched: &Receiver<(u64, Matched)>,
    consumed: &Sender<()>,
) -> (Course, Option<BadLine>) {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for (number, chunk) in matched {
        waiting.insert(number, chunk);
        while let Some((items, bad)) = waiting.remove(&next) {
            next += 1;
            for item in items {
                if let Err(bad) = course.take(item) {
                    return (course, Some(bad));
                }
            }
            if course.is_over() || bad.is_some() {
                let bad = bad.filter(|_| !course.is_over());
                return (course, bad);
            }
            // The feeder may have nothing more.
            consumed.send(()).ok();
        }
    }
    (course, None)
}

fn spawn<T: Send + 'static>(
    name: &str,
    gives_way: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    let work = move || {
        if gives_way {
            // Of this thread alone; where it is not allowed, it only takes longer for others.
            rustix::process::setpriority_process(None, NICE).ok();
        }
        work()
    };
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| Error::Threads(error.to_string()))
}
