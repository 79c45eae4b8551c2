//! The list of alerts: what people were told and what they said to it. Pure; the engine stores each alert it returns.
//!
//! One alert a key: raised again, it counts. The list is bounded, and forgets what is over before what is not.

use crate::model::alert::{AlertStatus, Level};
use crate::model::{Alert, AlertId, IntentId, Time};

/// Alerts kept at hand; the store has all of them.
const KEPT: usize = 2_000;

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
    /// Whether channels will be told of it.
    pub telling: bool,
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

/// The list, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Book(Vec<Alert>);

impl Book {
    /// The list as it was stored.
    pub fn restore(alerts: impl IntoIterator<Item = Alert>) -> Self {
        let mut it = Self(alerts.into_iter().collect());
        it.0.sort_by_key(|a| (a.created_at, a.id));
        it.trim();
        it
    }

    /// Tells of something. An open alert of the same key is counted up and takes the new words; somebody who has seen
    /// to it is only called again if it has become worse. Otherwise there is a new alert, named `id`.
    pub fn raise(&mut self, notice: Notice, id: AlertId, now: Time) -> Alert {
        let open = |a: &&mut Alert| a.key == notice.key && a.status != AlertStatus::Resolved;
        if let Some(alert) = self.0.iter_mut().rev().find(open) {
            if notice.level > alert.level {
                alert.status = AlertStatus::Active;
            }
            alert.level = alert.level.max(notice.level);
            alert.title = notice.title;
            alert.message = notice.message;
            alert.add_target(notice.target);
            alert.intent = notice.intent.or(alert.intent);
            alert.count += 1;
            alert.telling |= notice.telling;
            alert.updated_at = now;
            return alert.clone();
        }
        let Notice { key, level, title, message, target, intent, telling } = notice;
        let status = AlertStatus::Active;
        let (created_at, updated_at) = (now, now);
        let alert = Alert {
            id,
            key,
            level,
            title,
            message,
            target,
            targets: Vec::new(),
            intent,
            status,
            count: 1,
            telling,
            created_at,
            updated_at,
        };
        self.0.push(alert.clone());
        self.trim();
        alert
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
        self.change(id, AlertStatus::Resolved, now)
    }

    /// What was behind this key is over; the alert, if there was one open.
    pub fn resolve_key(&mut self, key: &str, now: Time) -> Option<Alert> {
        let open = |a: &&Alert| a.key == key && a.status != AlertStatus::Resolved;
        let id = self.0.iter().rev().find(open)?.id;
        self.resolve(id, now).ok()
    }

    /// The channels were told of alert `id` as it was when it was raised for the `count`th time; the alert, if it has
    /// not been raised again since.
    pub fn told(&mut self, id: AlertId, count: u64) -> Option<Alert> {
        let alert = self.0.iter_mut().find(|a| a.id == id && a.count == count && a.telling)?;
        alert.telling = false;
        Some(alert.clone())
    }

    /// Those that channels were to be told of, and that are not over.
    pub fn untold(&self) -> Vec<Alert> {
        let untold = |a: &&Alert| a.telling && a.status != AlertStatus::Resolved;
        self.0.iter().filter(untold).cloned().collect()
    }

    /// Whether `key` was raised at `time` or later.
    pub fn covers(&self, key: &str, time: Time) -> bool {
        self.0.iter().rev().any(|a| a.key == key && a.updated_at >= time)
    }

    /// One alert.
    pub fn get(&self, id: AlertId) -> Option<&Alert> {
        self.0.iter().find(|a| a.id == id)
    }

    /// All at hand, oldest first.
    pub fn list(&self) -> &[Alert] {
        &self.0
    }

    /// Those that are not over, the worst and latest first.
    pub fn active(&self) -> Vec<&Alert> {
        let mut active: Vec<&Alert> = self.0.iter().filter(|a| a.status != AlertStatus::Resolved).collect();
        active.sort_by_key(|a| std::cmp::Reverse((a.level, a.updated_at, a.id)));
        active
    }

    fn change(&mut self, id: AlertId, to: AlertStatus, now: Time) -> Result<Alert, Error> {
        let alert = self.0.iter_mut().find(|a| a.id == id).ok_or(Error::Unknown(id))?;
        if alert.status == AlertStatus::Resolved {
            return Err(Error::Resolved(id));
        }
        alert.status = to;
        alert.updated_at = now;
        Ok(alert.clone())
    }

    /// Forgets down to the bound: first what is over, then the mildest, the oldest of them first.
    fn trim(&mut self) {
        while self.0.len() > KEPT {
            let worth = |a: &Alert| (a.status != AlertStatus::Resolved, a.level);
            let least = self.0.iter().map(worth).min();
            let Some(at) = self.0.iter().position(|a| Some(worth(a)) == least) else { return };
            self.0.remove(at);
        }
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
        assert_eq!(book.list().len(), 1);
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
    fn a_flood_of_alerts_forgets_what_is_over_and_keeps_what_is_bad() {
        let mut book = Book::default();
        book.raise(notice("bad", Level::Critical), id(1), at(0));
        book.raise(notice("over", Level::Critical), id(2), at(0));
        book.resolve(id(2), at(0)).unwrap();
        for n in 0..KEPT as u128 {
            book.raise(notice(&format!("k{n}"), Level::Info), id(10 + n), at(1));
        }
        assert_eq!(book.list().len(), KEPT);
        assert_eq!(book.active()[0].key, "bad");
        assert!(book.get(id(2)).is_none());
    }

    #[test]
    fn what_was_told_is_told_once_and_what_is_raised_meanwhile_is_told_again() {
        let mut book = Book::default();
        let telling = |key| Notice { telling: true, ..notice(key, Level::Warning) };
        book.raise(telling("k1"), id(1), at(1));
        book.raise(notice("k2", Level::Warning), id(2), at(1));
        let over = book.raise(telling("k3"), id(3), at(1));
        book.resolve(over.id, at(2)).unwrap();
        assert_eq!(book.untold().iter().map(|a| a.id).collect::<Vec<_>>(), [id(1)]);
        book.raise(telling("k1"), id(4), at(3));
        assert_eq!(book.told(id(1), 1), None, "it was raised again since");
        assert!(book.told(id(1), 2).is_some_and(|a| !a.telling));
        assert_eq!((book.untold(), book.told(id(1), 2)), (vec![], None));
    }
}
