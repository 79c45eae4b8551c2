//! Connections that read beside the writer, each on a thread that may block: some for the engine, some for its clients.
//!
//! A permit belongs to the work and not to who asked for it: it is given back when the thread is free again. A read
//! that nobody waits for any more is interrupted within a statement, and at the next block or row between statements.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault::{Fault, Faults};
use super::schema;
use crate::store::{Error, client};

/// Reads of clients at a time. More would only take processors from the engine.
const CLIENTS: usize = 4;
/// Reads of the engine at a time.
const ENGINE: usize = 4;

/// How long a client's read waits for a connection before the client is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    /// Whether the read on this thread has been abandoned; none where it cannot be.
    static ABANDONED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    faults: Faults,
    engine: Pool,
    clients: Pool,
}

#[derive(Debug)]
struct Pool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// A read and who waits for it.
#[derive(Default)]
struct Asked {
    abandoned: Arc<AtomicBool>,
    /// Stops the statement that runs; there only while the read has the connection.
    interrupt: Mutex<Option<InterruptHandle>>,
}

/// Held by who waits for a read; dropping it abandons the read.
struct Waiting(Arc<Asked>);

/// Held by the thread that reads.
struct Reading(Arc<Asked>);

impl Readers {
    pub(super) fn new(file: PathBuf, faults: Faults) -> Arc<Self> {
        Arc::new(Self { file, faults, engine: Pool::new(ENGINE), clients: Pool::new(CLIENTS) })
    }

    /// Opens a connection of each kind in advance, so that there are some when descriptors run out.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(super) fn prepare(&self) -> Result<(), Error> {
        for pool in [&self.engine, &self.clients] {
            let connection = self.take(pool)?;
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(())
    }

    /// Runs `read` on a free connection, waiting for one if need be. Ends the read if the answer is not waited for.
    pub(super) async fn run<T: Send + 'static>(
        self: Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let for_client = client::is_client();
        let permit = self.pool(for_client).permit(for_client).await?;
        let asked = Arc::new(Asked::default());
        let waiting = Waiting(Arc::clone(&asked));
        let readers = Arc::clone(&self);
        let work = tokio::task::spawn_blocking(move || {
            // Given back when the thread is free again, however the read ends.
            let _permit = permit;
            let pool = readers.pool(for_client);
            let connection = readers.take(pool)?;
            let reading = Reading::begin(asked, &connection);
            let answer = go_on().and_then(|()| read(&connection));
            // Before the connection may be another's, whom an interrupt would hit.
            drop(reading);
            let answer = answer.map_err(|fault| readers.faults.settle(fault));
            if answer.is_ok() {
                pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            answer
        });
        let answer = work.await;
        drop(waiting);
        answer.unwrap_or_else(|error| Err(self.faults.io(format!("a read did not end: {error}"))))
    }

    fn pool(&self, for_client: bool) -> &Pool {
        if for_client { &self.clients } else { &self.engine }
    }

    fn take(&self, pool: &Pool) -> Result<Connection, Error> {
        if let Some(connection) = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(connection);
        }
        let connection = schema::open_reader(&self.file, &self.faults)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(|error| self.faults.of(&error))?;
        Ok(connection)
    }
}

impl Pool {
    fn new(most: usize) -> Self {
        Self { idle: Mutex::default(), permits: Arc::new(Semaphore::new(most)) }
    }

    async fn permit(&self, for_client: bool) -> Result<OwnedSemaphorePermit, Error> {
        let free = Arc::clone(&self.permits).acquire_owned();
        let permit = if for_client {
            tokio::time::timeout(PATIENCE, free).await.map_err(|_| Error::ManyReads)?
        } else {
            free.await
        };
        permit.map_err(|_| Error::Stopped)
    }
}

impl Reading {
    fn begin(asked: Arc<Asked>, connection: &Connection) -> Self {
        ABANDONED.set(Some(Arc::clone(&asked.abandoned)));
        *asked.interrupt.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(connection.get_interrupt_handle());
        Self(asked)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        ABANDONED.set(None);
        *self.0.interrupt.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abandoned.store(true, Ordering::Release);
        if let Some(handle) = &*self.0.interrupt.lock().unwrap_or_else(PoisonError::into_inner) {
            handle.interrupt();
        }
    }
}

/// Fails once nobody waits any more for the read on this thread: called between the statements of a long one.
pub(super) fn go_on() -> Result<(), Fault> {
    let abandoned =
        ABANDONED.with_borrow(|flag| flag.as_ref().is_some_and(|flag| flag.load(Ordering::Acquire)));
    if abandoned { Err(Fault::Invalid("the read was abandoned".into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Instant;

    use super::*;

    fn readers(dir: &Path) -> Arc<Readers> {
        let file = dir.join("paramedic.db");
        let faults = Faults::new(dir, &file);
        drop(schema::open_writer(&file, &faults, true).unwrap());
        Readers::new(file, faults)
    }

    /// Counts for hours.
    fn endless(from: &Connection) -> Result<i64, Fault> {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000000) SELECT max(i) FROM n";
        Ok(from.query_row(sql, [], |row| row.get(0))?)
    }

    async fn until(what: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !what() {
            assert!(Instant::now() < deadline, "it did not come to it");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_ends_and_gives_its_room_back() {
        let home = tempfile::tempdir().unwrap();
        let readers = readers(home.path());
        let between = |from: &Connection| loop {
            go_on()?;
            from.query_row("SELECT 1", [], |_| Ok(()))?;
        };
        for at_once in 0..50 {
            let (one, other) = (Arc::clone(&readers).run(endless), Arc::clone(&readers).run::<()>(between));
            let both = client::for_client(async { tokio::join!(one, other) });
            assert!(tokio::time::timeout(Duration::from_millis(20), both).await.is_err(), "{at_once}");
        }
        until(|| readers.clients.permits.available_permits() == CLIENTS).await;
        let answer = client::for_client(Arc::clone(&readers).run(|_| Ok(1))).await;
        assert_eq!(answer, Ok(1), "an interrupt hits nobody else");
    }

    #[tokio::test]
    async fn clients_that_ask_for_much_never_keep_the_engine_waiting() {
        let home = tempfile::tempdir().unwrap();
        let readers = readers(home.path());
        let clients: Vec<_> = (0..CLIENTS * 3)
            .map(|_| tokio::spawn(client::for_client(Arc::clone(&readers).run(endless))))
            .collect();
        until(|| readers.clients.permits.available_permits() == 0).await;
        for _ in 0..20 {
            assert_eq!(Arc::clone(&readers).run(|_| Ok(1)).await, Ok(1));
        }
        assert_eq!(readers.clients.permits.available_permits(), 0, "they still read");
        for client in &clients {
            client.abort();
        }
        until(|| readers.clients.permits.available_permits() == CLIENTS).await;
    }
}
