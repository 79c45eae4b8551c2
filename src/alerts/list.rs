//! The list of alerts with its store: what is in memory is on disk, or will be.
//!
//! Changes go to the store in the order in which they were made. One that could not be kept is written again every
//! second until it is; only an operator's answer is taken back instead, so that the operator can give it again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::lock;
use crate::actions;
use crate::bus::Publisher;
use crate::intents::Board;
use crate::model::alert::{AlertStatus, Delivery, Level};
use crate::model::{Alert, AlertId, Chance, Clock, Event, Failure, IntentId, Time, Topic};
use crate::observability::alerts::{self, Book, Notice};
use crate::store::{self, Store, Write};

/// Alerts written at once.
const PORTION: usize = 500;

/// Why an operator's answer to an alert was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is nothing to answer.
    #[error(transparent)]
    Alert(#[from] alerts::Error),
    /// It could not be recorded; nothing has changed.
    #[error("failed to record the answer: {0}; nothing has changed, try again")]
    Store(#[from] store::Error),
}

/// The list and its store.
pub struct List {
    clock: Clock,
    chance: Chance,
    store: Arc<dyn Store>,
    board: Arc<Board>,
    publisher: Arc<dyn Publisher>,
    book: Mutex<Book>,
    /// Those of which the store may not have the latest.
    unkept: Arc<Mutex<BTreeSet<AlertId>>>,
}

/// Alerts on their way to the store; unless it is known that they came there, they are written again.
struct OnTheWay {
    ids: Vec<AlertId>,
    unkept: Arc<Mutex<BTreeSet<AlertId>>>,
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        lock(&self.unkept).extend(self.ids.drain(..));
    }
}

impl List {
    /// The list as `book` has it; `alert.raised` goes to `publisher`.
    pub fn new(
        clock: Clock,
        chance: Chance,
        store: Arc<dyn Store>,
        board: Arc<Board>,
        publisher: Arc<dyn Publisher>,
        book: Book,
    ) -> Self {
        Self { clock, chance, store, board, publisher, book: Mutex::new(book), unkept: Arc::default() }
    }

    /// Looks at the list.
    pub fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&lock(&self.book))
    }

    /// Puts an alert on the list; the future resolves once it is durable.
    pub(super) fn put(&self, mut notice: Notice) -> (Alert, BoxFuture<'static, Result<(), Failure>>) {
        let now = self.clock.now();
        let intent = notice.intent.and_then(|id| self.board.get(id));
        notice.rule = intent.map(|it| it.rule.clone()).unwrap_or_default();
        let (alert, kept) = {
            let mut book = lock(&self.book);
            let alert = book.raise(notice, AlertId::new(now, self.chance.identity()), now);
            let kept = self.keep(vec![alert.clone()]);
            (alert, kept)
        };
        if let Ok(topic) = Topic::try_new("alert.raised") {
            let id = format!("{}/{}", alert.id, alert.count);
            let data = serde_json::to_value(&alert).unwrap_or_default();
            self.publisher.publish(Event::new(id, topic, "alerts", now, data));
        }
        (alert, kept.map(|kept| kept.map_err(unrecorded)).boxed())
    }

    /// What was behind `key` is over; the alert, if one was open.
    pub(super) fn over(&self, key: &str) -> Option<(Alert, BoxFuture<'static, Result<(), store::Error>>)> {
        let mut book = lock(&self.book);
        let alert = book.resolve_key(key, self.clock.now())?;
        let kept = self.keep(vec![alert.clone()]);
        Some((alert, kept))
    }

    /// An operator has seen to alert `id`, or says that it is over. Memory and store agree afterwards, also where this
    /// fails.
    pub(super) async fn change(&self, id: AlertId, over: bool) -> Result<Alert, ChangeError> {
        let now = self.clock.now();
        let (before, after, kept) = {
            let mut book = lock(&self.book);
            let before = book.get(id).cloned();
            let after = if over { book.resolve(id, now) } else { book.ack(id, now) }?;
            let kept = self.keep(vec![after.clone()]);
            (before, after, kept)
        };
        if let Err(error) = kept.await {
            if let Some(before) = before {
                lock(&self.book).take_back(before, &after);
            }
            return Err(error.into());
        }
        Ok(after)
    }

    /// Changes what became of alerts at `channel`. Gives what is to be waited for; it need not be.
    pub(super) fn deliver(
        &self,
        ids: &[AlertId],
        channel: &str,
        mut change: impl FnMut(AlertId, &mut Delivery, u64, AlertStatus),
    ) -> Vec<BoxFuture<'static, Result<(), store::Error>>> {
        let mut book = lock(&self.book);
        let mut kept = Vec::new();
        for portion in ids.chunks(PORTION) {
            let each = portion.iter();
            let each =
                each.filter_map(|id| book.deliver(*id, channel, |it, n, status| change(*id, it, n, status)));
            let changed: Vec<Alert> = each.collect();
            kept.push(self.keep(changed));
        }
        kept
    }

    /// Those that channels still have to be told of; `channels` says which are for a level, where an alert of an earlier
    /// version does not.
    pub(super) fn untold(&self, channels: impl Fn(Level) -> Vec<(String, bool)>) -> Vec<Alert> {
        let mut book = lock(&self.book);
        let old = book.untold().filter(|it| it.channels.is_empty() && it.status != AlertStatus::Resolved);
        for (id, level) in old.map(|it| (it.id, it.level)).collect::<Vec<_>>() {
            book.queue(id, channels(level), self.clock.now());
        }
        book.untold().cloned().collect()
    }

    /// The clock.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The time.
    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Random bits.
    pub(super) fn chance(&self) -> &Chance {
        &self.chance
    }

    /// Writes again what could not be kept; whether all of it is kept now.
    pub(super) async fn heal(&self) -> bool {
        let ids: Vec<AlertId> = std::mem::take(&mut *lock(&self.unkept)).into_iter().collect();
        for portion in ids.chunks(PORTION) {
            let kept = {
                let book = lock(&self.book);
                self.keep(portion.iter().filter_map(|id| book.get(*id).cloned()).collect())
            };
            if let Err(error) = kept.await {
                tracing::warn!("failed to record alerts: {error}; trying again");
            }
        }
        lock(&self.unkept).is_empty()
    }

    /// Hands `alerts` to the store; the caller holds the book, so that the store gets changes in their order.
    fn keep(&self, alerts: Vec<Alert>) -> BoxFuture<'static, Result<(), store::Error>> {
        let ids = alerts.iter().map(|alert| alert.id).collect();
        let mut on_the_way = OnTheWay { ids, unkept: self.unkept.clone() };
        let commit = self.store.commit(alerts.into_iter().map(Write::Alert).collect());
        async move {
            commit.await?;
            on_the_way.ids.clear();
            Ok(())
        }
        .boxed()
    }
}

/// What a caller hears of an alert that the store did not take; it is written again in the background.
fn unrecorded(error: store::Error) -> Failure {
    Failure::retryable("failed", format!("failed to record the alert: {error}"))
}

/// The list alone, where there is no channel to notify.
impl actions::Alerts for List {
    fn raise(
        &self,
        key: String,
        level: Level,
        title: String,
        message: String,
        target: Option<String>,
        intent: Option<IntentId>,
    ) -> BoxFuture<'static, Result<AlertId, Failure>> {
        let notice = Notice { key, level, title, message, target, intent, ..Notice::default() };
        let (alert, kept) = self.put(notice);
        async move { kept.await.map(|()| alert.id) }.boxed()
    }

    fn resolve(&self, key: String) -> BoxFuture<'static, Result<Option<AlertId>, Failure>> {
        let over = self.over(&key);
        async move {
            let Some((alert, kept)) = over else { return Ok(None) };
            debug_assert_eq!(alert.status, AlertStatus::Resolved);
            kept.await.map_err(unrecorded)?;
            Ok(Some(alert.id))
        }
        .boxed()
    }
}
