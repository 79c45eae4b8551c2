//! The file of the kill switch: read when it has changed, written whole or not at all.
//!
//! What cannot be understood freezes; a file that is gone thaws, but not if its folder is gone with it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use super::Freeze;

/// How a file stood when it was read last: none if it was not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(Option<(u64, i64, i64, u64)>);

/// What a file says.
pub enum Read {
    /// These are frozen.
    Frozen(Vec<Freeze>),
    /// It is there and says nothing that can be understood; in words.
    Unclear(String),
}

/// The file.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    name: String,
}

impl File {
    /// At `path`.
    pub fn new(path: PathBuf) -> Self {
        let name = path.to_string_lossy().into_owned();
        Self { path, name }
    }

    /// Its path, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it stands and what it says, if that is not as it was `seen`.
    pub fn changed(&self, seen: &Seen) -> Option<(Seen, Read)> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder_is_there = self.path.parent().is_some_and(|it| it.is_dir());
                let thawed = (Seen(None), Read::Frozen(Vec::new()));
                return (folder_is_there && *seen != Seen(None)).then_some(thawed);
            }
            // Nobody knows: it stays as it was.
            Err(_) => return None,
        };
        let now = Seen(Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len())));
        if now == *seen {
            return None;
        }
        let read = match fs::read_to_string(&self.path) {
            Ok(text) if text.trim().is_empty() => Read::Unclear(format!("{} is there, and empty", self.name)),
            Ok(text) => match serde_json::from_str(&text) {
                Ok(frozen) => Read::Frozen(frozen),
                Err(error) => Read::Unclear(format!("{} cannot be understood: {error}", self.name)),
            },
            Err(error) => Read::Unclear(format!("{} cannot be read: {error}", self.name)),
        };
        Some((now, read))
    }

    /// Writes `frozen`; once this has returned it survives. Nothing frozen is no file.
    pub fn write(&self, frozen: &[Freeze]) -> io::Result<Seen> {
        if frozen.is_empty() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.sync_folder()?;
            return Ok(Seen(None));
        }
        let text = serde_json::to_string_pretty(frozen).map_err(io::Error::other)?;
        let new = self.path.with_extension("json.new");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.sync_folder()?;
        let metadata = fs::metadata(&self.path)?;
        Ok(Seen(Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))))
    }

    fn sync_folder(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}
