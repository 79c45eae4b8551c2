//! Whether what the engine stands on is still there: a data directory that is gone, replaced or not writable makes it
//! unready within a second or two, with the reason, also when nothing happens.
//!
//! SQLite goes on writing into a file that was taken away, and says that all is well; so the place is looked at too.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::Access;

use super::Engine;
use crate::platform::log;
use crate::store::{Error, Write, sqlite};
use crate::tasks::gate::Ground;

/// How often the place is looked at.
const POLL: Duration = Duration::from_secs(1);

/// Name under which something is written to see whether that works again.
const TRIED: &str = "disk.tried";

/// How the data directory stands.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// The directory, and device and number of the database in it as it was opened; none for a store without one.
    place: Option<(PathBuf, u64, u64)>,
    trouble: Mutex<Option<Trouble>>,
}

/// Why nothing can be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In words.
    pub(super) why: String,
    /// Whether what is written would be lost though the store takes it.
    pub(super) lost: bool,
}

impl Disk {
    /// Of the database in `dir`, which was just opened.
    pub(super) fn of(dir: &Path) -> Self {
        let meta = std::fs::metadata(dir.join(sqlite::FILE)).ok();
        let place = meta.map(|meta| (dir.to_path_buf(), meta.dev(), meta.ino()));
        Self { place, trouble: Mutex::default() }
    }

    /// What is wrong, if anything is.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.lock().clone()
    }

    /// A commit failed. One that only has to wait for its turn is nothing to be told.
    pub(super) fn failed(&self, error: &Error) {
        if !matches!(error, Error::Busy(_) | Error::ManyReads | Error::Stopped) {
            self.set(Some(Trouble { why: error.to_string(), lost: false }));
        }
    }

    /// Looks at the place.
    fn look(&self) -> Result<(), Trouble> {
        self.is_there()?;
        let Some((dir, ..)) = &self.place else { return Ok(()) };
        rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| Trouble {
            why: format!("the data directory {} cannot be written to: {error}", dir.display()),
            lost: false,
        })
    }

    /// Looks whether the database that is open is still in its place.
    fn is_there(&self) -> Result<(), Trouble> {
        let Some((dir, device, number)) = &self.place else { return Ok(()) };
        let lost = |why: String| Err(Trouble { why, lost: true });
        let (shown, file) = (dir.display(), dir.join(sqlite::FILE));
        match std::fs::metadata(&file) {
            Ok(meta) if (meta.dev(), meta.ino()) == (*device, *number) => {}
            Ok(_) => {
                return lost(format!(
                    "{} is another file than the one that is open: start the engine again to use it",
                    file.display()
                ));
            }
            Err(_) if !dir.exists() => {
                return lost(format!(
                    "the data directory {shown} is gone: put it back, or start the engine again"
                ));
            }
            Err(error) => {
                return lost(format!(
                    "{} is gone ({error}): put it back, or start the engine again",
                    file.display()
                ));
            }
        }
        Ok(())
    }

    fn set(&self, now: Option<Trouble>) {
        let before = std::mem::replace(&mut *self.lock(), now.clone());
        match (before, now) {
            (before, Some(now)) if before.as_ref() != Some(&now) => tracing::error!("not ready: {}", now.why),
            (Some(_), None) => tracing::info!("the data directory takes writes again"),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ground for Disk {
    fn lost(&self) -> Option<String> {
        // Not what was seen a second ago: an effect follows.
        self.is_there().err().map(|trouble| trouble.why)
    }
}

impl Engine {
    fn look_at_log(&self) {
        const KEY: &str = "log/standard-error";
        match log::trouble() {
            Some(why) => drop(self.0.problems.raise(
                KEY,
                format!(
                    "log lines are being dropped, as standard error does not take them: {why}; \
                     free its disk, or see to whatever reads it"
                ),
            )),
            None => drop(self.0.problems.clear(KEY)),
        }
    }

    /// Looks after the data directory, and whether the log is written, until the engine stops.
    pub(super) async fn watch_disk(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.0.stop.cancelled() => return,
            }
            self.look_at_log();
            self.see_to_unreadable().await;
            let engine = self.clone();
            // A file system that hangs must not hang the loop of everybody else.
            let looked = tokio::task::spawn_blocking(move || engine.0.disk.look()).await;
            match looked {
                Ok(Err(trouble)) => self.0.disk.set(Some(trouble)),
                Ok(Ok(())) if self.0.disk.trouble().is_some() => {
                    let write = Write::Meta { key: TRIED.into(), value: self.0.clock.now().to_rfc3339() };
                    match self.0.store.commit(vec![write]).await {
                        Ok(()) => self.0.disk.set(None),
                        Err(error) => self.0.disk.failed(&error),
                    }
                }
                Ok(Ok(())) | Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_gone_or_another_is_told_and_one_that_comes_back_is_well() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join(sqlite::FILE), "").unwrap();
        let disk = Disk::of(&data);
        assert_eq!(disk.look(), Ok(()));
        let away = home.path().join("away");
        std::fs::rename(&data, &away).unwrap();
        assert!(disk.look().is_err_and(|it| it.lost && it.why.contains("is gone")));
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join(sqlite::FILE), "").unwrap();
        assert!(disk.look().is_err_and(|it| it.lost && it.why.contains("another file")));
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(&away, &data).unwrap();
        assert_eq!(disk.look(), Ok(()));
        disk.failed(&Error::Busy(5));
        assert_eq!(disk.trouble(), None, "a busy store is no broken one");
        disk.failed(&Error::Full(data));
        assert!(disk.trouble().is_some_and(|it| !it.lost && it.why.contains("full")));
    }
}
