//! By what a file is recognized as the one that was read up to some byte: hashes of its beginning and of what stands
//! right before that byte. A file that was rewritten, cut or replaced has another one or the other.

use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// Bytes that each of the two hashes covers at most: a rewrite that leaves both ends as they were is not seen.
const SPAN: u64 = 4 << 10;

/// Bytes that the hash of the beginning covered in the places kept by version 0.1.
const OLD_HEAD: u64 = 256;

/// What was read of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Length and hash of the beginning.
    pub(super) head: (u64, u64),
    /// Length and hash of what stands right before the byte that is next.
    #[serde(default)]
    tail: (u64, u64),
}

impl Mark {
    /// The mark of `file`, of which everything before `offset` was read; none if it is shorter than that.
    pub(super) fn of(file: &File, offset: u64) -> io::Result<Option<Self>> {
        let length = offset.min(SPAN);
        let (Some(head), Some(tail)) = (hash(file, 0, length)?, hash(file, offset - length, length)?) else {
            return Ok(None);
        };
        Ok(Some(Self { head: (length, head), tail: (length, tail) }))
    }

    /// Whether `file` is still the one that was read up to `offset`.
    pub(super) fn fits(&self, file: &File, offset: u64) -> io::Result<bool> {
        let (head, tail) = (self.head, self.tail);
        let same = head.0 == 0 || hash(file, 0, head.0)? == Some(head.1);
        Ok(same && (tail.0 == 0 || hash(file, offset.saturating_sub(tail.0), tail.0)? == Some(tail.1)))
    }

    /// Whether it says enough to recognize a copy of the file by: equal beginnings alone are common.
    pub(super) fn is_distinct(&self) -> bool {
        self.tail.0 > 0
    }
}

/// Hash of `length` bytes at `offset`; none if the file ends before.
fn hash(file: &File, offset: u64, length: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; usize::try_from(length.min(SPAN.max(OLD_HEAD))).unwrap_or(0)];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => {
            let mut hasher = SipHasher13::new();
            hasher.write(&bytes);
            Ok(Some(hasher.finish()))
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
