//! Why the store could not do what it was asked.

use std::path::PathBuf;

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No space left.
    #[error("the disk under {} is full: free some space; nothing of this was kept", .0.display())]
    Full(PathBuf),
    /// More is waiting to be written than memory should hold.
    #[error("the store is {0} MiB behind: try again in a moment; nothing of this was taken")]
    Busy(usize),
    /// Too many clients read at once.
    #[error("too many reads are under way: try again in a moment")]
    ManyReads,
    /// The disk or the file system failed.
    #[error("the store under {} failed: {detail}", .dir.display())]
    Io {
        /// Which data directory.
        dir: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// What was read is not what was written.
    #[error(
        "{} is damaged ({detail}): stop the engine, keep a copy, and restore a backup or start with a new --data directory",
        .file.display()
    )]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Another engine has the data directory.
    #[error("{} is in use by another engine{}: stop that one, or choose another --data directory", .dir.display(), by(*.pid))]
    InUse {
        /// Which data directory.
        dir: PathBuf,
        /// The other engine, if it said so.
        pid: Option<u32>,
    },
    /// Written by a newer version.
    #[error("{} has schema {found}, this version knows up to {known}: use the newer version that wrote it", .file.display())]
    TooNew {
        /// Which file.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// A database of something else.
    #[error("{} belongs to another program: choose another --data directory", .0.display())]
    NotOurs(PathBuf),
    /// The question itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The writer has ended.
    #[error("the store's writer has stopped; whether this was kept is not known; restart the engine")]
    Stopped,
}

impl Error {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the same may succeed later without anybody changing a file by hand.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Busy(_) | Self::ManyReads | Self::Io { .. })
    }
}

fn by(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
