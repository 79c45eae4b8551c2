//! One message in the place of many.

use std::cmp::Reverse;

use crate::actions::Notice;
use crate::model::Alert;
use crate::model::alert::{Level, cut};

/// Titles in a digest, the worst first.
const TITLES: usize = 20;

/// The longest of them.
const TITLE: usize = 120;

/// What is sent to `channel` in the place of `alerts`.
pub(super) fn of(channel: &str, alerts: &[Alert]) -> Notice {
    let count = |level| alerts.iter().filter(|it| it.level == level).count();
    let levels = [(Level::Critical, "critical"), (Level::Warning, "warning"), (Level::Info, "info")];
    let counts: Vec<String> = levels
        .into_iter()
        .filter(|(level, _)| count(*level) > 0)
        .map(|(level, word)| format!("{} {word}", count(level)))
        .collect();
    let mut worst: Vec<&Alert> = alerts.iter().collect();
    worst.sort_by_key(|it| (Reverse(it.level), it.created_at, it.id));
    let mut message = String::new();
    for alert in worst.iter().take(TITLES) {
        let times = if alert.count > 1 { format!(" ({} times)", alert.count) } else { String::new() };
        message.push_str(&format!("- {}{times}\n", cut(&alert.title, TITLE)));
    }
    if alerts.len() > TITLES {
        message.push_str(&format!("and {} more.\n", alerts.len() - TITLES));
    }
    message.push_str("They came too fast to be sent one by one: `paramedic alerts` lists all of them.");
    Notice {
        alert: worst.first().map(|it| it.id.to_string()).unwrap_or_default(),
        key: format!("alerts/digest/{channel}"),
        level: worst.first().map(|it| it.level).unwrap_or_default(),
        title: format!("{} more alerts: {}", alerts.len(), counts.join(", ")),
        message,
        count: 1,
        ..Notice::default()
    }
}
