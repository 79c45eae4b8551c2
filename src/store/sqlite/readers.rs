//! A few connections that read beside the writer, each on a thread that may block.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::{Fault, Faults};
use super::schema;
use crate::store::Error;

/// Reads at a time. More would only take processors from the engine.
const CONNECTIONS: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    faults: Faults,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(super) fn new(file: PathBuf, faults: Faults) -> Arc<Self> {
        Arc::new(Self { file, faults, idle: Mutex::default(), permits: Semaphore::new(CONNECTIONS) })
    }

    /// Runs `read` on a free connection, waiting for one if need be.
    pub(super) async fn run<T: Send + 'static>(
        self: Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let readers = Arc::clone(&self);
        let permit = readers.permits.acquire().await.map_err(|_| Error::Stopped)?;
        let work = tokio::task::spawn_blocking(move || {
            let connection = self.take()?;
            let answer = read(&connection).map_err(|fault| self.faults.settle(fault));
            if answer.is_ok() {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            answer
        });
        let answer = work.await;
        drop(permit);
        answer.unwrap_or_else(|error| Err(readers.faults.io(format!("a read did not end: {error}"))))
    }

    fn take(&self) -> Result<Connection, Error> {
        if let Some(connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(connection);
        }
        let connection = schema::open_reader(&self.file, &self.faults)?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(|error| self.faults.of(&error))?;
        Ok(connection)
    }
}
