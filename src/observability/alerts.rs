//! The list of alerts: what operators were told and what they said to it. Pure; `alerts::List` stores each alert that it
//! returns.
//!
//! One alert a key: raised again, it counts. All that are open are kept, up to a bound at which further ones are counted
//! on one alert per level; of those that are over, the latest. What is too long is cut with a mark, never refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use crate::model::alert::{AlertStatus, Delivery, DeliveryStatus, Level, cut};
use crate::model::{Alert, AlertId, IntentId, Time};

/// Alerts kept in memory after they are over; the store has all of them.
pub const KEPT: usize = 2_000;

/// Alerts that are open at once: about 40 MB. Further ones are counted on one alert per level.
pub const OPEN: usize = 20_000;

/// The longest title, message and key, in characters.
const TITLE: usize = 500;
const MESSAGE: usize = 20_000;
const KEY: usize = 500;

/// What is to be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notice {
    /// Same key, same alert.
    pub key: String,
    /// How bad.
    pub level: Level,
    /// One line.
    pub title: String,
    /// What happened and what to do.
    pub message: String,
    /// What it is about.
    pub target: Option<String>,
    /// The intent behind it.
    pub intent: Option<IntentId>,
    /// The rule behind it.
    pub rule: String,
    /// The channels that are to be told of it, each with whether it keeps incidents.
    pub channels: Vec<(String, bool)>,
}

/// Why an alert could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such alert, or no longer at hand.
    #[error("there is no alert {0}: `paramedic alerts` lists those there are")]
    Unknown(AlertId),
    /// It is over.
    #[error("alert {0} is resolved already")]
    Resolved(AlertId),
}

/// The list, in the order in which they were raised first.
#[derive(Clone, Debug, Default)]
pub struct Book {
    alerts: BTreeMap<AlertId, Alert>,
    open: HashMap<String, AlertId>,
    over: BTreeSet<AlertId>,
}

impl Book {
    /// The list as it was stored. An open alert is never left out.
    pub fn restore(alerts: impl IntoIterator<Item = Alert>) -> Self {
        let mut it = Self::default();
        for alert in alerts {
            it.put(alert);
        }
        it.trim();
        it
    }

    /// Tells of something. An open alert of the same key is counted up and takes the new words; somebody who has seen
    /// to it is only called again if it has become worse. Otherwise there is a new alert, named `id`.
    pub fn raise(&mut self, notice: Notice, id: AlertId, now: Time) -> Alert {
        let mut notice = bounded(notice);
        if !self.open.contains_key(&notice.key) && self.open.len() >= OPEN {
            notice = overflow(notice);
        }
        let open = self.open.get(&notice.key).copied();
        let alert = match open.and_then(|id| self.alerts.get_mut(&id)) {
            Some(alert) => {
                if notice.level > alert.level {
                    alert.status = AlertStatus::Active;
                }
                alert.level = alert.level.max(notice.level);
                alert.title = notice.title;
                alert.message = notice.message;
                alert.add_target(notice.target);
                alert.intent = notice.intent.or(alert.intent);
                if !notice.rule.is_empty() {
                    alert.rule = notice.rule;
                }
                alert.count += 1;
                alert.updated_at = now;
                alert
            }
            None => {
                let alert = Alert {
                    id,
                    key: notice.key.clone(),
                    level: notice.level,
                    title: notice.title,
                    message: notice.message,
                    target: notice.target,
                    targets: Vec::new(),
                    intent: notice.intent,
                    status: AlertStatus::Active,
                    count: 1,
                    telling: false,
                    rule: notice.rule,
                    channels: BTreeMap::new(),
                    created_at: now,
                    updated_at: now,
                };
                self.open.insert(notice.key, id);
                self.alerts.entry(id).or_insert(alert)
            }
        };
        for (name, incident) in notice.channels {
            let delivery = alert.channels.entry(name).or_insert_with(|| Delivery::queued(incident, now));
            if !delivery.is_waiting() {
                *delivery = Delivery { sent_at: delivery.sent_at, ..Delivery::queued(incident, now) };
            }
        }
        settle(alert);
        alert.clone()
    }

    /// Somebody is on it.
    ///
    /// # Errors
    /// When it is unknown or over.
    pub fn ack(&mut self, id: AlertId, now: Time) -> Result<Alert, Error> {
        self.change(id, AlertStatus::Acked, now)
    }

    /// It is over.
    ///
    /// # Errors
    /// When it is unknown or over.
    pub fn resolve(&mut self, id: AlertId, now: Time) -> Result<Alert, Error> {
        let alert = self.change(id, AlertStatus::Resolved, now)?;
        self.trim();
        Ok(alert)
    }

    /// What was behind this key is over; the alert, if there was one open.
    pub fn resolve_key(&mut self, key: &str, now: Time) -> Option<Alert> {
        let id = *self.open.get(&bounded_key(key))?;
        self.resolve(id, now).ok()
    }

    /// Takes a change back that could not be kept: `after` is made `before` again, unless it has changed since.
    pub fn take_back(&mut self, before: Alert, after: &Alert) {
        if self.alerts.get(&after.id) == Some(after) {
            self.put(before);
        }
    }

    /// Changes what became of alert `id` at `channel`; gives what is to be kept.
    pub fn deliver(
        &mut self,
        id: AlertId,
        channel: &str,
        change: impl FnOnce(&mut Delivery, u64, AlertStatus),
    ) -> Option<Alert> {
        let alert = self.alerts.get_mut(&id)?;
        let (count, status) = (alert.count, alert.status);
        change(alert.channels.get_mut(channel)?, count, status);
        settle(alert);
        Some(alert.clone())
    }

    /// Alert `id` waits for these channels, as one of an earlier version that does not say which.
    pub fn queue(&mut self, id: AlertId, channels: Vec<(String, bool)>, now: Time) {
        if let Some(alert) = self.alerts.get_mut(&id) {
            let queued = channels.into_iter().map(|(name, incident)| (name, Delivery::queued(incident, now)));
            alert.channels = queued.collect();
            settle(alert);
        }
    }

    /// Those that channels still have to be told of.
    pub fn untold(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values().filter(|a| a.telling)
    }

    /// Whether `key` was raised at `time` or later.
    pub fn covers(&self, key: &str, time: Time) -> bool {
        self.alerts.values().rev().any(|a| a.key == key && a.updated_at >= time)
    }

    /// One alert.
    pub fn get(&self, id: AlertId) -> Option<&Alert> {
        self.alerts.get(&id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// At most `limit` of those raised before `cursor`, the latest first; of one status if it is given.
    pub fn page(&self, status: Option<AlertStatus>, cursor: Option<AlertId>, limit: usize) -> Vec<Alert> {
        let all = self.alerts.iter().rev();
        let fits = |(id, alert): &(&AlertId, &Alert)| {
            cursor.is_none_or(|cursor| **id < cursor) && status.is_none_or(|status| alert.status == status)
        };
        all.filter(fits).take(limit).map(|(_, alert)| alert.clone()).collect()
    }

    /// Those that are not over, the worst and latest first.
    pub fn active(&self) -> Vec<&Alert> {
        let mut active: Vec<&Alert> = self.open.values().filter_map(|id| self.alerts.get(id)).collect();
        active.sort_by_key(|a| std::cmp::Reverse((a.level, a.updated_at, a.id)));
        active
    }

    fn change(&mut self, id: AlertId, to: AlertStatus, now: Time) -> Result<Alert, Error> {
        let alert = self.alerts.get_mut(&id).ok_or(Error::Unknown(id))?;
        if alert.status == AlertStatus::Resolved {
            return Err(Error::Resolved(id));
        }
        alert.status = to;
        alert.updated_at = now;
        for delivery in alert.channels.values_mut() {
            let sent = delivery.sent_at.is_some();
            // What nobody was told of yet is told still: a repair may be over before its own alert has been sent.
            if to == AlertStatus::Resolved && delivery.is_waiting() && sent {
                delivery.status = DeliveryStatus::Sent;
            }
            delivery.change = (sent && delivery.incident && !delivery.digest).then_some(to);
        }
        settle(alert);
        let alert = alert.clone();
        self.put(alert.clone());
        Ok(alert)
    }

    /// Puts `alert` in its place, by its status.
    fn put(&mut self, alert: Alert) {
        if alert.status == AlertStatus::Resolved {
            if self.open.get(&alert.key) == Some(&alert.id) {
                self.open.remove(&alert.key);
            }
            self.over.insert(alert.id);
        } else {
            self.over.remove(&alert.id);
            self.open.insert(alert.key.clone(), alert.id);
        }
        self.alerts.insert(alert.id, alert);
    }

    /// Forgets what is over and told, the oldest first.
    fn trim(&mut self) {
        while self.over.len() > KEPT {
            let told = |id: &&AlertId| self.alerts.get(id).is_none_or(|alert| !alert.telling);
            let hard = self.over.len() > 2 * KEPT;
            let Some(id) = self.over.iter().find(|id| hard || told(id)).copied() else { return };
            self.over.remove(&id);
            self.alerts.remove(&id);
        }
    }
}

fn settle(alert: &mut Alert) {
    alert.telling = alert.channels.values().any(Delivery::is_pending);
}

/// The notice with its texts cut to what is kept and sent.
fn bounded(notice: Notice) -> Notice {
    let Notice { key, title, message, target, .. } = &notice;
    let (key, title, message) = (bounded_key(key), cut(title, TITLE), cut(message, MESSAGE));
    let target = target.as_deref().map(|target| cut(target, TITLE));
    Notice { key, title, message, target, ..notice }
}

/// The key; of one that is too long the beginning, and a hash that keeps it apart from others.
fn bounded_key(key: &str) -> String {
    if key.chars().nth(KEY).is_none() {
        return key.to_owned();
    }
    let hash: String = Sha256::digest(key).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let start: String = key.chars().take(KEY - 33).collect();
    format!("{start}#{hash}")
}

/// What is said in the place of an alert for which there is no room.
fn overflow(notice: Notice) -> Notice {
    Notice {
        key: format!("alerts/full/{:?}", notice.level).to_lowercase(),
        title: format!("{OPEN} alerts are open: further ones are counted here"),
        message: cut(
            &format!(
                "The latest: {} ({}). Resolve alerts that are over: `paramedic alerts` lists them.",
                notice.title, notice.message
            ),
            MESSAGE,
        ),
        ..notice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;

    fn at(second: i64) -> Time {
        micros(second * 1_000_000)
    }

    fn id(n: u128) -> AlertId {
        AlertId::new(at(0), n)
    }

    fn notice(key: &str, level: Level) -> Notice {
        Notice { key: key.into(), level, title: "k1 is down".into(), ..Notice::default() }
    }

    #[test]
    fn the_same_trouble_is_one_line_with_a_count() {
        let mut book = Book::default();
        let first = book.raise(notice("k1", Level::Warning), id(1), at(1));
        let again = book.raise(notice("k1", Level::Warning), id(2), at(9));
        assert_eq!((again.id, again.count, again.created_at, again.updated_at), (first.id, 2, at(1), at(9)));
        assert_eq!(book.len(), 1);
    }

    #[test]
    fn trouble_that_comes_back_after_it_was_over_is_a_new_line() {
        let mut book = Book::default();
        book.raise(notice("k1", Level::Warning), id(1), at(1));
        assert_eq!(book.resolve_key("k1", at(2)).unwrap().status, AlertStatus::Resolved);
        assert_eq!(book.resolve_key("k1", at(3)), None);
        assert_eq!(book.raise(notice("k1", Level::Warning), id(2), at(4)).id, id(2));
        assert_eq!(book.active().len(), 1);
    }

    #[test]
    fn who_has_seen_to_it_is_only_called_again_when_it_gets_worse() {
        let mut book = Book::default();
        book.raise(notice("k1", Level::Warning), id(1), at(1));
        book.ack(id(1), at(2)).unwrap();
        assert_eq!(book.raise(notice("k1", Level::Info), id(2), at(3)).status, AlertStatus::Acked);
        let worse = book.raise(notice("k1", Level::Critical), id(3), at(4));
        assert_eq!((worse.status, worse.level, worse.id), (AlertStatus::Active, Level::Critical, id(1)));
    }

    #[test]
    fn the_worst_is_on_top_and_what_is_over_is_gone() {
        let mut book = Book::default();
        for (n, (key, level)) in
            [("a", Level::Info), ("b", Level::Critical), ("c", Level::Warning)].into_iter().enumerate()
        {
            book.raise(notice(key, level), id(n as u128), at(n as i64));
        }
        book.resolve(id(2), at(9)).unwrap();
        assert_eq!(book.active().iter().map(|a| a.key.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(book.resolve(id(2), at(9)), Err(Error::Resolved(id(2))));
        assert_eq!(book.ack(id(7), at(9)), Err(Error::Unknown(id(7))));
    }

    #[test]
    fn ten_thousand_open_alerts_are_all_there_and_what_is_over_is_forgotten() {
        let mut book = Book::default();
        book.raise(notice("bad", Level::Critical), id(1), at(0));
        book.raise(notice("over", Level::Critical), id(2), at(0));
        book.resolve(id(2), at(0)).unwrap();
        for n in 0..10_000_u128 {
            book.raise(notice(&format!("k{n}"), Level::Info), id(10 + n), at(1));
        }
        assert_eq!((book.active().len(), book.active()[0].key.as_str()), (10_001, "bad"));
        assert_eq!(
            Book::restore(book.alerts.values().cloned()).active().len(),
            10_001,
            "after a restart too"
        );
        for n in 0..10_000_u128 {
            book.resolve(id(10 + n), at(2)).unwrap();
        }
        assert_eq!((book.active().len(), book.len()), (1, KEPT + 1));
        let mut seen = BTreeSet::new();
        let mut cursor = None;
        loop {
            let page = book.page(None, cursor, 700);
            seen.extend(page.iter().map(|a| a.id));
            cursor = page.last().map(|a| a.id);
            if page.len() < 700 {
                break;
            }
        }
        assert_eq!(seen.len(), book.len(), "its pages have all of it");
    }

    #[test]
    fn past_the_bound_each_is_counted_by_level_and_none_is_lost_silently() {
        let mut book = Book::default();
        for n in 0..OPEN as u128 {
            book.raise(notice(&format!("k{n}"), Level::Info), id(10 + n), at(1));
        }
        for n in 0..50_u128 {
            book.raise(notice(&format!("more{n}"), Level::Critical), id(OPEN as u128 + 100 + n), at(2));
        }
        let worst = book.active()[0];
        assert_eq!((worst.level, worst.count, book.active().len()), (Level::Critical, 50, OPEN + 1));
        assert!(worst.message.contains("k1 is down"), "{}", worst.message);
        assert_eq!(
            book.raise(notice("k5", Level::Info), id(9), at(3)).count,
            2,
            "known ones are counted still"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_with_a_mark_and_stays_apart() {
        let mut book = Book::default();
        let long = |end: &str| Notice {
            key: format!("{}{end}", "ü".repeat(2_000)),
            title: "t".repeat(2_000),
            message: "m".repeat(100_000),
            ..Notice::default()
        };
        let one = book.raise(long("a"), id(1), at(1));
        let other = book.raise(long("b"), id(2), at(1));
        assert!(one.title.ends_with("… [cut]") && one.title.chars().count() == TITLE);
        assert!(one.message.ends_with("… [cut]") && one.message.chars().count() == MESSAGE);
        assert_ne!(one.key, other.key);
        assert_eq!(book.resolve_key(&long("b").key, at(2)).unwrap().id, id(2));
    }

    #[test]
    fn what_was_told_is_told_once_and_what_is_raised_meanwhile_is_told_again() {
        let mut book = Book::default();
        let telling = |key: &str| Notice {
            channels: vec![("slack".into(), false), ("pager".into(), true)],
            ..notice(key, Level::Warning)
        };
        let sent = |delivery: &mut Delivery, _, _| {
            *delivery = Delivery { status: DeliveryStatus::Sent, sent_at: Some(at(2)), ..delivery.clone() };
        };
        book.raise(telling("k1"), id(1), at(1));
        book.raise(notice("k2", Level::Warning), id(2), at(1));
        let over = book.raise(telling("k3"), id(3), at(1));
        let over = book.resolve(over.id, at(2)).unwrap();
        assert!(over.channels["slack"].is_waiting(), "over before it was sent, it is sent still");
        assert_eq!(book.untold().map(|a| a.id).collect::<Vec<_>>(), [id(1), id(3)]);
        book.deliver(id(1), "slack", sent).unwrap();
        assert!(book.deliver(id(1), "pager", sent).is_some_and(|a| !a.telling));
        assert!(book.raise(telling("k1"), id(4), at(3)).telling, "raised again, it is told again");
        book.deliver(id(1), "slack", sent);
        book.deliver(id(1), "pager", sent);
        let over = book.resolve(id(1), at(4)).unwrap();
        assert!(over.telling && over.channels["slack"].change.is_none());
        assert_eq!(
            over.channels["pager"].change,
            Some(AlertStatus::Resolved),
            "its incident is to be closed"
        );
    }

    #[test]
    fn a_change_that_could_not_be_kept_is_as_if_it_had_not_been() {
        let mut book = Book::default();
        let before = book.raise(notice("k1", Level::Warning), id(1), at(1));
        let after = book.resolve(id(1), at(2)).unwrap();
        book.take_back(before.clone(), &after);
        assert_eq!(book.active(), [&before]);
        assert!(book.resolve(id(1), at(3)).is_ok(), "and can be made again");
    }
}
