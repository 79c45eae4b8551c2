//! Units of systemd that have failed, as `systemctl` lists them. A machine without systemd says so.

use serde_json::{Value, json};

use super::{Finding, Found, Severity, brief};
use crate::kernels::Spawner;
use crate::kernels::providers::process::{EACH, Launch};

/// More are not listed.
const MAX: usize = 50;

pub(super) async fn look(spawner: &Spawner) -> Found {
    let argv = ["systemctl", "list-units", "--state=failed", "--all", "--plain", "--no-legend", "--no-pager"];
    let env = [("PATH", std::env::var("PATH").unwrap_or_default()), ("LC_ALL", "C".into())];
    let launch = Launch {
        argv: argv.map(String::from).to_vec(),
        env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        capture: true,
        ..Launch::default()
    };
    let output = spawner.output(launch, EACH).await.map_err(|error| format!("systemctl: {error}"))?;
    if !output.status.success() {
        let why = output.stderr.text.trim().lines().next().unwrap_or("systemctl is not there").to_owned();
        return Err(brief(&why, 200));
    }
    Ok(judge(&output.stdout.text))
}

fn judge(listed: &str) -> Vec<Finding> {
    let units: Vec<(&str, String)> = listed.lines().filter_map(unit).collect();
    let row = |(name, words): &(&str, String)| json!({ "unit": name, "description": words });
    let all: Vec<Value> = units.iter().take(MAX).map(row).collect();
    let data = json!({ "failed": all });
    let Some((first, _)) = units.first() else {
        return vec![Finding::info("units", "no unit has failed".into(), data)];
    };
    let more = if units.len() == 1 { String::new() } else { format!(" and {} more", units.len() - 1) };
    let advice = format!("see `journalctl -u {first}`; `systemctl reset-failed` once it is repaired");
    vec![
        Finding::info("units", format!("unit {first}{more} has failed"), data)
            .bad(Severity::Warning, &advice),
    ]
}

/// Name and description in a line such as `cron.service loaded failed failed Regular background …`.
fn unit(line: &str) -> Option<(&str, String)> {
    let mut words = line.trim_start_matches(['●', '*', ' ']).split_whitespace();
    let name = words.next()?;
    Some((name, brief(&words.skip(3).collect::<Vec<_>>().join(" "), 200)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_units_are_read_with_or_without_a_dot_before_them() {
        let listed = "● cron.service loaded failed failed Regular background jobs\nmnt.mount not-found failed failed /mnt\n";
        let found = judge(listed);
        assert_eq!(found[0].summary, "unit cron.service and 1 more has failed");
        assert_eq!(
            found[0].data["failed"][0],
            json!({ "unit": "cron.service", "description": "Regular background jobs" })
        );
        assert_eq!(judge("")[0].severity, Severity::Info);
    }
}
