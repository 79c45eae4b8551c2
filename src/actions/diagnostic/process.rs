//! One process, from /proc: memory, state, threads, open files, ports it listens on.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::fs;

use super::{Finding, Severity};

/// Share of its open files limit, in per cent, from which a process is about to run out.
const FILES: f64 = 80.0;

/// What is known of process `pid`; none if it is gone.
pub(super) async fn look(pid: u32, findings: &mut Vec<Finding>) -> Option<Value> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).await.ok()?;
    let state = field(&status, "State:").unwrap_or_default().to_owned();
    if let Some(message) = stuck(pid, &state) {
        let finding = Finding::info("kernel", message, json!({ "pid": pid, "state": state }));
        findings
            .push(finding.bad(Severity::Critical, "it does not work on its own again: restart the kernel"));
    }
    let (files, sockets) = open_files(pid).await;
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).await.unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).and_then(first_number);
    if let (Some(files), Some(limit)) = (files, limit)
        && files as f64 > limit as f64 * FILES / 100.0
    {
        let message = format!("process {pid} has {files} files open, its limit is {limit}");
        let finding = Finding::info("kernel", message, json!({ "pid": pid, "open": files, "limit": limit }));
        findings.push(finding.bad(Severity::Warning, "it leaks files, or needs a higher limit"));
    }
    Some(json!({
        "pid": pid,
        "name": field(&status, "Name:"),
        "state": state,
        "threads": field(&status, "Threads:").and_then(first_number),
        "memory_bytes": field(&status, "VmRSS:").and_then(first_number).map(|kib| kib * 1024),
        "open_files": files,
        "open_files_limit": limit,
        "ports": ports(&sockets).await,
    }))
}

fn stuck(pid: u32, state: &str) -> Option<String> {
    match state.chars().next()? {
        'T' | 't' => Some(format!("process {pid} is stopped by a signal or a debugger")),
        'D' => Some(format!("process {pid} waits for a device")),
        'Z' => Some(format!("process {pid} has ended")),
        _ => None,
    }
}

/// How many files are open, and which sockets are among them.
async fn open_files(pid: u32) -> (Option<usize>, BTreeSet<u64>) {
    let mut sockets = BTreeSet::new();
    let Ok(mut dir) = fs::read_dir(format!("/proc/{pid}/fd")).await else { return (None, sockets) };
    let mut count = 0;
    while let Ok(Some(entry)) = dir.next_entry().await {
        count += 1;
        let target = fs::read_link(entry.path()).await.unwrap_or_default();
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        sockets.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    (Some(count), sockets)
}

/// TCP ports that one of these sockets listens on.
async fn ports(sockets: &BTreeSet<u64>) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).await.unwrap_or_default();
        ports.extend(
            text.lines().skip(1).filter_map(listener).filter(|(_, s)| sockets.contains(s)).map(|(p, _)| p),
        );
    }
    ports
}

/// Port and socket of a line of /proc/net/tcp, if it is one that listens.
pub(super) fn listener(line: &str) -> Option<(u16, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (address, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
    // 0A is LISTEN.
    if *state != "0A" {
        return None;
    }
    let port = u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok()?;
    Some((port, inode.parse().ok()?))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

pub(super) fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_described_with_the_port_it_listens_on() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut findings = Vec::new();
        let found = look(std::process::id(), &mut findings).await.unwrap();
        assert!(found["memory_bytes"].as_u64().unwrap() > 100_000, "{found}");
        assert!(found["open_files"].as_u64().unwrap() > 3, "{found}");
        assert!(found["ports"].as_array().unwrap().contains(&port.into()), "{found}");
        assert_eq!(look(u32::MAX, &mut findings).await, None);
    }

    #[test]
    fn a_stopped_process_stands_out() {
        assert!(stuck(7, "T (stopped)").unwrap().contains("stopped"));
        assert_eq!(stuck(7, "S (sleeping)"), None);
    }
}
