//! Removing what a policy chose: each file through its own folder's handle, and only if it is still the one that was seen.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

use paramedic_plugin::Failure;
use rustix::fs::{AtFlags, FileType, statat, unlinkat};
use rustix::io::Errno;
use serde::Serialize;

use crate::policy::Policy;
use crate::walk::{Roots, Seen, Walk, told};
use crate::{File, beneath};

/// Files that are told of by name.
const TOLD: usize = 100;

/// Files removed in one call, if nobody says.
const MOST: usize = 10_000;

/// What came of it.
#[derive(Debug, Serialize)]
pub(crate) struct Cleaned {
    pub(crate) removed: u64,
    pub(crate) bytes: u64,
    pub(crate) files: Vec<File>,
    pub(crate) failed: Vec<String>,
    pub(crate) complete: bool,
}

/// Removes what `policy` says; with `dry` only says what that would be.
pub(crate) fn clean(roots: &Roots, policy: &Policy, now: SystemTime, dry: bool) -> Result<Cleaned, Failure> {
    policy.check()?;
    let base = &policy.path;
    let walk = Walk::below(roots, base, now)?;
    let mut cleaned =
        Cleaned { removed: 0, bytes: 0, files: Vec::new(), failed: Vec::new(), complete: walk.complete };
    let (disk, _) = roots.open(base)?;
    for file in policy.choose(walk.files) {
        if cleaned.removed >= policy.most.unwrap_or(MOST) as u64 {
            cleaned.complete = false;
            break;
        }
        // In a dry run what would be removed is counted as free.
        let more = if dry { cleaned.bytes } else { 0 };
        if let Some(share) = policy.until_free
            && free(&disk, more)? >= share
        {
            break;
        }
        let gone = if dry { Ok(()) } else { remove(roots, base, &file) };
        match gone {
            Ok(()) => {
                cleaned.removed += 1;
                cleaned.bytes += file.bytes;
                if cleaned.files.len() < TOLD {
                    cleaned.files.push(file.told(base));
                }
            }
            // Somebody else was quicker.
            Err(Errno::NOENT) => {}
            Err(error) if cleaned.failed.len() < TOLD => {
                cleaned.failed.push(told(&beneath(base, &file.path), error))
            }
            Err(_) => {}
        }
    }
    Ok(cleaned)
}

fn remove(roots: &Roots, base: &Path, file: &Seen) -> Result<(), Errno> {
    let full = beneath(base, &file.path);
    let (Some(parent), Some(name)) = (full.parent(), full.file_name()) else { return Err(Errno::INVAL) };
    let (folder, _) = roots.open(parent).map_err(|_| Errno::NOENT)?;
    let stat = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    // Another file of this name by now was not chosen.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || (stat.st_dev, stat.st_ino) != file.id
    {
        return Err(Errno::NOENT);
    }
    unlinkat(&folder, name, AtFlags::empty())
}

/// The share of the file system that is free, in percent, with `more` bytes besides.
fn free(disk: &OwnedFd, more: u64) -> Result<f64, Failure> {
    let stat = rustix::fs::fstatvfs(disk).map_err(std::io::Error::from)?;
    let total = (stat.f_blocks * stat.f_frsize) as f64;
    Ok(if total == 0.0 {
        100.0
    } else {
        ((stat.f_bavail * stat.f_frsize) as f64 + more as f64) * 100.0 / total
    })
}
