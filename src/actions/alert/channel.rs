//! The channels themselves: which of them an alert goes to, each tried by itself and at the same time, and what became
//! of it. Start with [`Channels`].
//!
//! What is promised when one step is repeated: in one life of the engine a channel that took it is not told again
//! (remembered for the last [`REMEMBERED`] steps). After a crash, PagerDuty takes a repeat for the same incident
//! (`dedup_key`); a webhook can tell by `Idempotency-Key`, a mail server by `Message-ID`; Slack has nothing of the kind,
//! so its message may be there twice. Nothing is ever told less than once while the channel can be reached.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;

use super::retry::{self, Patience, Trouble};
use super::{mail, pagerduty, slack, webhook};
use crate::actions::AlertConfig;
use crate::model::alert::{AlertStatus, Level};
use crate::model::{Alert, Chance};

/// What people are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Notice {
    /// Its id on the list.
    pub(super) alert: String,
    /// Same key, same trouble.
    pub(super) key: String,
    pub(super) level: Level,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) target: Option<String>,
    pub(super) intent: Option<String>,
    pub(super) rule: String,
}

/// What became of one channel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Told {
    pub(super) channel: String,
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) tries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// One way to reach people.
pub(super) trait Channel: Send + Sync {
    /// As the configuration has it.
    fn kind(&self) -> &'static str;

    /// Tries once. `step` is the same when the same step is repeated.
    fn send<'a>(&'a self, notice: &'a Notice, step: &'a str) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Whether it keeps an incident that a person's answer here should reach.
    fn keeps_incidents(&self) -> bool {
        false
    }

    /// Tries once to say that somebody is on it, or that it is over.
    fn changed<'a>(&'a self, _key: &'a str, _over: bool) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async { Ok(()) })
    }
}

/// Every channel of the configuration; cheap to clone.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

struct Inner {
    ways: Vec<Way>,
    patience: Patience,
    chance: Chance,
    sent: Mutex<Sent>,
}

struct Way {
    name: String,
    levels: Option<BTreeSet<Level>>,
    channel: Box<dyn Channel>,
}

/// Which steps were told by which channel, the oldest first.
#[derive(Default)]
struct Sent {
    known: HashSet<(String, usize)>,
    order: VecDeque<(String, usize)>,
}

/// How many (step, channel) are remembered: a few MB at most.
const REMEMBERED: usize = 10_000;

impl Channels {
    /// Those that `config` names.
    pub fn new(config: &AlertConfig) -> Self {
        Self::with(config, Patience::of(config.give_up_after))
    }

    pub(super) fn with(config: &AlertConfig, patience: Patience) -> Self {
        let mut ways: Vec<Way> = Vec::new();
        let mut add = |name: &Option<String>, levels: &Option<BTreeSet<Level>>, channel: Box<dyn Channel>| {
            let same = ways.iter().filter(|way| way.channel.kind() == channel.kind()).count();
            let name = name.clone().unwrap_or_else(|| match same {
                0 => channel.kind().to_owned(),
                n => format!("{}-{}", channel.kind(), n + 1),
            });
            ways.push(Way { name, levels: levels.clone(), channel });
        };
        for it in &config.webhook.0 {
            add(&it.name, &it.levels, Box::new(webhook::Webhook(it.clone())));
        }
        for it in &config.slack.0 {
            add(&it.name, &it.levels, Box::new(slack::Slack(it.url.clone())));
        }
        for it in &config.pagerduty.0 {
            add(&it.name, &it.levels, Box::new(pagerduty::PagerDuty(it.clone())));
        }
        for it in &config.smtp.0 {
            add(&it.name, &it.levels, Box::new(mail::Mail(it.clone())));
        }
        Self(Arc::new(Inner { ways, patience, chance: Chance::system(), sent: Mutex::default() }))
    }

    /// Tells all that are for its level, side by side; never longer than the patience of the configuration.
    pub(super) async fn tell(&self, notice: &Notice, step: &str) -> Vec<Told> {
        let told = join_all((0..self.0.ways.len()).map(|i| self.tell_one(i, notice, step))).await;
        for Told { channel, why, .. } in &told {
            if let Some(why) = why {
                tracing::warn!(alert = notice.alert, channel, why, "a channel was not told of an alert");
            }
        }
        told
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.ways.is_empty()
    }

    /// Passes on an alert that the engine itself has raised: a question, a repair that was given up, an action that was
    /// cut off. `step` is the same when it is raised again for the same reason.
    pub async fn pass_on(&self, alert: &Alert, rule: &str, step: &str) {
        let notice = Notice {
            alert: alert.id.to_string(),
            key: alert.key.clone(),
            level: alert.level,
            title: alert.title.clone(),
            message: alert.message.clone(),
            target: alert.target.clone(),
            intent: alert.intent.map(|id| id.to_string()),
            rule: rule.to_owned(),
        };
        self.tell(&notice, step).await;
    }

    /// The names of those that are for `level`.
    pub(super) fn names_for(&self, level: Level) -> Vec<&str> {
        self.0.ways.iter().filter(|way| way.is_for(level)).map(|way| way.name.as_str()).collect()
    }

    /// Passes on that a person has seen to an alert or that it is over, to the channels that keep an incident of their
    /// own for it. What fails is logged: the alert list knows in any case.
    pub async fn changed(&self, alert: &Alert) {
        let over = match alert.status {
            AlertStatus::Active => return,
            AlertStatus::Acked => false,
            AlertStatus::Resolved => true,
        };
        let inner = &self.0;
        let hears = |way: &&Way| way.channel.keeps_incidents() && way.is_for(alert.level);
        join_all(inner.ways.iter().filter(hears).map(|way| async move {
            let once = || way.channel.changed(&alert.key, over);
            if let (_, Err(why)) = retry::until_done(inner.patience, &inner.chance, once).await {
                tracing::warn!(alert = %alert.id, channel = way.name, why, "a channel was not told of a change");
            }
        }))
        .await;
    }

    async fn tell_one(&self, at: usize, notice: &Notice, step: &str) -> Told {
        let inner = &self.0;
        let way = &inner.ways[at];
        let kind = way.channel.kind();
        let told = |status, tries, why| Told { channel: way.name.clone(), kind, status, tries, why };
        if !way.is_for(notice.level) {
            return told("not_for_level", 0, None);
        }
        if inner.sent().known.contains(&(step.to_owned(), at)) {
            return told("sent_before", 0, None);
        }
        let once = || way.channel.send(notice, step);
        match retry::until_done(inner.patience, &inner.chance, once).await {
            (tries, Ok(())) => {
                inner.sent().add(step, at);
                told("sent", tries, None)
            }
            (tries, Err(why)) => told("failed", tries, Some(why)),
        }
    }
}

impl Inner {
    fn sent(&self) -> std::sync::MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    fn is_for(&self, level: Level) -> bool {
        self.levels.as_ref().is_none_or(|levels| levels.contains(&level))
    }
}

impl Sent {
    fn add(&mut self, step: &str, at: usize) {
        // Calls outside a run have no key that could be repeated.
        if step.is_empty() || !self.known.insert((step.to_owned(), at)) {
            return;
        }
        self.order.push_back((step.to_owned(), at));
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
