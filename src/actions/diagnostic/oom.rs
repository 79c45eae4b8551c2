//! Processes that the kernel has ended for want of memory: its count since boot, and its own words where they can be
//! read.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use serde_json::json;
use tokio::fs;

use super::{Finding, Found, Severity, blocking, brief};

/// What the kernel says when it ends one.
const WORDS: [&str; 2] = ["Out of memory: Killed process", "Memory cgroup out of memory: Killed process"];

/// One that is further back is only good to know.
const RECENT_SECONDS: f64 = 3_600.0;

/// Messages that are looked at, and how many are shown.
const MESSAGES: usize = 20_000;
const SHOWN: usize = 5;

pub(super) async fn look() -> Found {
    let counted = fs::read_to_string("/proc/vmstat").await.ok().and_then(|text| number(&text, "oom_kill "));
    let own = fs::read_to_string("/sys/fs/cgroup/memory.events").await.ok();
    let own = own.and_then(|text| number(&text, "oom_kill "));
    let uptime = fs::read_to_string("/proc/uptime").await.unwrap_or_default();
    let uptime: f64 = uptime.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    let said = blocking(messages).await;
    if let (None, None, Err(why)) = (counted, own, &said) {
        return Err(why.clone());
    }
    let readable = said.is_ok();
    let said = said.unwrap_or_default();
    Ok(vec![judge(counted.max(own), &said, readable, uptime)])
}

/// `said`: seconds since boot, and the message.
fn judge(counted: Option<u64>, said: &[(f64, String)], readable: bool, uptime: f64) -> Finding {
    let last = said.last();
    let shown: Vec<_> = said
        .iter()
        .rev()
        .take(SHOWN)
        .map(|(at, text)| json!({ "seconds_ago": (uptime - at).max(0.0).round(), "message": text }))
        .collect();
    let count = counted.unwrap_or(0).max(said.len() as u64);
    let data = json!({ "since_boot": count, "kernel_log_readable": readable, "last": shown });
    let finding = |summary| Finding::info("oom", summary, data);
    match last {
        Some((at, text)) if uptime - at <= RECENT_SECONDS => {
            finding(format!("the kernel ended a process for want of memory: {text}"))
                .bad(Severity::Warning, "give it more memory or bound it; see `memory` for who takes most")
        }
        _ if count > 0 => finding(format!(
            "{count} processes were ended for want of memory since boot, none within the hour that can be seen"
        )),
        _ => finding("no process was ended for want of memory".into()),
    }
}

fn messages() -> Result<Vec<(f64, String)>, String> {
    let mut log = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open("/dev/kmsg")
        .map_err(|error| format!("the kernel's log cannot be read: {error}"))?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 8 * 1024];
    for _ in 0..MESSAGES {
        match log.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => found.extend(message(&String::from_utf8_lossy(&buffer[..n]))),
            // One was overwritten while it was read; the next is whole.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(_) => break,
        }
    }
    Ok(found)
}

/// Time and text of a record such as `6,339,5140900,-;Out of memory: …`, if it is one of those.
fn message(record: &str) -> Option<(f64, String)> {
    let (head, text) = record.split_once(';')?;
    let micros: f64 = head.split(',').nth(2)?.parse().ok()?;
    let text = text.lines().next()?;
    WORDS.iter().any(|words| text.contains(words)).then(|| (micros / 1e6, brief(text, 300)))
}

fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_within_the_hour_stands_out_an_older_one_does_not() {
        let (at, text) =
            message("4,1,100000000,-;Out of memory: Killed process 7 (k1) total-vm:1kB\n SUBSYSTEM=x\n")
                .unwrap();
        assert_eq!((at, text.as_str()), (100.0, "Out of memory: Killed process 7 (k1) total-vm:1kB"));
        assert_eq!(message("6,2,1,-;eth0: link up"), None);
        let said = [(at, text)];
        assert_eq!(judge(Some(1), &said, true, 200.0).severity, Severity::Warning);
        let old = judge(Some(3), &said, true, 100_000.0);
        assert!(old.severity == Severity::Info && old.summary.starts_with("3 processes"), "{old:?}");
        assert_eq!(judge(Some(0), &[], false, 5.0).summary, "no process was ended for want of memory");
    }
}
