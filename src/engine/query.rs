//! What the edges may ask: rules, playbooks, what was learned, the five bodies, why a rule does not fire.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::Engine;
use super::failing::Failed;
use super::metrics::{NameLabel, StateLabel};
use super::reload::Report;
use crate::alerts::ChangeError;
use crate::learning::{self, Learner};
use crate::model::alert::AlertStatus;
use crate::model::diagnostic::Severity;
use crate::model::{Alert, AlertId, Mode, Pattern, Risk, Span};
use crate::observability::{
    ActiveIntent, Aggregator, Alerts, Dashboard, KernelState, RemediationStats, StressCurrent, StressTrends,
};
use crate::plugins::State;
use crate::tasks::lock;

/// Open intents in a body; there may be very many.
const ACTIVE: usize = 1_000;

/// Rows of what was learned that are shown with a playbook: classes come from events and may be very many.
const ROWS: usize = 100;

/// The rules that are live, and how the last load went.
#[derive(Debug)]
pub struct Rules {
    items: Vec<RuleView>,
    load: Load,
}

/// Which set of rules is live, and how the last load went.
#[derive(Debug, Serialize)]
pub struct Load {
    /// Hash of the live set.
    hash: String,
    /// How the last load went.
    reload: Report,
}

impl Rules {
    /// The rules, and how they were loaded.
    pub fn into_parts(self) -> (Vec<RuleView>, Load) {
        (self.items, self.load)
    }

    /// Mistakes that keep a newer set from going live.
    pub fn errors(&self) -> usize {
        self.mistakes().count()
    }

    /// The first of them, in words.
    pub fn first_error(&self) -> String {
        self.mistakes().next().map(ToString::to_string).unwrap_or_default()
    }

    fn mistakes(&self) -> impl Iterator<Item = &crate::model::Diagnostic> {
        self.load.reload.diagnostics.iter().filter(|d| d.severity == Severity::Error)
    }
}

/// A rule, as it is shown.
#[derive(Debug, Serialize)]
pub struct RuleView {
    name: String,
    description: String,
    file: String,
    line: u32,
    on: Vec<Pattern>,
    when: Option<String>,
    /// The kind of its pattern; `every` where it has none.
    pattern: &'static str,
    /// The calendar that it fires by, with the time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// How many groups its pattern follows now.
    groups: usize,
    enabled: bool,
    priority: i32,
    mode: Mode,
    playbooks: Vec<String>,
    /// How its condition failed, if it did.
    failed: Option<Failed>,
}

impl RuleView {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A playbook, as it is shown.
#[derive(Debug, Serialize)]
pub struct PlaybookView {
    name: String,
    doc: String,
    risk: Risk,
    cost: Span,
    timeout: Span,
    actions: Vec<String>,
    hash: String,
    verifies: bool,
    rolls_back: bool,
    /// The first rows; `/api/learning` has all.
    learned: Vec<learning::Row>,
}

impl PlaybookView {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A playbook with its source.
#[derive(Debug, Serialize)]
pub struct PlaybookDetail {
    #[serde(flatten)]
    view: PlaybookView,
    source: String,
}

impl Engine {
    /// The rules that are live, and how the last load went.
    pub fn rules(&self) -> Rules {
        self.shown(&self.rule_set(), self.0.reload.report())
    }

    /// Reloads rules and playbooks, as [`Engine::reload`]; answers about the load that this call made. Blocks.
    pub fn reloaded(&self) -> Rules {
        let (set, report) = self.reload();
        self.shown(&set, report)
    }

    /// The rules of `set`, and how the load went that `reload` tells of.
    pub(super) fn shown(&self, set: &crate::rules::RuleSet, reload: Report) -> Rules {
        let windows = lock(&self.0.windows);
        let items = set
            .rules()
            .iter()
            .map(|rule| RuleView {
                name: rule.name.clone(),
                description: rule.description.clone(),
                file: rule.file.clone(),
                line: rule.line,
                on: rule.topics(),
                when: rule.when.as_ref().map(|when| when.text().to_string()),
                pattern: rule.kind(),
                schedule: rule.schedule.as_ref().map(|s| format!("{} {}", s.text(), s.timezone())),
                groups: windows.groups_of(rule),
                enabled: rule.enabled,
                priority: rule.priority,
                mode: rule.plan.mode,
                playbooks: rule.plan.playbooks.clone(),
                failed: self.0.failing.of(&rule.name),
            })
            .collect();
        Rules { items, load: Load { hash: set.hash().to_string(), reload } }
    }

    /// All playbooks, with what is known of them.
    pub fn playbooks(&self) -> Vec<PlaybookView> {
        let learned = self.learned();
        self.0.parts.library().list().map(|playbook| view(playbook, &learned)).collect()
    }

    /// One playbook with its source.
    pub fn playbook(&self, name: &str) -> Option<PlaybookDetail> {
        let playbook = self.0.parts.library().get(name)?;
        Some(PlaybookDetail { view: view(&playbook, &self.learned()), source: playbook.text.clone() })
    }

    /// Whether there is a playbook of this name.
    pub fn has_playbook(&self, name: &str) -> bool {
        self.0.parts.library().get(name).is_some()
    }

    /// What outcomes have taught, a row per playbook and class.
    pub fn learned(&self) -> Vec<learning::Row> {
        lock(&self.0.parts.learner).table()
    }

    /// Confidence in a playbook before anything was seen of it for any class, from 0 to 1.
    pub fn assumed(&self) -> f64 {
        Learner::default().posterior("", "", "").mean
    }

    /// `GET /api/observability/stress/current`
    pub fn stress_current(&self) -> StressCurrent {
        self.observed().stress_current()
    }

    /// `GET /api/observability/stress/trends`
    pub fn stress_trends(&self, hours: u32) -> StressTrends {
        self.observed().stress_trends(hours, self.0.clock.now())
    }

    /// `GET /api/observability/remediation/stats`
    pub fn remediation_stats(&self) -> RemediationStats {
        let latest = self.0.board.open_ids().into_iter().rev().take(ACTIVE);
        let active = latest.filter_map(|id| Some(ActiveIntent::from(&*self.0.board.get(id)?))).collect();
        let mut learned = self.learned();
        learned.truncate(ACTIVE);
        self.observed().remediation_stats(active, learned)
    }

    /// `GET /api/observability/dashboard`
    pub fn dashboard(&self) -> Dashboard {
        self.observed().dashboard(self.0.clock.now())
    }

    /// `GET /api/observability/alerts`
    pub fn alerts_body(&self) -> Alerts {
        let active = self.0.alerts.list().read(|book| book.active().into_iter().cloned().collect());
        self.observed().alerts(active, self.0.clock.now())
    }

    /// The alerts, latest first; of one status if it is given.
    pub fn alerts(&self, status: Option<AlertStatus>) -> Vec<Alert> {
        let page = self.0.alerts.list().read(|book| book.page(status, None, usize::MAX));
        page.into_iter().map(|alert| self.0.alerts.shown(alert)).collect()
    }

    /// An operator has seen to an alert, or says that it is over.
    ///
    /// # Errors
    /// When there is no such alert, it is over already, or it cannot be recorded; nothing has changed then.
    pub async fn change_alert(&self, id: AlertId, over: bool) -> Result<Alert, ChangeError> {
        self.0.alerts.change(id, over).await
    }

    /// Numbers for Prometheus.
    pub fn metrics(&self) -> String {
        let metrics = &self.0.metrics;
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        metrics.open_intents.set(gauge(self.0.board.len()));
        metrics.inbox.set(gauge(self.0.lanes.depths().iter().sum()));
        metrics.problems.set(gauge(self.problems().len()));
        metrics.kernels.clear();
        for kernel in self.0.kernels.list() {
            let state = kernel.state.as_str();
            metrics.kernels.get_or_create(&StateLabel { state }).inc();
        }
        for (name, reported) in lock(&self.0.observed).metrics() {
            metrics.reported.get_or_create(&NameLabel { name: name.clone() }).set(reported.last);
        }
        metrics.text()
    }

    /// What `/readyz` says besides yes. `problems` are what a person should see to although events are served.
    pub fn readiness(&self) -> Value {
        let (waiting, working) = self.0.tasks.load();
        let sources: serde_json::Map<String, Value> = lock(&self.0.sources)
            .iter()
            .map(|(name, handle)| (name.clone(), json!(handle.status())))
            .collect();
        let problems = self.problems();
        json!({
            "status": "ready",
            "problems": problems,
            "started_at": self.0.started_at,
            "rules": self.rule_set().rules().len(),
            "playbooks": self.0.parts.library().names().len(),
            "kernels": self.0.kernels.list().len(),
            "sources": sources,
            "intents": { "open": self.0.board.len(), "waiting": waiting, "working": working },
        })
    }

    /// What an operator should fix although events are served.
    fn problems(&self) -> Vec<String> {
        let plugins = self.0.plugins.list();
        let plugins = plugins.iter().filter_map(|it| {
            let why = it.reason.as_deref().unwrap_or("the log says why");
            (it.state != State::Ready).then(|| format!("Plugin {} is {}: {why}", it.name, it.state.as_str()))
        });
        self.0.reload.report().stale().into_iter().chain(plugins).chain(self.0.problems.texts()).collect()
    }

    /// What the dashboard shows, with the kernels as they are now.
    fn observed(&self) -> std::sync::MutexGuard<'_, Aggregator> {
        let kernels = self.0.kernels.list().into_iter().map(|view| KernelState {
            name: view.name,
            layer: view.layer,
            state: view.state.as_str().into(),
            since: view.since,
        });
        let kernels = kernels.collect();
        let mut observed = lock(&self.0.observed);
        observed.set_kernels(kernels);
        observed
    }

    pub(super) fn rule_set(&self) -> Arc<crate::rules::RuleSet> {
        self.0.parts.live.now().rules.clone()
    }
}

fn view(playbook: &crate::playbook::Playbook, learned: &[learning::Row]) -> PlaybookView {
    PlaybookView {
        name: playbook.name.clone(),
        doc: playbook.doc.clone(),
        risk: playbook.risk,
        cost: playbook.cost,
        timeout: playbook.timeout,
        actions: playbook.actions.clone(),
        hash: playbook.hash.clone(),
        verifies: playbook.has_verify,
        rolls_back: playbook.has_rollback,
        learned: learned.iter().filter(|row| row.playbook == playbook.name).take(ROWS).cloned().collect(),
    }
}
