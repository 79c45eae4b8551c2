//! What `/proc` says about processes: parents, groups, commands, open sockets. It judges nothing.
//!
//! Every answer may be out of date when it arrives, and a process that ends in between is simply left out. On a system
//! without `/proc` there are no processes to see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// One line of `/proc/<pid>/stat`, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    /// Its program's name, cut to 15 bytes by the system.
    pub(super) name: String,
    /// `R`, `S`, `D`, `Z`, …
    pub(super) state: char,
    pub(super) parent: u32,
    pub(super) group: u32,
    /// When it started, in clock ticks since boot: with its number, this tells it from a later process of the same number.
    pub(super) started: u64,
}

/// How much of a command line is shown.
const SHOWN: usize = 120;

impl Stat {
    /// What is known of `pid`; none if there is no such process.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Every process that can be seen.
    pub(super) fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(Self::of).collect()
    }

    /// Whether it has ended and only waits to be reaped.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may hold anything, closing parentheses too.
        let (pid, rest) = text.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        // Field 22 of the line; three are gone, and the pid and the name before them.
        let started = fields.nth(16)?.parse().ok()?;
        Some(Self { pid: pid.parse().ok()?, name: name.into(), state, parent, group, started })
    }
}

/// A variable of the environment that `pid` was started with; none if it may not be read.
pub(super) fn variable(pid: u32, name: &str) -> Option<String> {
    let all = fs::read(format!("/proc/{pid}/environ")).ok()?;
    all.split(|byte| *byte == 0).find_map(|variable| {
        let value = std::str::from_utf8(variable).ok()?.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.to_owned())
    })
}

/// A process as an operator knows it: "process 123 (`nginx -g daemon off;`)".
pub(super) fn describe(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let line = words.join(" ");
    let line: String =
        line.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    match (line.is_empty(), Stat::of(pid)) {
        (false, _) => format!("process {pid} (`{line}`)"),
        (true, Some(stat)) => format!("process {pid} (`{}`)", stat.name),
        (true, None) => format!("process {pid}"),
    }
}

/// Why a process that was killed may still be there, in words that follow "it"; none where nothing shows.
pub(super) fn hindrance(pid: u32) -> Option<String> {
    let stat = Stat::of(pid)?;
    match stat.state {
        'D' => {
            let place = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
            let place = if place.len() > 1 { format!(", in `{place}`") } else { String::new() };
            Some(format!(
                "is in uninterruptible sleep (state D{place}), as when a disk or a network file system does not \
                 answer; bring that back or restart the machine"
            ))
        }
        'T' | 't' => Some("is held by a debugger or a frozen control group; release it".into()),
        _ => None,
    }
}

/// The user that `pid` runs as.
pub(super) fn user(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // Real, effective, saved, file system.
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The sockets among `inodes` that `pid` holds, each with the path of a descriptor; none if its descriptors may not be
/// read.
pub(super) fn sockets(pid: u32, inodes: &BTreeSet<u64>) -> Option<BTreeMap<u64, PathBuf>> {
    let mut held = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        if let Some(inode) = socket(&entry.path()).filter(|it| inodes.contains(it)) {
            held.insert(inode, entry.path());
        }
    }
    Some(held)
}

/// The socket that a descriptor leads to, if it is one.
pub(super) fn socket(descriptor: &Path) -> Option<u64> {
    let target = fs::read_link(descriptor).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let text = "42 (a) b (c)) D 7 9 9 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.pid, stat.name.as_str(), stat.state), (42, "a) b (c)", 'D'));
        assert_eq!((stat.parent, stat.group, stat.started), (7, 9, 98765));
        assert_eq!(Stat::parse("42 (cut"), None);
    }

    #[test]
    fn this_process_sees_itself() {
        let own = std::process::id();
        assert!(Stat::all().iter().any(|stat| stat.pid == own && !stat.has_ended()));
        assert!(variable(own, "PATH").is_some_and(|value| !value.is_empty()));
        assert_eq!(variable(own, "PAT"), None);
        assert!(describe(own).starts_with(&format!("process {own} (`")));
        assert_eq!(user(own), Some(rustix::process::geteuid().as_raw()));
    }
}
