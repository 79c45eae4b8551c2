//! File descriptors: the process gets as many as the system allows, what it starts gets what the process had, and no use of
//! them takes the room that another needs.
//!
//! Start with [`raise`], once and before anything is started, and [`budget`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept free for the store, logs, followed files and whatever a moment needs, such as the start of a process.
const RESERVE: usize = 128;
/// The least of all descriptors that is left for connections, as one part in so many.
const CONNECTIONS: usize = 4;
/// What one process of a kernel takes: two pipes, its log, a handle on the process, and a probe's connection.
pub const PER_PROCESS: usize = 5;
/// As many as make sense; a limit of millions only makes some programs slow.
const ENOUGH: u64 = 1 << 20;

/// The soft limit before it was raised.
static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Descriptors held by processes.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Which use may have how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// All that the process may have.
    pub limit: usize,
    /// For connections of clients.
    pub connections: usize,
    /// For processes that serve for long.
    pub processes: usize,
}

/// Raises the soft limit to the hard one. What the process starts is to be given [`before`] again.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let before = *BEFORE.get_or_init(|| limit.current);
    let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if before.is_some_and(|before| before < most) {
        // Where it is refused, the limit stays what it is, and the budget is made of that.
        setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).ok();
    }
}

/// The soft limit that the process had before it was raised; none if it was not.
pub fn before() -> Option<u64> {
    BEFORE.get().copied().flatten()
}

/// Gives this process, which is about to become another program, the soft limit `soft` again.
pub fn restore(soft: u64) {
    let now = getrlimit(Resource::Nofile);
    let soft = soft.min(now.maximum.unwrap_or(u64::MAX));
    setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: now.maximum }).ok();
}

/// What the process has now, shared out.
pub fn budget() -> Budget {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
    share(usize::try_from(limit.min(ENOUGH)).unwrap_or(usize::MAX))
}

fn share(limit: usize) -> Budget {
    let free = limit.saturating_sub(RESERVE);
    let connections = (limit / CONNECTIONS).min(free);
    Budget { limit, connections, processes: free - connections }
}

/// What the configuration needs for `processes` processes and `files` followed files, and why that may be too much; none
/// if there is enough.
pub fn shortage(processes: usize, files: usize) -> Option<String> {
    let budget = budget();
    let need = processes * PER_PROCESS + files;
    (need > budget.processes).then(|| {
        let wanted = (need + RESERVE) * CONNECTIONS / (CONNECTIONS - 1);
        format!(
            "the configuration needs about {wanted} file descriptors, and the limit is {}: some kernels will not start; \
             raise the limit (`LimitNOFILE=` of the service, `ulimit -Hn`)",
            budget.limit
        )
    })
}

/// Room for one process that serves for long; given back when it is dropped.
#[derive(Debug)]
pub struct Room(());

/// Room for one process.
///
/// # Errors
/// In words, when as many run as the limit allows.
pub fn room() -> Result<Room, String> {
    take(&TAKEN, budget()).map(|()| Room(()))
}

fn take(taken: &AtomicUsize, budget: Budget) -> Result<(), String> {
    let more = |now: usize| (now + PER_PROCESS <= budget.processes).then_some(now + PER_PROCESS);
    taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).map(drop).map_err(|now| {
        format!(
            "{} processes take up what the limit of {} file descriptors leaves for them; raise it (`LimitNOFILE=` of the \
             service, `ulimit -Hn`)",
            now / PER_PROCESS,
            budget.limit
        )
    })
}

impl Drop for Room {
    fn drop(&mut self) {
        TAKEN.fetch_sub(PER_PROCESS, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_use_takes_the_room_of_another_whatever_the_limit() {
        for limit in [0, 20, 64, 128, 200, 256, 1_024, 4_096, 1 << 20] {
            let Budget { connections, processes, .. } = share(limit);
            assert!(connections + processes + RESERVE.min(limit) <= limit, "{limit}");
        }
        assert_eq!(share(1_024), Budget { limit: 1_024, connections: 256, processes: 640 });
    }

    #[test]
    fn processes_are_refused_where_the_limit_is_reached_and_not_before() {
        let (taken, budget) = (AtomicUsize::new(0), share(1_024));
        for _ in 0..128 {
            take(&taken, budget).unwrap();
        }
        let refused = take(&taken, budget).unwrap_err();
        assert!(refused.starts_with("128 processes") && refused.contains("limit of 1024"), "{refused}");
        taken.fetch_sub(PER_PROCESS, Ordering::SeqCst);
        take(&taken, budget).unwrap();
    }
}
