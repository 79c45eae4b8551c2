//! One engine a data directory: a lock that the system releases when its holder dies.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::store::Error;

/// Held as long as this value lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock of `dir`.
pub(super) fn take(dir: &Path) -> Result<Lock, Error> {
    let path = dir.join("lock");
    let io =
        |error: std::io::Error| Error::Io { dir: dir.into(), detail: format!("{}: {error}", path.display()) };
    let mut file =
        OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path).map_err(io)?;
    if let Err(errno) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if errno != rustix::io::Errno::WOULDBLOCK {
            return Err(io(errno.into()));
        }
        let mut text = String::new();
        let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
        return Err(Error::InUse { dir: dir.into(), pid });
    }
    // The number is only for the message above, so a disk too full to take it is no reason to stop.
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
    drop(written);
    Ok(Lock { _file: file })
}
