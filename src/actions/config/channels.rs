//! `actions: alert:`: the channels by which `alert.operator` tells people, each with the levels that it is for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Many, Place, Problem, problem};
use crate::actions::secret::SecretRef;
use crate::model::Span;
use crate::model::alert::Level;

/// Whom `alert.operator` tells besides the alert list. Each kind may be one channel or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertConfig {
    /// Addresses that get each alert as JSON by POST.
    pub webhook: Many<WebhookConfig>,
    /// Incoming webhooks as Slack has them; Mattermost and Rocket.Chat understand the same.
    pub slack: Many<SlackConfig>,
    /// Events API v2 of PagerDuty.
    pub pagerduty: Many<PagerDutyConfig>,
    /// Mail; needs a build with the feature `mail`.
    pub smtp: Many<SmtpConfig>,
    /// How long a channel that does not take an alert is tried again; a day if not said. Nothing waits for it.
    pub give_up_after: Span,
    /// How many alerts of a minute are sent one by one to each channel, the critical ones counted apart; 30 if not said.
    /// Further ones come as one digest a minute.
    pub per_minute: u32,
}

/// A channel that gets an alert as JSON by POST.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebhookConfig {
    /// What it is called in results; `webhook` if not said.
    pub name: Option<String>,
    /// Where to.
    pub url: Place,
    /// Which alerts; all if not said.
    pub levels: Option<BTreeSet<Level>>,
    /// Sent along, such as `authorization`.
    pub headers: BTreeMap<String, SecretRef>,
}

/// A channel of Slack's kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackConfig {
    /// What it is called in results; `slack` if not said.
    #[serde(default)]
    pub name: Option<String>,
    /// The address of the incoming webhook, which is a secret.
    pub url: SecretRef,
    /// Which alerts; all if not said.
    #[serde(default)]
    pub levels: Option<BTreeSet<Level>>,
}

/// A service of PagerDuty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDutyConfig {
    /// What it is called in results; `pagerduty` if not said.
    #[serde(default)]
    pub name: Option<String>,
    /// The integration key of the service.
    pub routing_key: SecretRef,
    /// Where to; the address of the Events API if not said, which differs in the EU.
    #[serde(default = "events_api")]
    pub url: String,
    /// Which alerts; all if not said.
    #[serde(default)]
    pub levels: Option<BTreeSet<Level>>,
}

/// Mail by a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// What it is called in results; `smtp` if not said.
    #[serde(default)]
    pub name: Option<String>,
    /// The server.
    pub host: String,
    /// 587 with `starttls`, 465 with `tls`, 25 with `none`, if not said.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: MailTls,
    /// A file with the certificate of a private authority, in PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Who logs in; nobody if not said.
    #[serde(default)]
    pub user: Option<String>,
    /// With what.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// Whom it comes from.
    pub from: String,
    /// Whom it goes to.
    pub to: Vec<String>,
    /// Which alerts; all if not said.
    #[serde(default)]
    pub levels: Option<BTreeSet<Level>>,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// It begins in the clear and must turn to TLS before anything is sent.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// In the clear: only to this machine.
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookFields {
    url: Place,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    levels: Option<BTreeSet<Level>>,
    #[serde(default)]
    headers: BTreeMap<String, SecretRef>,
}

/// A channel that is down over night has what happened in the morning.
const GIVE_UP_AFTER: u64 = 86_400;

/// Older than that, nobody wants to be told of it.
const LONGEST: u64 = 7 * 86_400;

/// As many as a person can read in a minute, generously.
const PER_MINUTE: u32 = 30;

fn events_api() -> String {
    "https://events.pagerduty.com/v2/enqueue".into()
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            webhook: Many::default(),
            slack: Many::default(),
            pagerduty: Many::default(),
            smtp: Many::default(),
            give_up_after: Span::secs(GIVE_UP_AFTER),
            per_minute: PER_MINUTE,
        }
    }
}

impl WebhookConfig {
    pub(super) fn at(url: Place) -> Self {
        Self { name: None, url, levels: None, headers: BTreeMap::new() }
    }

    pub(super) fn of(WebhookFields { url, name, levels, headers }: WebhookFields) -> Self {
        Self { name, url, levels, headers }
    }
}

impl AlertConfig {
    pub(super) fn problems(&self, found: &mut Vec<Problem>) {
        let mut add = |kind: &str, i: usize, key: &str, message: String| {
            found.push(problem(&["alert", kind, &i.to_string(), key], message));
        };
        for (i, webhook) in self.webhook.0.iter().enumerate() {
            if let Place::Plain(url) = &webhook.url
                && let Some(message) = not_http(url)
            {
                add("webhook", i, "url", message);
            }
        }
        for (i, pagerduty) in self.pagerduty.0.iter().enumerate() {
            if let Some(message) = not_http(&pagerduty.url) {
                add("pagerduty", i, "url", message);
            }
        }
        for (i, smtp) in self.smtp.0.iter().enumerate() {
            if !cfg!(feature = "mail") {
                let message = "this build cannot send mail: build Paramedic with `--features mail`, or take \
                               `smtp` away";
                add("smtp", i, "host", message.into());
            }
            if smtp.tls == MailTls::None && !is_loopback(&smtp.host) {
                let message = format!("`none` sends to {} in the clear: use `starttls` or `tls`", smtp.host);
                add("smtp", i, "tls", message);
            }
            if smtp.to.is_empty() {
                add("smtp", i, "to", "nobody is named: list at least one address".into());
            }
            if smtp.user.is_some() != smtp.password.is_some() {
                add("smtp", i, "user", "`user` and `password` belong together: give both or neither".into());
            }
        }
        self.levels(&mut add);
        if self.give_up_after.0.as_secs() > LONGEST {
            let message = "an alert that old is of no use: write 7d at most";
            found.push(problem(&["alert", "give_up_after"], message));
        }
        if self.per_minute == 0 {
            let message = "nothing could be sent: write a number from 1";
            found.push(problem(&["alert", "per_minute"], message));
        }
        if self.give_up_after.is_zero() {
            let message = "nobody could be told in that time: write a length of time such as 20s";
            found.push(problem(&["alert", "give_up_after"], message));
        }
    }

    fn levels(&self, add: &mut impl FnMut(&str, usize, &str, String)) {
        let mut check = |kind: &str, all: &mut dyn Iterator<Item = &Option<BTreeSet<Level>>>| {
            for (i, _) in all.enumerate().filter(|(_, it)| it.as_ref().is_some_and(BTreeSet::is_empty)) {
                let message = "no level is named, so it would never be used: leave `levels` out for all";
                add(kind, i, "levels", message.into());
            }
        };
        check("webhook", &mut self.webhook.0.iter().map(|it| &it.levels));
        check("slack", &mut self.slack.0.iter().map(|it| &it.levels));
        check("pagerduty", &mut self.pagerduty.0.iter().map(|it| &it.levels));
        check("smtp", &mut self.smtp.0.iter().map(|it| &it.levels));
    }

    pub(super) fn rebase(&mut self, base: &Path) {
        for webhook in &mut self.webhook.0 {
            webhook.url.rebase(base);
            webhook.headers.values_mut().for_each(|secret| secret.rebase(base));
        }
        self.slack.0.iter_mut().for_each(|it| it.url.rebase(base));
        self.pagerduty.0.iter_mut().for_each(|it| it.routing_key.rebase(base));
        for smtp in &mut self.smtp.0 {
            smtp.password.iter_mut().for_each(|secret| secret.rebase(base));
            smtp.ca.iter_mut().for_each(|path| *path = base.join(&*path));
        }
    }
}

fn not_http(url: &str) -> Option<String> {
    // Without the address: it may hold a secret.
    match reqwest::Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => None,
        Ok(url) => Some(format!("`{}` is not http or https", url.scheme())),
        Err(error) => Some(format!("not an address: {error}")),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
