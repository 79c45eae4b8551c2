//! The table of processes: who has how many files open, and who listens on which port.
//!
//! Of processes of other users only root sees this; how many were closed to us is told.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::process::{first_number, listener};
use super::{Finding, brief, round};

/// What was seen of all processes.
pub(super) struct Table {
    rows: Vec<Row>,
    /// Which process has which socket.
    sockets: BTreeMap<u64, usize>,
    /// Processes whose files we may not see.
    closed: usize,
    /// Whether time was up before the end.
    cut: bool,
}

struct Row {
    pid: u32,
    name: String,
    files: u64,
    limit: Option<u64>,
}

/// A machine with very many open files is not read to its end.
const TIME: Duration = Duration::from_secs(4);

/// Share of its limit that a process has open, and of the machine's, in per cent.
const FILES: [f64; 2] = [80.0, 95.0];

/// How many processes are listed, and how many ports.
const TOP: usize = 5;
const PORTS: usize = 200;

pub(super) fn read() -> Result<Table, String> {
    let begun = Instant::now();
    let dir = fs::read_dir("/proc").map_err(|error| format!("/proc cannot be read: {error}"))?;
    let mut table = Table { rows: Vec::new(), sockets: BTreeMap::new(), closed: 0, cut: false };
    for pid in dir.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        if begun.elapsed() > TIME {
            table.cut = true;
            break;
        }
        // It may end while it is looked at.
        let Ok(name) = fs::read_to_string(format!("/proc/{pid}/comm")) else { continue };
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            table.closed += 1;
            continue;
        };
        let mut count = 0;
        for entry in files.flatten() {
            count += 1;
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode.and_then(|inode| inode.parse().ok()) {
                table.sockets.insert(inode, table.rows.len());
            }
        }
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        let limit =
            limits.lines().find_map(|line| line.strip_prefix("Max open files")).and_then(first_number);
        table.rows.push(Row { pid, name: brief(name.trim(), 100), files: count, limit });
    }
    Ok(table)
}

pub(super) async fn files(table: &Table) -> Result<Vec<Finding>, String> {
    let text = tokio::fs::read_to_string("/proc/sys/fs/file-nr").await.unwrap_or_default();
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (open, most) = (numbers.first().copied(), numbers.get(2).copied());
    let share = |part: u64, all: u64| if all == 0 { 0.0 } else { 100.0 * part as f64 / all as f64 };
    let row = |row: &Row| json!({ "pid": row.pid, "name": row.name, "open": row.files, "limit": row.limit });
    let mut found = Vec::new();
    for it in &table.rows {
        let Some(limit) = it.limit else { continue };
        let part = share(it.files, limit);
        if part >= FILES[0] {
            let summary =
                format!("{} ({}) has {} files open, its limit is {limit}", it.name, it.pid, it.files);
            let advice = "it leaks files, or needs a higher limit (`ulimit -n`, `LimitNOFILE=`)";
            found.push(Finding::info("files", summary, row(it)).judged(part, FILES, advice));
        }
    }
    let mut all: Vec<&Row> = table.rows.iter().collect();
    all.sort_by_key(|it| std::cmp::Reverse(it.files));
    let top: Vec<Value> = all.iter().take(TOP).map(|it| row(it)).collect();
    let part = open.zip(most).map_or(0.0, |(open, most)| share(open, most));
    let most_of = all
        .first()
        .map_or_else(String::new, |it| format!("; most has {} ({}): {}", it.name, it.pid, it.files));
    let summary = match open {
        Some(open) => format!("{open} files are open{most_of}"),
        None => format!("how many files are open in all cannot be seen{most_of}"),
    };
    let data = json!({
        "open": open, "limit": most, "used_percent": round(part), "top": top,
        "closed_to_us": table.closed, "complete": !table.cut,
    });
    found.push(Finding::info("files", summary, data).judged(
        part,
        FILES,
        "raise `fs.file-max`, or end what leaks files",
    ));
    Ok(found)
}

pub(super) async fn ports(table: &Table) -> Result<Vec<Finding>, String> {
    let mut rows = BTreeMap::new();
    let mut readable = false;
    for (path, version) in [("/proc/net/tcp", 4), ("/proc/net/tcp6", 6)] {
        let Ok(text) = tokio::fs::read_to_string(path).await else { continue };
        readable = true;
        for line in text.lines().skip(1) {
            let Some((port, socket)) = listener(line) else { continue };
            let who = table.sockets.get(&socket).map(|at| &table.rows[*at]);
            let row = json!({ "port": port, "ip": version, "pid": who.map(|it| it.pid), "name": who.map(|it| &it.name) });
            rows.insert((port, version, socket), row);
        }
    }
    if !readable {
        return Err("/proc/net/tcp cannot be read".into());
    }
    let count = rows.len();
    let data = json!({ "listening": rows.into_values().take(PORTS).collect::<Vec<Value>>(), "closed_to_us": table.closed });
    Ok(vec![Finding::info("ports", format!("{count} TCP sockets listen"), data)])
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[tokio::test]
    async fn this_process_is_seen_with_its_files_and_the_port_it_listens_on() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let table = read().unwrap();
        let own = table.rows.iter().find(|it| it.pid == std::process::id()).unwrap();
        assert!(own.files > 3 && own.limit.unwrap() > 10);
        let found = ports(&table).await.unwrap();
        let listening = found[0].data["listening"].as_array().unwrap();
        let row = listening.iter().find(|it| it["port"] == port).unwrap();
        assert_eq!(row["pid"], std::process::id());
    }

    #[tokio::test]
    async fn a_process_near_its_limit_stands_out() {
        let row = |files| Row { pid: 7, name: "leaks".into(), files, limit: Some(100) };
        let table =
            Table { rows: vec![row(10), row(85), row(99)], sockets: BTreeMap::new(), closed: 0, cut: false };
        let found = files(&table).await.unwrap();
        let told: Vec<Severity> = found.iter().map(|it| it.severity).collect();
        assert_eq!(told[..2], [Severity::Warning, Severity::Critical]);
        assert_eq!(found[1].summary, "leaks (7) has 99 files open, its limit is 100");
    }
}
