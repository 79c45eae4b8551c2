//! What a plugin's process prints: log lines of the engine, bounded in length and number, never part of an answer.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout};

use super::host::MARK;

/// A longer line is cut; the rest of it is dropped.
const LONGEST: usize = 4 << 10;

/// Lines a second that are logged; more are counted.
const MOST: u32 = 50;

const SECOND: Duration = Duration::from_secs(1);

/// Lines kept to be shown beside a crash.
const KEPT: usize = 20;

/// The last lines that a process printed.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<VecDeque<String>>);

impl Tail {
    /// The last line, if there is one.
    pub(super) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    fn keep(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Logs what comes through `pipe` until its end.
pub(super) async fn log(plugin: String, mut pipe: impl AsyncRead + Unpin, tail: &Tail) {
    let mut lines = Lines::default();
    let mut quota = Quota { since: Instant::now(), logged: 0, dropped: 0 };
    let mut buffer = vec![0; 8 << 10];
    loop {
        let coming = pipe.read(&mut buffer);
        let n = if quota.dropped == 0 {
            coming.await
        } else {
            // What was left out is told also if nothing follows.
            match timeout(SECOND, coming).await {
                Ok(read) => read,
                Err(_) => {
                    quota.close(&plugin);
                    continue;
                }
            }
        };
        let n = n.unwrap_or(0);
        for line in lines.take(&buffer[..n], n == 0) {
            let (level, text) = read(&line);
            if quota.spend(&plugin) {
                write(&plugin, level, &text);
            }
            tail.keep(text);
        }
        if n == 0 {
            quota.close(&plugin);
            return;
        }
    }
}

/// Logs a line at a level of the ABI.
pub(super) fn write(plugin: &str, level: u32, text: &str) {
    match level {
        0 => tracing::debug!(plugin, "{text}"),
        1 => tracing::info!(plugin, "{text}"),
        2 => tracing::warn!(plugin, "{text}"),
        _ => tracing::error!(plugin, "{text}"),
    }
}

/// The text without what could mislead a terminal or a reader of the log.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// A marked line's level and text; what was just printed is of level information.
fn read(line: &[u8]) -> (u32, String) {
    let text = String::from_utf8_lossy(line);
    let marked = text.strip_prefix(MARK).and_then(|rest| {
        let level = rest.chars().next()?.to_digit(4)?;
        Some((level, clean(&rest[1..])))
    });
    marked.unwrap_or_else(|| (1, clean(&text)))
}

/// A stream's lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` ends; at the `end` also what is left.
    fn take(&mut self, bytes: &[u8], end: bool) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LONGEST.saturating_sub(self.begun.len());
            self.begun.extend_from_slice(&text[..text.len().min(room)]);
            if part.len() > text.len() {
                found.push(std::mem::take(&mut self.begun));
            }
        }
        if end && !self.begun.is_empty() {
            found.push(std::mem::take(&mut self.begun));
        }
        found.retain(|line| !line.is_empty());
        found
    }
}

struct Quota {
    since: Instant,
    logged: u32,
    dropped: u64,
}

impl Quota {
    fn spend(&mut self, plugin: &str) -> bool {
        if self.since.elapsed() >= SECOND {
            self.close(plugin);
            self.since = Instant::now();
            self.logged = 0;
        }
        let fits = self.logged < MOST;
        if fits {
            self.logged += 1;
        } else {
            self.dropped += 1;
        }
        fits
    }

    fn close(&mut self, plugin: &str) {
        if self.dropped > 0 {
            tracing::warn!(plugin, "{} more lines that it printed were left out", self.dropped);
            self.dropped = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_bounded_and_harmless() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"ab", false), Vec::<Vec<u8>>::new());
        assert_eq!(lines.take(b"c\n\nd", false), [b"abc".to_vec()]);
        assert_eq!(lines.take(b"", true), [b"d".to_vec()]);
        let long = lines.take(&vec![b'x'; LONGEST * 3], true);
        assert_eq!(long.iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST]);
        assert_eq!(read(b"\x012careful"), (2, "careful".into()));
        assert_eq!(read(b"\x019x"), (1, "\u{fffd}9x".into()));
        assert_eq!(read(b"\x1b[2Jgone"), (1, "\u{fffd}[2Jgone".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_instead_of_logged() {
        let tail = Tail::default();
        let flood = "noise\n".repeat(10_000) + "last words";
        log("p".into(), flood.as_bytes(), &tail).await;
        assert_eq!(tail.last().as_deref(), Some("last words"));
        assert_eq!(tail.0.lock().unwrap().len(), KEPT);
    }
}
