//! The store of one machine: SQLite with a write-ahead log, one writing thread and a few reading ones.
//!
//! `synchronous = FULL`: a commit is answered when the disk has said that it is safe. The price of the sync is
//! shared: all that waits goes into one transaction. Start with [`Sqlite::open`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::{
    Commit, Counts, Entry, Error, EventKey, EventQuery, IntentQuery, OnSettled, OpenRun, Page, Prune, Pruned,
    Read, SetAside, Store, Wanted, Write,
};
use crate::model::{Alert, Clock, Event, Intent, IntentId, OutcomeRecord, Run, RunId, Step, Time};
use crate::platform::{Part, private};
use fault::{Fault, Faults};
use queue::{Queue, Unit};
use readers::Readers;
use writer::Writer;

mod aside;
mod block;
mod encode;
mod events;
mod fault;
mod find;
mod lock;
mod prune;
mod queue;
mod readers;
mod records;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

/// The database in the data directory.
pub const FILE: &str = "paramedic.db";

/// The store of one machine. Dropping it writes what was handed in before.
#[derive(Debug)]
pub struct Sqlite {
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    key: EventKey,
    file: PathBuf,
    writer: Mutex<Option<JoinHandle<()>>>,
    faults: Faults,
    clock: Clock,
    /// What was set aside and not asked for yet.
    aside: Arc<Mutex<Vec<SetAside>>>,
    /// Given back only after the writer has ended.
    lock: Option<lock::Lock>,
    /// A throw-away directory, deleted at the end.
    throw_away: Option<PathBuf>,
    /// What a test has planned for the next group.
    #[cfg(test)]
    planned: Arc<Mutex<Option<super::conformance::Fate>>>,
}

impl Sqlite {
    /// Opens the store under `dir`, making both if they are not there. Reads and writes files: not for a thread
    /// that must not block. `clock` dates what is written, for retention.
    ///
    /// # Errors
    /// When another engine has it, the file is damaged, newer, or not ours, or the disk refuses.
    pub fn open(dir: &Path, clock: Clock) -> Result<Self, Error> {
        Self::open_with(dir, clock, true)
    }

    /// Whether there is a store under `dir`; it may be in use.
    pub fn is_at(dir: &Path) -> bool {
        dir.join(FILE).is_file()
    }

    /// A store in a directory of its own that goes with it, without syncs: for tests and demonstrations.
    ///
    /// # Errors
    /// When the system's temporary directory cannot be written.
    pub fn open_temporary(clock: Clock) -> Result<Self, Error> {
        let dir = std::env::temp_dir().join(format!("paramedic-{:032x}", rand::random::<u128>()));
        let mut store = Self::open_with(&dir, clock, false)?;
        store.throw_away = Some(dir);
        Ok(store)
    }

    fn open_with(dir: &Path, clock: Clock, durable: bool) -> Result<Self, Error> {
        let file = dir.join(FILE);
        let faults = Faults::new(dir, &file);
        let io = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::StorageFull => faults.full(),
            _ => faults.io(error.to_string()),
        };
        private::make(dir).map_err(io)?;
        let lock = lock::take(dir)?;
        // The files beside the database get its mode.
        private::file(&file).map_err(io)?;
        let connection = schema::open_writer(&file, &faults, durable)?;
        let readers = Readers::new(file.clone(), faults.clone());
        readers.prepare()?;
        if let changed @ 1.. = private::tighten(dir).map_err(io)? {
            let dir = dir.display();
            tracing::info!(
                "{dir} and its files are now readable by its owner only ({changed} permissions changed)"
            );
        }
        let secret = secret(&connection).map_err(|fault| faults.settle(fault))?;
        let queue = Arc::new(Queue::default());
        let wal = dir.join("paramedic.db-wal");
        let writer = Writer::new(connection, Arc::clone(&queue), faults.clone(), clock.clone(), wal)?;
        let thread = Part::new("store-writer")
            .thread(None, move || writer.run())
            .map_err(|error| faults.io(format!("no thread for the writer: {error}")))?;
        #[cfg(test)]
        let planned = faults.planned.clone();
        Ok(Self {
            #[cfg(test)]
            planned,
            queue,
            readers,
            key: EventKey::new(&secret),
            file,
            writer: Mutex::new(Some(thread)),
            faults,
            clock,
            aside: Arc::default(),
            lock: Some(lock),
            throw_away: None,
        })
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Read<'_, T> {
        Arc::clone(&self.readers).run(read).boxed()
    }

    /// Does `work` with the database's file, beside the writer, and keeps what it has set aside to be told.
    fn putting_aside(
        &self,
        work: impl FnOnce(&Path, &Faults, i64) -> Result<Vec<SetAside>, Error> + Send + 'static,
    ) -> Read<'_, usize> {
        let (file, faults, list) = (self.file.clone(), self.faults.clone(), self.aside.clone());
        let at = self.clock.now().timestamp_micros();
        async move {
            let done = tokio::task::spawn_blocking(move || {
                let found = work(&file, &faults, at)?;
                let count = found.len();
                list.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                Ok(count)
            });
            done.await
                .unwrap_or_else(|error| Err(self.faults.io(format!("setting aside did not end: {error}"))))
        }
        .boxed()
    }
}

impl Store for Sqlite {
    fn commit_watched(&self, writes: Vec<Write>, on_settled: Option<OnSettled>) -> Commit {
        let (done, commit) = Commit::watched(on_settled);
        match encode::encode(writes, &self.key) {
            Ok((rows, bytes)) => self.queue.push(Unit { rows, bytes, done }),
            Err(error) => done.settle(Err(Error::Invalid(format!("not to be written as JSON: {error}")))),
        }
        commit
    }

    fn is_stopped(&self) -> bool {
        self.queue.is_closed()
    }

    fn set_aside(&self) -> Read<'_, usize> {
        self.putting_aside(|file, faults, at| {
            faults.take_unreadable();
            aside::set_aside(file, faults, at)
        })
    }

    fn set_meta_aside(&self, key: String, why: String) -> Read<'_, ()> {
        self.putting_aside(move |file, faults, at| aside::set_meta_aside(file, faults, at, &key, &why))
            .map(|done| done.map(drop))
            .boxed()
    }

    fn has_unreadable(&self) -> bool {
        self.faults.has_unreadable()
    }

    fn take_set_aside(&self) -> Vec<SetAside> {
        std::mem::take(&mut *self.aside.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn event_key(&self, source: &str, id: &str) -> u64 {
        self.key.of(source, id)
    }

    fn recent_keys(&self, limit: usize) -> Read<'_, Vec<u64>> {
        self.read(move |from| events::recent_keys(from, limit))
    }

    fn replay_events(&self, since: Time, mut each: Box<dyn FnMut(Event) + Send>) -> Read<'_, u64> {
        self.read(move |from| events::replay(from, since, &mut each))
    }

    fn replay_log(&self, after: u64, mut each: Box<dyn FnMut(u64, Event) + Send>) -> Read<'_, u64> {
        self.read(move |from| events::replay_log(from, after, &mut each))
    }

    fn last_before(&self, arrived: Time) -> Read<'_, u64> {
        self.read(move |from| events::last_before(from, arrived))
    }

    fn find_event(&self, id: String) -> Read<'_, Option<(u64, Event)>> {
        let hash = self.key.of_id(&id);
        self.read(move |from| find::find(from, &id, hash))
    }

    fn notes(&self, number: u64) -> Read<'_, Option<(u64, String)>> {
        self.read(move |from| events::notes(from, number))
    }

    fn events(&self, query: EventQuery) -> Read<'_, Page<Event>> {
        self.read(move |from| events::query(from, query))
    }

    fn open_intents(&self, mut each: Box<dyn FnMut(Intent) + Send>) -> Read<'_, u64> {
        self.read(move |from| records::open_intents(from, &mut each))
    }

    fn ended_since(
        &self,
        since: Time,
        mut wanted: Wanted,
        mut each: Box<dyn FnMut(Intent) + Send>,
    ) -> Read<'_, u64> {
        self.read(move |from| records::ended_since(from, since, &mut wanted, &mut each))
    }

    fn oldest_ended(&self) -> Read<'_, Option<Time>> {
        self.read(records::oldest_ended)
    }

    fn intent(&self, id: IntentId) -> Read<'_, Option<Intent>> {
        self.read(move |from| records::intent(from, id))
    }

    fn intents(&self, query: IntentQuery) -> Read<'_, Page<Intent>> {
        self.read(move |from| records::intents(from, query))
    }

    fn open_runs(&self, mut each: Box<dyn FnMut(OpenRun) + Send>) -> Read<'_, u64> {
        self.read(move |from| records::open_runs(from, &mut each))
    }

    fn run(&self, id: RunId) -> Read<'_, Option<Run>> {
        self.read(move |from| records::run(from, id))
    }

    fn run_and_steps(&self, id: RunId) -> Read<'_, Option<(Run, Vec<Step>)>> {
        self.read(move |from| records::run_and_steps(from, id))
    }

    fn runs_of(&self, intent: IntentId) -> Read<'_, Vec<Run>> {
        self.read(move |from| records::runs_of(from, intent))
    }

    fn open_runs_of(&self, intent: IntentId) -> Read<'_, Vec<Run>> {
        self.read(move |from| records::open_runs_of(from, intent))
    }

    fn runs_page(&self, intent: IntentId, limit: usize, cursor: Option<String>) -> Read<'_, Page<Run>> {
        self.read(move |from| records::runs_page(from, intent, limit, cursor))
    }

    fn steps_page(&self, run: RunId, limit: usize, cursor: Option<String>) -> Read<'_, Page<Step>> {
        self.read(move |from| records::steps_page(from, run, limit, cursor))
    }

    fn steps(&self, run: RunId) -> Read<'_, Vec<Step>> {
        self.read(move |from| records::steps(from, run))
    }

    fn outcomes(&self) -> Read<'_, Vec<OutcomeRecord>> {
        self.outcomes_since(Time::MIN_UTC)
    }

    fn outcomes_since(&self, since: Time) -> Read<'_, Vec<OutcomeRecord>> {
        self.read(move |from| records::outcomes_since(from, since))
    }

    fn outcomes_after(&self, after: u64, mut each: Box<dyn FnMut(OutcomeRecord) + Send>) -> Read<'_, u64> {
        self.read(move |from| records::outcomes_after(from, after, &mut each))
    }

    fn outcomes_of(&self, intent: IntentId) -> Read<'_, Vec<OutcomeRecord>> {
        self.read(move |from| records::outcomes_of(from, intent))
    }

    fn alerts(&self, active_only: bool, limit: usize) -> Read<'_, Vec<Alert>> {
        self.read(move |from| records::alerts(from, active_only, limit))
    }

    fn source(&self, hash: String) -> Read<'_, Option<String>> {
        self.read(move |from| records::source(from, &hash))
    }

    fn meta(&self, key: String) -> Read<'_, Option<String>> {
        self.read(move |from| records::meta(from, &key))
    }

    fn metas(&self, prefix: String) -> Read<'_, Vec<(String, String)>> {
        self.read(move |from| records::metas(from, &prefix))
    }

    fn timeline(&self, limit: usize) -> Read<'_, Vec<Entry>> {
        self.read(move |from| records::timeline(from, limit))
    }

    fn counts(&self) -> Read<'_, Counts> {
        let file = self.file.clone();
        self.read(move |from| {
            let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
            let bytes = size(&file) + size(&file.with_extension("db-wal"));
            let used = prune::used(from)?;
            Ok(Counts { bytes, used, ..records::counts(from)? })
        })
    }

    fn prune(&self, what: Prune) -> Read<'_, Pruned> {
        async move {
            let mut total = Pruned::default();
            loop {
                let (send, receive) = oneshot::channel();
                self.queue.prune(what.clone(), send);
                let (done, more) = receive.await.unwrap_or(Err(Error::Stopped))?;
                total.events += done.events;
                total.intents += done.intents;
                total.alerts += done.alerts;
                total.timeline += done.timeline;
                total.sources += done.sources;
                if !more {
                    return Ok(total);
                }
            }
        }
        .boxed()
    }

    fn verify(&self) -> Read<'_, Vec<String>> {
        self.read(|from| {
            let mut statement = from.prepare("PRAGMA integrity_check(20)")?;
            let mut findings: Vec<String> =
                statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            findings.retain(|finding| finding != "ok");
            findings.extend(events::check(from)?);
            Ok(findings)
        })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // If it panicked, that has been logged.
            drop(writer.join());
        }
        self.lock = None;
        if let Some(dir) = &self.throw_away
            && let Err(error) = std::fs::remove_dir_all(dir)
        {
            tracing::warn!("could not delete {}: {error}", dir.display());
        }
    }
}

/// The secret under which idempotency keys are made; chosen once in a store's life.
fn secret(connection: &Connection) -> Result<[u8; 16], Fault> {
    const KEY: &str = "store.event_key";
    let known: Option<String> =
        connection.query_row("SELECT value FROM meta WHERE key = ?1", [KEY], |row| row.get(0)).optional()?;
    if let Some(text) = known {
        let number = u128::from_str_radix(&text, 16)
            .map_err(|_| Fault::Damaged("the key of the event log does not read".into()))?;
        return Ok(number.to_le_bytes());
    }
    let fresh = rand::random::<u128>();
    connection
        .execute("INSERT INTO meta (key, value) VALUES (?1, ?2)", [KEY, format!("{fresh:032x}").as_str()])?;
    Ok(fresh.to_le_bytes())
}
