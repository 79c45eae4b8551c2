//! `paramedic __guardian`: ends every process group of an engine that is gone.
//!
//! It reads `+group` and `-group` lines from its standard input. At the end of that input, which comes however the
//! engine dies, it kills the groups that are left, and every process whose mark begins as it was told. Parent-death
//! signals reach only direct children; this reaches theirs, also those that left the group.

use std::collections::HashSet;
use std::io::{self, BufRead, PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{family, orphans};

/// The hidden sub-command that leads here.
pub const COMMAND: &str = "__guardian";

/// Carries out `__guardian MARK` and comes back when its work is done.
pub fn run(mark: Option<&str>) {
    for group in read(io::stdin().lock()) {
        // Gone already is as good.
        kill_process_group(group, Signal::KILL).ok();
    }
    // An empty one would fit every process.
    if let Some(mark) = mark.filter(|mark| !mark.is_empty()) {
        family::signal_marked(mark, Signal::KILL);
    }
}

/// The groups that are left when the input ends.
fn read(mut input: impl BufRead) -> HashSet<Pid> {
    let mut groups = HashSet::new();
    let mut line = String::new();
    loop {
        line.clear();
        match input.read_line(&mut line) {
            Ok(n) if n > 0 => {}
            _ => return groups,
        }
        // A line cut short would name another group.
        let Some(text) = line.strip_suffix('\n') else { return groups };
        let number = text.get(1..).and_then(|digits| digits.parse().ok()).filter(|n| *n > 1);
        let Some(group) = number.and_then(Pid::from_raw) else { continue };
        match text.as_bytes()[0] {
            b'+' => drop(groups.insert(group)),
            b'-' => drop(groups.remove(&group)),
            _ => {}
        }
    }
}

/// Bytes that a pipe holds though nobody reads: one page is what the system promises.
const FITS: usize = 4_096;

/// The engine's side: starts the guardian, tells it of every group, starts it anew if it dies.
pub(super) struct Guardian {
    program: PathBuf,
    /// With what the mark of every process begins that it is to end.
    mark: String,
    alive: Option<(Child, PipeWriter)>,
    groups: HashSet<Pid>,
}

impl Guardian {
    pub(super) fn new(program: &Path, mark: &str) -> Self {
        Self { program: program.into(), mark: mark.into(), alive: None, groups: HashSet::new() }
    }

    /// Comes back when the guardian is sure to hear of `group`, also if the engine dies now.
    pub(super) fn add(&mut self, group: Pid) -> io::Result<()> {
        self.groups.insert(group);
        self.tell('+', group)
    }

    pub(super) fn remove(&mut self, group: Pid) {
        self.groups.remove(&group);
        // A guardian that is dead is told afresh, without this group.
        self.tell('-', group).ok();
    }

    /// Starts the guardian anew if it has died. To be called now and then.
    pub(super) fn tend(&mut self) {
        let dead = self.alive.as_mut().is_some_and(|(child, _)| !matches!(child.try_wait(), Ok(None)));
        if dead {
            tracing::warn!("the guardian of child processes has died and is started anew");
            self.alive = None;
            if let Err(error) = self.start() {
                tracing::error!(%error, "the guardian of child processes cannot be started");
            }
        }
    }

    fn tell(&mut self, sign: char, group: Pid) -> io::Result<()> {
        let Some((_, pipe)) = &mut self.alive else { return self.start() };
        match pipe.write_all(line(sign, group).as_bytes()) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.discard();
                self.start()
            }
        }
    }

    /// Starts one and tells it everything: most of it waits in the pipe before the process is there, as the engine may
    /// die in the moment after.
    fn start(&mut self) -> io::Result<()> {
        let (input, mut pipe) = io::pipe()?;
        let all: String = self.groups.iter().map(|group| line('+', *group)).collect();
        let whole = all.get(..FITS).and_then(|it| it.rfind('\n')).map_or(all.len(), |end| end + 1);
        let (before, after) = all.split_at(whole);
        pipe.write_all(before.as_bytes())?;
        let mut command = Command::new(&self.program);
        command.arg0("paramedic").arg(COMMAND).arg(&self.mark).env_clear().current_dir("/").process_group(0);
        command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
        let child = orphans::start(|| {
            let child = command.spawn()?;
            let pid = child.id();
            Ok((child, Some(pid)))
        })?;
        // The command holds the reading end.
        drop(command);
        let told = pipe.write_all(after.as_bytes());
        self.alive = Some((child, pipe));
        told.inspect_err(|_| self.discard())
    }

    /// Ends a guardian that does not listen. Its input stays open meanwhile: the end of it would cost every kernel's life.
    fn discard(&mut self) {
        if let Some((mut child, pipe)) = self.alive.take() {
            child.kill().ok();
            child.wait().ok();
            orphans::release(child.id());
            drop(pipe);
        }
    }
}

/// Written in one piece, so that it is read whole or not at all.
fn line(sign: char, group: Pid) -> String {
    format!("{sign}{}\n", group.as_raw_nonzero())
}

impl Drop for Guardian {
    fn drop(&mut self) {
        if let Some((mut child, pipe)) = self.alive.take() {
            // The end of its input makes it end, after it has done its work.
            drop(pipe);
            child.wait().ok();
            orphans::release(child.id());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_still_alive_are_ended_and_never_a_wrong_one() {
        for (input, left) in [
            ("+10\n+11\n-10\n", vec![11]),
            ("+10\n+1\n+0\n+-5\n+x\n\n", vec![10]),
            ("+10\n+1123", vec![10]),
            ("-10\n+10\n+10\n", vec![10]),
        ] {
            let left: HashSet<Pid> = left.into_iter().filter_map(Pid::from_raw).collect();
            assert_eq!(read(input.as_bytes()), left, "{input:?}");
        }
    }
}
