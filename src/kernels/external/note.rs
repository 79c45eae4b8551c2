//! A line on disk about the restart that is under way, so that an engine that dies in the middle of it does not do it
//! twice.
//!
//! It holds the step's key and what ran before. Whoever comes with the same key later looks whether something else runs
//! by now: then it was done.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What was about to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) key: String,
    /// What ran then; nothing if the provider does not tell.
    pub(super) before: Option<String>,
}

impl Note {
    /// The note in `dir` about `kernel`, if there is one. One that cannot be read says nothing.
    pub(super) fn read(dir: &Path, kernel: &str) -> Option<Self> {
        let text = std::fs::read_to_string(path(dir, kernel)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes it; durable when this comes back.
    pub(super) fn write(&self, dir: &Path, kernel: &str) -> io::Result<()> {
        let path = path(dir, kernel);
        let new = path.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        std::fs::File::open(dir)?.sync_all()
    }

    /// It is known not to have been done, or to have failed: it may be done again.
    pub(super) fn clear(dir: &Path, kernel: &str) {
        // One that is not there is as good.
        std::fs::remove_file(path(dir, kernel)).ok();
    }
}

fn path(dir: &Path, kernel: &str) -> PathBuf {
    dir.join(format!("{kernel}.restart"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_outlives_the_engine_until_it_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Note::read(dir.path(), "k"), None);
        let note = Note { key: "1".into(), before: Some("a".into()) };
        note.write(dir.path(), "k").unwrap();
        assert_eq!(Note::read(dir.path(), "k"), Some(note));
        assert_eq!(Note::read(dir.path(), "other"), None);
        Note::clear(dir.path(), "k");
        assert_eq!(Note::read(dir.path(), "k"), None);
    }
}
