//! The channels of the configuration: which of them an alert is for, and one try to send it. When, how often and in which
//! order that is tried is decided by `alerts`, off the way of any run. Start with [`Channels`].
//!
//! What is promised when the same is sent again, as after a crash: PagerDuty takes a repeat for the same incident
//! (`dedup_key`); a webhook can tell by `Idempotency-Key`, a mail server by `Message-ID`; Slack has nothing of the kind,
//! so its message may be there twice. Nothing is ever told less than once while the channel can be reached.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::{mail, pagerduty, slack, webhook};
use crate::actions::AlertConfig;
use crate::model::Alert;
use crate::model::alert::{AlertStatus, Level};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(10);

/// Why a try failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// Trying the same again would not mend it.
    Final(String),
    /// It may pass; the other side may have said how long it wants to be left alone.
    Passing(String, Option<Duration>),
}

/// What people are told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Notice {
    /// Its id on the list.
    pub alert: String,
    /// Same key, same trouble.
    pub key: String,
    /// How bad.
    pub level: Level,
    /// One line.
    pub title: String,
    /// What happened and what to do.
    pub message: String,
    /// What it is about.
    pub target: Option<String>,
    /// The first targets, where they are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// How often it was raised.
    pub count: u64,
    /// The intent behind it.
    pub intent: Option<String>,
    /// The rule behind it; empty if there is none.
    pub rule: String,
}

impl Notice {
    /// What is said of `alert`.
    pub fn of(alert: &Alert) -> Self {
        Self {
            alert: alert.id.to_string(),
            key: alert.key.clone(),
            level: alert.level,
            title: match alert.status {
                AlertStatus::Resolved => format!("Resolved: {}", alert.title),
                AlertStatus::Active | AlertStatus::Acked => alert.title.clone(),
            },
            message: alert.message.clone(),
            target: alert.target.clone(),
            targets: alert.targets.clone(),
            count: alert.count,
            intent: alert.intent.map(|id| id.to_string()),
            rule: alert.rule.clone(),
        }
    }

    /// The message, and before it how often it happened and to whom, where it was more than once.
    pub(super) fn words(&self) -> String {
        if self.count <= 1 {
            return self.message.clone();
        }
        let of =
            if self.targets.is_empty() { String::new() } else { format!(": {}", self.targets.join(", ")) };
        let more = if self.targets.len() as u64 >= self.count { "" } else { ", …" };
        let more = if of.is_empty() { "" } else { more };
        format!("{} times{of}{more}\n{}", self.count, self.message)
    }
}

/// One way to reach people.
pub(super) trait Channel: Send + Sync {
    /// As the configuration has it.
    fn kind(&self) -> &'static str;

    /// Tries once. `step` is the same when the same is sent again.
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
    give_up_after: Duration,
    per_minute: u32,
}

struct Way {
    name: String,
    levels: Option<BTreeSet<Level>>,
    channel: Box<dyn Channel>,
}

impl Channels {
    /// Those that `config` names.
    pub fn new(config: &AlertConfig) -> Self {
        let mut ways: Vec<Way> = Vec::new();
        let mut add = |name: &Option<String>, levels: &Option<BTreeSet<Level>>, channel: Box<dyn Channel>| {
            let wanted = name.as_deref().unwrap_or(channel.kind());
            // What became of an alert is kept by the name, so no two may have the same.
            let free = |name: &String| !ways.iter().any(|way| way.name == *name);
            let numbered = (2..).map(|n| format!("{wanted}-{n}"));
            let name = std::iter::once(wanted.to_owned()).chain(numbered).find(free).unwrap_or_default();
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
        let (give_up_after, per_minute) = (config.give_up_after.0, config.per_minute);
        Self(Arc::new(Inner { ways, give_up_after, per_minute }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.ways.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.ways.is_empty()
    }

    /// The name of channel `at`.
    pub fn name(&self, at: usize) -> &str {
        &self.0.ways[at].name
    }

    /// How long is tried to send an alert.
    pub fn give_up_after(&self) -> Duration {
        self.0.give_up_after
    }

    /// How many alerts of a minute are sent one by one, to each channel.
    pub fn per_minute(&self) -> u32 {
        self.0.per_minute
    }

    /// The names of those that are for `level`, and whether they keep incidents.
    pub fn for_level(&self, level: Level) -> Vec<(String, bool)> {
        let fits = |way: &&Way| way.is_for(level);
        self.0.ways.iter().filter(fits).map(|way| (way.name.clone(), way.channel.keeps_incidents())).collect()
    }

    /// Each with its kind, and whether it is for `level`.
    pub(super) fn all(&self, level: Level) -> impl Iterator<Item = (&str, &'static str, bool)> {
        self.0.ways.iter().map(move |way| (way.name.as_str(), way.channel.kind(), way.is_for(level)))
    }

    /// Tries once to send `notice` by channel `at`. `step` is the same when the same is sent again.
    ///
    /// # Errors
    /// When it was not confirmed, or not in time.
    pub async fn send(&self, at: usize, notice: &Notice, step: &str) -> Result<(), Trouble> {
        in_time(self.0.ways[at].channel.send(notice, step)).await
    }

    /// Tries once to tell the incident of `key` that somebody is on it, or that it is over.
    ///
    /// # Errors
    /// When it was not confirmed, or not in time.
    pub async fn changed(&self, at: usize, key: &str, over: bool) -> Result<(), Trouble> {
        in_time(self.0.ways[at].channel.changed(key, over)).await
    }
}

async fn in_time(trying: BoxFuture<'_, Result<(), Trouble>>) -> Result<(), Trouble> {
    let late = || Trouble::Passing(format!("no answer within {} s", TRY.as_secs()), None);
    tokio::time::timeout(TRY, trying).await.unwrap_or_else(|_| Err(late()))
}

impl Way {
    fn is_for(&self, level: Level) -> bool {
        self.levels.as_ref().is_none_or(|levels| levels.contains(&level))
    }
}
