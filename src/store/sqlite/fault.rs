//! SQLite's errors in the store's own words.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::ErrorCode;

use crate::store::Error;

/// Less free space than this, and an unclear failure of the disk is taken for a full one.
const NEARLY_FULL: u64 = 1 << 20;

/// Knows where the store is, which the messages name.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    dir: PathBuf,
    file: PathBuf,
    /// Whether something did not read.
    unreadable: Arc<AtomicBool>,
    /// What a test has planned for the next group.
    #[cfg(test)]
    pub(super) planned: Arc<std::sync::Mutex<Option<crate::store::conformance::Fate>>>,
}

/// What went wrong inside, before it is put into the store's words.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Damaged(String),
    Invalid(String),
    #[allow(dead_code, reason = "made only in builds with failpoints")]
    Injected(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Faults {
    pub(super) fn new(dir: &Path, file: &Path) -> Self {
        Self {
            dir: dir.into(),
            file: file.into(),
            unreadable: Arc::default(),
            #[cfg(test)]
            planned: Arc::default(),
        }
    }

    /// What `error` means to a user.
    pub(super) fn of(&self, error: &rusqlite::Error) -> Error {
        match error {
            rusqlite::Error::SqliteFailure(code, _) => match code.code {
                ErrorCode::DiskFull => self.full(),
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => self.corrupt(error.to_string()),
                // Writing into a hole, growing the shared index and syncing report a full disk only as a failure.
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen if self.no_space() => self.full(),
                _ => self.io(error.to_string()),
            },
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => self.corrupt(error.to_string()),
            _ => self.io(error.to_string()),
        }
    }

    /// No space left.
    pub(super) fn full(&self) -> Error {
        Error::Full(self.dir.clone())
    }

    /// The disk failed.
    pub(super) fn io(&self, detail: impl Into<String>) -> Error {
        Error::Io { dir: self.dir.clone(), detail: detail.into() }
    }

    /// The file is damaged.
    pub(super) fn corrupt(&self, detail: impl Into<String>) -> Error {
        Error::Corrupt { file: self.file.clone(), detail: detail.into() }
    }

    /// Whether something did not read, since that was forgotten.
    pub(super) fn has_unreadable(&self) -> bool {
        self.unreadable.load(Ordering::SeqCst)
    }

    /// Forgets that something did not read.
    pub(super) fn take_unreadable(&self) {
        self.unreadable.store(false, Ordering::SeqCst);
    }

    /// What `fault` means to a user.
    pub(super) fn settle(&self, fault: Fault) -> Error {
        match fault {
            Fault::Sql(error) => self.of(&error),
            Fault::Damaged(detail) => {
                self.unreadable.store(true, Ordering::SeqCst);
                self.corrupt(detail)
            }
            Fault::Invalid(text) => Error::Invalid(text),
            Fault::Injected(error) => error,
        }
    }

    #[allow(dead_code, reason = "called only in builds with failpoints")]
    /// What a failpoint with the action `return(WHAT)` asks for.
    pub(super) fn injected(&self, what: Option<&str>) -> Fault {
        match what {
            Some("abort") => std::process::abort(),
            Some("full") => Fault::Injected(self.full()),
            _ => Fault::Injected(self.io("a failpoint says so")),
        }
    }

    /// Fails if a test has planned `here` for this group.
    #[cfg(test)]
    pub(super) fn strike(&self, here: crate::store::conformance::Fate) -> Result<(), Fault> {
        let mut planned = self.planned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *planned != Some(here) {
            return Ok(());
        }
        *planned = None;
        Err(Fault::Injected(self.io("a test says so")))
    }

    fn no_space(&self) -> bool {
        rustix::fs::statvfs(&self.dir).is_ok_and(|fs| fs.f_bavail * fs.f_frsize < NEARLY_FULL)
    }
}
