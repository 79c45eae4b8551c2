//! Which processes belong to one that the engine started: its group, its descendants, and those that left both.
//!
//! A daemon that calls `setsid` leaves its group, and when its parent ends it is nobody's child. The engine is the reaper
//! of such orphans ([`super::orphans`]) and knows them by the variable [`MARK`], which each process inherits.

use std::collections::BTreeSet;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::orphans;
use super::proc::{self, Stat};

/// The variable that says which start of which engine a process comes from.
pub(super) const MARK: &str = "PARAMEDIC_INSTANCE";

/// The processes that come from one start.
#[derive(Clone, Debug)]
pub(super) struct Family {
    leader: u32,
    mark: String,
    /// Whether the number of the leader may name another process or group by now.
    stale: bool,
}

impl Family {
    /// Of `leader`, which leads its own group and was started with `mark`.
    pub(super) fn new(leader: u32, mark: String) -> Self {
        Self { leader, mark, stale: false }
    }

    pub(super) fn leader(&self) -> u32 {
        self.leader
    }

    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Those that live. Looks at every process of the machine: milliseconds, so not on a thread that must not block.
    pub(super) fn members(&mut self) -> Vec<Stat> {
        let all = Stat::all();
        let in_group = |stat: &&Stat| !self.stale && (stat.pid == self.leader || stat.group == self.leader);
        let mut found: BTreeSet<u32> = all.iter().filter(in_group).map(|stat| stat.pid).collect();
        if found.is_empty() {
            // Nobody of the group is left, not even to be reaped: from now on its number is free.
            self.stale = true;
        }
        let own = std::process::id();
        // An orphan is adopted by the engine, or by the first process where the engine may not do that.
        let orphans = all.iter().filter(|stat| stat.parent == own || stat.parent == 1);
        let orphans = orphans.filter(|stat| !found.contains(&stat.pid) && self.has_marked(stat.pid));
        let orphans: Vec<u32> = orphans.map(|stat| stat.pid).collect();
        found.extend(orphans);
        loop {
            let children = all.iter().filter(|stat| found.contains(&stat.parent)).map(|stat| stat.pid);
            let before = found.len();
            found.extend(children.collect::<Vec<_>>());
            if found.len() == before {
                break;
            }
        }
        all.into_iter().filter(|stat| found.contains(&stat.pid) && !stat.has_ended()).collect()
    }

    /// Whether some of them are the engine's children by now. Cheap; where the engine cannot adopt orphans it is true, so
    /// that all processes are looked at.
    pub(super) fn has_orphans(&self) -> bool {
        orphans::adopted().is_none_or(|all| all.into_iter().any(|pid| self.has_marked(pid)))
    }

    /// Sends `signal` to each member that `which` picks, and gives those that live; a process that got the number of one
    /// since is spared.
    pub(super) fn signal(&mut self, signal: Signal, which: impl Fn(&Stat) -> bool) -> Vec<Stat> {
        let members = self.members();
        members.iter().filter(|stat| which(stat)).for_each(|stat| send(stat, signal));
        members
    }

    fn has_marked(&self, pid: u32) -> bool {
        proc::variable(pid, MARK).is_some_and(|mark| mark == self.mark)
    }
}

/// Sends `signal` to all processes whose mark begins with `start`.
pub(super) fn signal_marked(start: &str, signal: Signal) {
    let own = std::process::id();
    let marked = |stat: &Stat| proc::variable(stat.pid, MARK).is_some_and(|mark| mark.starts_with(start));
    for stat in Stat::all().iter().filter(|stat| stat.pid != own && marked(stat)) {
        send(stat, signal);
    }
}

fn send(stat: &Stat, signal: Signal) {
    let pid = i32::try_from(stat.pid).ok().and_then(Pid::from_raw);
    let Some(handle) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    // The handle names one process for good; that it is the one that was seen, its start tells.
    if Stat::of(stat.pid).is_some_and(|now| now.started == stat.started) {
        // It may have ended this moment.
        pidfd_send_signal(handle, signal).ok();
    }
}
