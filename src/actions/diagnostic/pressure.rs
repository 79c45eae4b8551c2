//! Pressure: for how much of the time work waits for a processor, memory or a disk (PSI, Linux 4.20 and later).

use serde_json::{Map, Value, json};
use tokio::fs;

use super::{Finding, Found};

/// What is looked at of each resource: its line, and from which share of the last minute it is bad.
const RESOURCES: [(&str, &str, [f64; 2], &str); 3] = [
    ("cpu", "some", [60.0, 90.0], "more work than processors: see `cpu`"),
    (
        "memory",
        "full",
        [5.0, 20.0],
        "work stands still for want of memory: see `memory`, and end or bound who takes most",
    ),
    (
        "io",
        "full",
        [20.0, 50.0],
        "work stands still for disks: see who writes most, and whether a disk is failing",
    ),
];

pub(super) async fn look() -> Found {
    let (mut found, mut seen, mut why) = (Vec::new(), Map::new(), String::new());
    for (resource, line, limits, advice) in RESOURCES {
        let path = format!("/proc/pressure/{resource}");
        let text = match fs::read_to_string(&path).await {
            Ok(text) => text,
            Err(error) => {
                why = format!(
                    "{path} cannot be read: {error}; the kernel may have been built or booted without PSI"
                );
                continue;
            }
        };
        let Some(share) = share(&text, line) else { continue };
        let summary = format!("work waits for {resource} {share:.0} % of the time");
        let finding = Finding::info("pressure", summary, json!({ "resource": resource, "avg60": share }));
        let finding = finding.judged(share, limits, advice);
        if finding.advice.is_empty() {
            seen.insert(resource.into(), share.into());
        } else {
            found.push(finding);
        }
    }
    if found.is_empty() && seen.is_empty() {
        return Err(why);
    }
    if found.is_empty() {
        found.push(Finding::info("pressure", "no work waits noticeably".into(), Value::Object(seen)));
    }
    Ok(found)
}

/// The share of the last minute in one of the lines, in per cent.
fn share(text: &str, line: &str) -> Option<f64> {
    let words = text.lines().find_map(|it| it.strip_prefix(line))?;
    words.split_whitespace().find_map(|word| word.strip_prefix("avg60="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_of_the_right_line_is_read() {
        let text = "some avg10=1.00 avg60=2.50 avg300=3.00 total=1\nfull avg10=0.10 avg60=0.25 avg300=0.30 total=1\n";
        assert_eq!(
            (share(text, "some"), share(text, "full"), share(text, "none")),
            (Some(2.5), Some(0.25), None)
        );
    }
}
