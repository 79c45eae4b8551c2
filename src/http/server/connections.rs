//! Every connection, what it does and since when: which one is over its time, and which one makes room for a newcomer.
//!
//! The bound lies below the process's descriptors, so that HTTP alone can never take those of the store, of kernels and
//! of files. When it is reached, the connection that has waited longest on its client is closed. Start with
//! [`Connections::admit`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::platform::descriptors;
use crate::platform::metrics::Registry;

/// Most connections, whatever the descriptors allow.
const MOST: usize = 1_024;
/// Fewest, where descriptors are very few.
const FEWEST: usize = 16;

/// How long a client may take for a request's head, from its first byte.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(75);
/// How long a client may leave an answer unread.
const UNREAD: Duration = Duration::from_secs(30);
/// How long a client that is being served must have been silent before it makes room for another.
const SILENT: Duration = Duration::from_secs(1);

/// All connections, within a bound.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    born: Instant,
    open: Arc<Mutex<Open>>,
    evicted: Counter,
    refused: Counter,
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    states: BTreeMap<u64, Arc<State>>,
}

/// A place among the connections, given back when dropped.
#[derive(Debug)]
pub struct Connection {
    /// What it does.
    pub state: Arc<State>,
    number: u64,
    open: Arc<Mutex<Open>>,
    gauge: Gauge,
}

/// What a connection does. Times are milliseconds since the server started.
#[derive(Debug)]
pub struct State {
    born: Instant,
    phase: AtomicU8,
    /// When the phase began.
    since: AtomicU64,
    /// When a byte last came or went.
    moved: AtomicU64,
    /// Whether bytes wait for the client to take them.
    unread: AtomicBool,
    close: CancellationToken,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// The client's next request.
    Idle,
    /// The rest of a request's head.
    Head,
    /// The rest of a request's body.
    Body,
    /// The engine's answer, or the client to read it.
    Serving,
}

/// A request is being served on the connection for as long as this lives.
#[derive(Debug)]
pub struct Busy(Arc<State>);

/// A request's body is being read for as long as this lives.
#[derive(Debug)]
pub struct Receiving(Option<Arc<State>>);

/// How many connections this process's descriptors allow, beside its kernels and files.
pub fn capacity() -> usize {
    descriptors::budget().connections.clamp(FEWEST, MOST)
}

impl Connections {
    /// Room for `most` connections.
    pub fn new(most: usize, registry: &Registry) -> Self {
        Self {
            most,
            born: Instant::now(),
            open: Arc::default(),
            evicted: registry.counter(
                "http_connections_closed_for_others",
                "Connections closed because their client was slow or idle and others needed the room",
            ),
            refused: registry
                .counter("http_connections_refused", "Connections answered 503 because all others were busy"),
            gauge: registry.gauge("http_connections", "HTTP connections that are open"),
        }
    }

    /// A place for a new connection, made by closing another where all are taken; none if all of them are at work.
    pub fn admit(&self) -> Option<Connection> {
        let full = lock(&self.open).states.len() >= self.most;
        if full && !self.evict() {
            self.refused.inc();
            return None;
        }
        let state = Arc::new(State {
            born: self.born,
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            close: CancellationToken::new(),
        });
        state.enter(Phase::Idle);
        let mut open = lock(&self.open);
        let number = open.next;
        open.next += 1;
        open.states.insert(number, Arc::clone(&state));
        self.gauge.inc();
        Some(Connection { state, number, open: Arc::clone(&self.open), gauge: self.gauge.clone() })
    }

    /// Closes the connection that has waited longest on its client; false if none waits.
    pub fn evict(&self) -> bool {
        let now = self.born.elapsed();
        let mut open = lock(&self.open);
        let silent = open.states.iter().filter_map(|(number, state)| Some((state.rank(now)?, *number)));
        let Some((_, number)) = silent.min() else { return false };
        if let Some(state) = open.states.remove(&number) {
            state.close.cancel();
            self.evicted.inc();
        }
        true
    }

    /// Closes what is over its time.
    pub fn sweep(&self) {
        let now = self.born.elapsed();
        for state in lock(&self.open).states.values().filter(|state| state.is_over(now)) {
            state.close.cancel();
        }
    }
}

impl State {
    /// Resolves when the connection has to end.
    pub async fn closed(&self) {
        self.close.cancelled().await;
    }

    /// Bytes came from the client.
    pub(super) fn came(&self) {
        self.touch();
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// Bytes went to the client, or none could as it does not take them.
    pub(super) fn went(&self, all: bool) {
        if all {
            self.touch();
        }
        self.unread.store(!all, Ordering::Relaxed);
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.since.store(self.now(), Ordering::Relaxed);
        self.touch();
    }

    fn touch(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Body,
            _ => Phase::Serving,
        }
    }

    /// Who is closed first where room is needed, the lowest first; none where the engine is at work for it.
    fn rank(&self, now: Duration) -> Option<(u8, u64)> {
        let (since, moved) = (self.since.load(Ordering::Relaxed), self.moved.load(Ordering::Relaxed));
        let silent = now.saturating_sub(Duration::from_millis(moved)) >= SILENT;
        match self.phase() {
            Phase::Idle | Phase::Head => Some((0, since)),
            Phase::Serving if self.unread.load(Ordering::Relaxed) && silent => Some((1, moved)),
            // Whoever sends moves on; those that do not are the oldest of these.
            Phase::Body => Some((2, moved)),
            Phase::Serving => None,
        }
    }

    fn is_over(&self, now: Duration) -> bool {
        let past = |at: &AtomicU64, most: Duration| {
            now.saturating_sub(Duration::from_millis(at.load(Ordering::Relaxed))) > most
        };
        let unread = self.unread.load(Ordering::Relaxed) && past(&self.moved, UNREAD);
        unread
            || match self.phase() {
                Phase::Idle => past(&self.since, IDLE),
                Phase::Head => past(&self.since, HEAD),
                // A body has its own deadline, and the engine takes its time for an answer.
                Phase::Body | Phase::Serving => false,
            }
    }
}

impl Busy {
    /// A request has come whole but for its body.
    pub(super) fn begin(state: &Arc<State>) -> Self {
        state.enter(Phase::Serving);
        Self(Arc::clone(state))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

impl Receiving {
    /// The body of the request with these extensions is waited for.
    pub fn begin(extensions: &axum::http::Extensions) -> Self {
        let state = extensions.get::<Arc<State>>().cloned();
        if let Some(state) = &state {
            state.enter(Phase::Body);
        }
        Self(state)
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.enter(Phase::Serving);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.open).states.remove(&self.number);
        self.gauge.dec();
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(most: usize) -> Connections {
        Connections::new(most, &Registry::default())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_longest_makes_room_and_who_is_served_never_does() {
        let all = of(3);
        let served = all.admit().unwrap();
        let busy = Busy::begin(&served.state);
        let half = all.admit().unwrap();
        half.state.came();
        tokio::time::advance(Duration::from_millis(5)).await;
        let idle = all.admit().unwrap();
        let newcomer = all.admit().unwrap();
        assert!(half.state.close.is_cancelled(), "the half request is older than the idle connection");
        assert!(!idle.state.close.is_cancelled() && !served.state.close.is_cancelled());
        let held: Vec<_> = [&idle, &newcomer].map(|it| Busy::begin(&it.state)).into();
        assert!(all.admit().is_none(), "all are at work");
        drop(held);
        assert!(all.admit().is_some());
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_within_a_body_or_an_answer_makes_room_after_a_moment() {
        for unread in [false, true] {
            let all = of(1);
            let one = all.admit().unwrap();
            let _busy = Busy::begin(&one.state);
            let mut extensions = axum::http::Extensions::new();
            extensions.insert(Arc::clone(&one.state));
            let _receiving = (!unread).then(|| Receiving::begin(&extensions));
            one.state.went(!unread);
            if unread {
                assert!(all.admit().is_none(), "it may only just be full");
            }
            tokio::time::advance(SILENT).await;
            assert!(all.admit().is_some(), "unread: {unread}");
            assert!(one.state.close.is_cancelled());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_time() {
        let all = of(9);
        let [idle, head, served, unread] = [(); 4].map(|()| all.admit().unwrap());
        head.state.came();
        let _busy = [&served, &unread].map(|it| Busy::begin(&it.state));
        unread.state.went(false);
        let over = |state: &Connection| state.state.close.is_cancelled();
        for (seconds, expected) in [
            (9, [false, false, false, false]),
            (11, [false, true, false, false]),
            (31, [false, true, false, true]),
            (76, [true, true, false, true]),
        ] {
            tokio::time::advance(Duration::from_secs(seconds) - all.born.elapsed()).await;
            // Dripping does not stretch the time for a head.
            head.state.came();
            all.sweep();
            assert_eq!([&idle, &head, &served, &unread].map(over), expected, "after {seconds} s");
        }
    }
}
