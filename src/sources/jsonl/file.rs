//! One followed file: where we are in it, and what is new.
//!
//! A line ends with a newline or with NULs, which crashed and truncated files hold. NULs at the very end are room that
//! a writer has reserved: they are not read before something follows them. Start with [`Followed::read`].

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;

use super::mark::Mark;
use super::place::{Identity, Place};
use crate::sources::cloudevents::MAX_EVENT;

/// Bytes read at once.
const CHUNK: usize = 128 << 10;

/// The byte order mark that some editors put before UTF-8 text.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A followed file.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    /// See [`Place::origin`].
    origin: Identity,
    /// Closed while nothing comes.
    handle: Option<File>,
    generation: u64,
    /// Where the next line starts.
    offset: u64,
    mark: Mark,
    /// Bytes after `offset` whose line has not ended.
    partial: Vec<u8>,
    /// In the middle of a line that is too long to keep; `partial` stays empty and this many bytes were passed over.
    skipped: u64,
    /// Length and times of the file when everything in it had been read.
    read_all: Option<Stamp>,
}

/// Changes whenever a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: (i64, i64),
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

impl Stamp {
    pub(super) fn of(file: &Metadata) -> Self {
        Self { length: file.len(), modified: (file.mtime(), file.mtime_nsec()) }
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
            origin: identity,
            handle: Some(handle),
            generation: 0,
            offset: 0,
            mark: Mark::default(),
            partial: Vec::new(),
            skipped: 0,
            read_all: None,
        })
    }

    /// Whether this is the file that `place` is in under another identity: a copy that kept its time, or the same file
    /// of a file system that was mounted again. Equal contents alone are no proof: many logs begin alike.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn continues(&self, place: &Place) -> io::Result<bool> {
        let Some(file) = &self.handle else { return Ok(false) };
        let stamp = Stamp::of(&file.metadata()?);
        let kept_its_time = place.modified == Some(stamp.modified);
        let known = kept_its_time || self.identity.differs_by_device(place.identity);
        Ok(known && stamp.length >= place.offset && place.mark.fits(file, place.offset)?)
    }

    /// From where `place` says, which was in this file or in one that it continues.
    pub(super) fn go_on(&mut self, place: &Place) {
        self.origin = place.origin.unwrap_or(place.identity);
        self.generation = place.generation;
        self.offset = place.offset;
        self.mark = place.mark;
    }

    pub(super) fn place(&self) -> Place {
        Place {
            path: self.path.clone(),
            identity: self.identity,
            origin: (self.origin != self.identity).then_some(self.origin),
            generation: self.generation,
            offset: self.offset,
            mark: self.mark,
            modified: self.read_all.map(|stamp| stamp.modified),
            away: None,
        }
    }

    /// Whether there is something to read, as far as `stamp` of its name can tell.
    pub(super) fn is_read(&self, stamp: Stamp) -> bool {
        self.read_all == Some(stamp)
    }

    pub(super) fn is_open(&self) -> bool {
        self.handle.is_some()
    }

    /// Gives the descriptor back; the next read opens the file again by its name.
    pub(super) fn close(&mut self) {
        self.handle = None;
    }

    /// How many bytes of a line are there whose end is missing.
    pub(super) fn unended(&self) -> Option<(u64, usize)> {
        (!self.partial.is_empty()).then_some((self.offset, self.partial.len()))
    }

    /// Appends the new complete lines, at most one chunk of them; answers whether anything new was read.
    ///
    /// # Errors
    /// When the file cannot be read just now; the next call tries again from the same place.
    pub(super) fn read(&mut self, lines: &mut Vec<Line>) -> io::Result<bool> {
        // A handle that fails, as one of a network share that was away, is of no use any more.
        let file = match self.handle.take() {
            Some(file) => file,
            None => self.reopen()?,
        };
        let stamp = Stamp::of(&file.metadata()?);
        if self.read_all == Some(stamp) {
            self.handle = Some(file);
            return Ok(false);
        }
        if stamp.length < self.next() || !self.mark.fits(&file, self.offset)? {
            self.begin_anew();
        } else if !self.has_same_partial(&file)? {
            self.partial.clear();
        }
        let mut chunk = vec![0; CHUNK];
        let read = file.read_at(&mut chunk, self.next())?;
        chunk.truncate(read);
        if let Some(zeros) = self.reserved(&file, &chunk, stamp.length)? {
            chunk.truncate(chunk.len() - zeros);
        }
        if chunk.is_empty() {
            self.read_all = Some(stamp);
        } else {
            self.take(&chunk, lines);
        }
        if let Some(mark) = Mark::of(&file, self.offset)? {
            self.mark = mark;
        }
        self.handle = Some(file);
        Ok(!chunk.is_empty())
    }

    /// Takes the last line though its newline never came.
    pub(super) fn read_rest(&mut self, lines: &mut Vec<Line>) {
        let Some((offset, length)) = self.unended() else { return };
        let id = self.id();
        let line = self.whole();
        self.offset += length as u64;
        lines.push(Line { id, offset, bytes: Ok(line) });
        if let Some(Ok(Some(mark))) = self.handle.as_ref().map(|file| Mark::of(file, self.offset)) {
            self.mark = mark;
        }
    }

    /// Whether the line that has not ended is a whole JSON object: nothing that follows could make it another event.
    pub(super) fn ends_in_an_object(&self) -> bool {
        self.partial.trim_ascii_end().ends_with(b"}")
            && serde_json::from_slice::<serde::de::IgnoredAny>(
                self.partial.strip_prefix(BOM).unwrap_or(&self.partial),
            )
            .is_ok()
    }

    /// The line that has ended.
    fn whole(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.partial);
        if self.offset == 0 && line.starts_with(BOM) {
            line.drain(..BOM.len());
        }
        line
    }

    /// The byte that is read next.
    fn next(&self) -> u64 {
        self.offset + self.partial.len() as u64 + self.skipped
    }

    fn reopen(&self) -> io::Result<File> {
        let file = File::open(&self.path)?;
        if Identity::of(&file.metadata()?) == self.identity {
            return Ok(file);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "another file has taken its name"))
    }

    /// A writer that reserved room writes over the NULs that stood there; one that cuts a file begins anew.
    fn has_same_partial(&self, file: &File) -> io::Result<bool> {
        let mut bytes = vec![0; self.partial.len()];
        match file.read_exact_at(&mut bytes, self.offset) {
            Ok(()) => Ok(bytes == self.partial),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many NULs end `chunk` with nothing but NULs after them in the file; none if something follows.
    fn reserved(&self, file: &File, chunk: &[u8], length: u64) -> io::Result<Option<usize>> {
        let zeros = chunk.iter().rev().take_while(|byte| **byte == 0).count();
        let end = self.next() + chunk.len() as u64;
        if zeros == 0 || (end < length && has_data(file, end, length)?) {
            return Ok(None);
        }
        Ok(Some(zeros))
    }

    fn take(&mut self, mut chunk: &[u8], lines: &mut Vec<Line>) {
        loop {
            if self.partial.is_empty() && self.skipped == 0 {
                let zeros = chunk.iter().take_while(|byte| **byte == 0).count();
                self.offset += zeros as u64;
                chunk = &chunk[zeros..];
            }
            let Some(end) = chunk.iter().position(|byte| matches!(byte, b'\n' | 0)) else { break };
            let (line, rest) = (&chunk[..end], &chunk[end + 1..]);
            chunk = rest;
            let length = self.skipped + (self.partial.len() + line.len()) as u64 + 1;
            let bytes = if self.skipped > 0 || self.partial.len() + line.len() > MAX_EVENT {
                Err(TooLong)
            } else {
                self.partial.extend_from_slice(line);
                Ok(self.whole())
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
        format!("{}-{}-{:x}", self.origin.text(), self.generation, self.offset)
    }

    fn begin_anew(&mut self) {
        self.generation += 1;
        self.offset = 0;
        self.skipped = 0;
        self.partial.clear();
        self.mark = Mark::default();
    }
}

/// Whether anything but NULs stands between `from` and `end`. Holes are passed over where the file system tells them.
fn has_data(file: &File, from: u64, end: u64) -> io::Result<bool> {
    let mut at = match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(data) => data,
        Err(rustix::io::Errno::NXIO) => return Ok(false),
        Err(_) => from,
    };
    let mut chunk = vec![0; CHUNK];
    while at < end {
        let read = file.read_at(&mut chunk, at)?;
        if read == 0 {
            return Ok(false);
        }
        if chunk[..read].iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
        at += read as u64;
    }
    Ok(false)
}
