//! One followed file: where we are in it, and what is new.

use std::fs::{File, Metadata};
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::Place;
use crate::sources::cloudevents::MAX_EVENT;

/// Bytes of the file's beginning by which a rewritten file is known.
const HEAD: u64 = 256;
/// Bytes read at once.
const CHUNK: usize = 128 << 10;

/// What makes a file the same file, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Identity {
    inode: u64,
    /// Nanoseconds since 1970 at which it was made: inodes are used again, and device numbers change at a reboot.
    born: u64,
    /// Only where the file system does not say when a file was made.
    device: u64,
}

/// A followed file.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    handle: File,
    generation: u64,
    /// Where the next line starts.
    offset: u64,
    head: (u64, u64),
    /// Bytes after `offset` whose line has not ended.
    partial: Vec<u8>,
    /// In the middle of a line that is too long to keep; `partial` stays empty and this many bytes were passed over.
    skipped: u64,
}

/// A line and where it starts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) offset: u64,
    pub(super) bytes: Result<Vec<u8>, TooLong>,
}

/// A line longer than any event may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Identity {
    pub(super) fn of(file: &Metadata) -> Self {
        let born = file.created().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let born = born.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
        Self { inode: file.ino(), born, device: if born == 0 { file.dev() } else { 0 } }
    }
}

impl Followed {
    /// From its beginning.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let handle = File::open(path)?;
        let identity = Identity::of(&handle.metadata()?);
        Ok(Self {
            path: path.into(),
            identity,
            handle,
            generation: 0,
            offset: 0,
            head: (0, SipHasher13::new().finish()),
            partial: Vec::new(),
            skipped: 0,
        })
    }

    /// From where `place` says, if this is still that file.
    pub(super) fn go_on(&mut self, place: &Place) {
        self.generation = place.generation;
        self.offset = place.offset;
        self.head = place.head;
    }

    pub(super) fn place(&self) -> Place {
        Place {
            path: self.path.clone(),
            identity: self.identity,
            generation: self.generation,
            offset: self.offset,
            head: self.head,
        }
    }

    /// Appends the new complete lines, at most one chunk of them; answers whether anything new was read.
    pub(super) fn read(&mut self, lines: &mut Vec<Line>) -> io::Result<bool> {
        let length = self.handle.metadata()?.len();
        let at = self.offset + self.partial.len() as u64 + self.skipped;
        if length == at {
            return Ok(false);
        }
        if length < at || !self.has_same_head()? {
            self.begin_anew();
        }
        let at = self.offset + self.partial.len() as u64 + self.skipped;
        let mut chunk = vec![0; CHUNK];
        let read = self.handle.read_at(&mut chunk, at)?;
        self.take(&chunk[..read], lines);
        self.note_head()?;
        Ok(read > 0)
    }

    /// The last line of a file that nobody writes any more, though it was never ended.
    pub(super) fn read_rest(&mut self, lines: &mut Vec<Line>) {
        if !self.partial.is_empty() {
            self.take(b"\n", lines);
        }
    }

    fn take(&mut self, mut chunk: &[u8], lines: &mut Vec<Line>) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&chunk[..end], &chunk[end + 1..]);
            chunk = rest;
            let length = self.skipped + (self.partial.len() + line.len()) as u64 + 1;
            let bytes = if self.skipped > 0 || self.partial.len() + line.len() > MAX_EVENT {
                Err(TooLong)
            } else {
                self.partial.extend_from_slice(line);
                Ok(std::mem::take(&mut self.partial))
            };
            lines.push(Line { id: self.id(), offset: self.offset, bytes });
            self.partial.clear();
            self.skipped = 0;
            self.offset += length;
        }
        if self.skipped > 0 || self.partial.len() + chunk.len() > MAX_EVENT {
            self.skipped += (self.partial.len() + chunk.len()) as u64;
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(chunk);
        }
    }

    /// The same for the same line however often it is read, and for no other.
    fn id(&self) -> String {
        let Identity { inode, born, device } = self.identity;
        format!("{inode:x}-{born:x}-{device:x}-{}-{:x}", self.generation, self.offset)
    }

    fn begin_anew(&mut self) {
        self.generation += 1;
        self.offset = 0;
        self.skipped = 0;
        self.partial.clear();
        self.head = (0, SipHasher13::new().finish());
    }

    fn has_same_head(&self) -> io::Result<bool> {
        let (length, hash) = self.head;
        Ok(self.hash(length)? == Some(hash))
    }

    fn note_head(&mut self) -> io::Result<()> {
        let length = self.offset.min(HEAD);
        if length > self.head.0
            && let Some(hash) = self.hash(length)?
        {
            self.head = (length, hash);
        }
        Ok(())
    }

    /// Hash of the first `length` bytes; none if there are fewer.
    fn hash(&self, length: u64) -> io::Result<Option<u64>> {
        let mut bytes = vec![0; usize::try_from(length.min(HEAD)).unwrap_or(0)];
        match self.handle.read_exact_at(&mut bytes, 0) {
            Ok(()) => {
                let mut hasher = SipHasher13::new();
                hasher.write(&bytes);
                Ok(Some(hasher.finish()))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}
