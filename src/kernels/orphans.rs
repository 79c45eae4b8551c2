//! The engine as the parent of orphans: a process whose parent has ended becomes the engine's child, so that it is found
//! and reaped, also if it left its group.
//!
//! A process may reap only what nobody else waits for, so all starts go through [`start`], which notes the number before
//! the child can be mistaken for an orphan. The list is one for the whole process, as the right to adopt is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitOptions, getpgrp, set_child_subreaper, waitpid};

use super::proc::Stat;

/// The engine's own children, and whether nobody waits for one any more.
static OWN: Mutex<BTreeMap<u32, bool>> = Mutex::new(BTreeMap::new());

/// Whether orphans come to this process.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// Makes orphans of this process's descendants its children, from now on. Where the system refuses, they are the first
/// process's children, as without it.
pub(super) fn adopt() {
    match set_child_subreaper(Some(rustix::process::getpid())) {
        Ok(()) => ADOPTS.store(true, Ordering::Relaxed),
        Err(error) => tracing::debug!(%error, "failed to become the parent of orphaned processes"),
    }
}

/// Starts a child by `spawn`, which gives its number besides.
pub(super) fn start<T>(spawn: impl FnOnce() -> io::Result<(T, Option<u32>)>) -> io::Result<T> {
    // Held meanwhile, so that the child is on the list before anybody looks for orphans.
    let mut own = own();
    let (child, pid) = spawn()?;
    own.extend(pid.map(|pid| (pid, false)));
    Ok(child)
}

/// Nobody waits for the child any more but the runtime, which reaps it when it can.
pub(super) fn release(pid: u32) {
    if let Some(released) = own().get_mut(&pid) {
        *released = true;
    }
}

/// The children of this process that it did not start; none if it is not the one that orphans come to.
pub(super) fn adopted() -> Option<Vec<u32>> {
    if !ADOPTS.load(Ordering::Relaxed) {
        return None;
    }
    let mut all = children(std::process::id());
    let own = own();
    all.retain(|pid| !own.contains_key(pid));
    Some(all)
}

/// Reaps orphans that have ended. One is reaped when it was seen by the look before, `seen`, so that whoever else started
/// a child without this room has time to wait for it.
pub(super) fn reap(seen: &mut BTreeSet<u32>) {
    let engine = std::process::id();
    let mut own = own();
    let before = std::mem::take(seen);
    for pid in children(engine) {
        if own.contains_key(&pid) {
            continue;
        }
        let ended = Stat::of(pid).is_some_and(|stat| {
            stat.parent == engine && stat.has_ended() && Some(stat.group) != number(getpgrp())
        });
        if !ended {
            continue;
        }
        match i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It has ended, so this does not wait; somebody else may have reaped it.
            Some(child) if before.contains(&pid) => drop(waitpid(Some(child), WaitOptions::NOHANG)),
            _ => drop(seen.insert(pid)),
        }
    }
    own.retain(|pid, released| !*released || Stat::of(*pid).is_some_and(|stat| stat.parent == engine));
}

fn children(engine: u32) -> Vec<u32> {
    let lists: Vec<String> = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .collect();
    if lists.is_empty() {
        // Not every system has these lists.
        return Stat::all().iter().filter(|stat| stat.parent == engine).map(|stat| stat.pid).collect();
    }
    lists.iter().flat_map(|list| list.split_ascii_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

fn number(pid: Pid) -> Option<u32> {
    u32::try_from(pid.as_raw_nonzero().get()).ok()
}

fn own() -> MutexGuard<'static, BTreeMap<u32, bool>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}
