//! The bodies of the five observability endpoints, with the JSON names of the original system. Data only.
//!
//! Rates and shares go from 0 to 1; durations are milliseconds; what has no data is `null`, never 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::health::Health;
use crate::learning::Row;
use crate::model::{Alert, Intent, IntentId, Priority, Status, Time};

/// `GET /api/observability/stress/current`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StressCurrent {
    /// Test runs under way.
    pub active_tests: Vec<TestRun>,
    /// The latest boots.
    pub recent: Recent,
}

/// The latest boots, at most 1,000.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recent {
    /// Average duration of those that succeeded.
    pub avg_boot_time_ms: Option<f64>,
    /// Average number of kernels that a test run brought up.
    pub avg_kernels_activated: Option<f64>,
    /// Durations of the latest boots, oldest first, at most 50.
    pub boot_time_trend: Vec<f64>,
    /// `improving`, `stable` or `degrading`: the later half of the trend against the earlier; `unknown` with few boots.
    pub trend: String,
    /// Boots that succeeded.
    pub boots: usize,
    /// Boots that failed.
    pub failures: usize,
    /// Share that succeeded.
    pub success_rate: Option<f64>,
    /// Test runs that ended, the latest first, at most 10.
    pub tests: Vec<TestRun>,
}

/// One run of a stress test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRun {
    /// Its name.
    pub id: String,
    /// When it began, as far as it was heard of.
    pub started_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// Boots that succeeded in it.
    pub boots: u64,
    /// Boots that failed in it.
    pub failures: u64,
    /// Kernels that it brought up.
    pub kernels_activated: Option<u64>,
}

/// `GET /api/observability/stress/trends?hours=24`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StressTrends {
    /// How far it looks back.
    pub hours: u32,
    /// Hours with boots, oldest first.
    pub rows: Vec<TrendRow>,
    /// Hours that depart from what was usual before them.
    pub regressions: Vec<Regression>,
}

/// An hour of boots.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrendRow {
    /// When it began.
    pub hour: Time,
    /// Boots that succeeded.
    pub boots: u64,
    /// Their average duration.
    pub avg_boot_time_ms: Option<f64>,
    /// The duration that 95 % of them do not exceed.
    pub p95_boot_time_ms: Option<f64>,
    /// Boots that failed.
    pub failures: u64,
    /// Share that succeeded.
    pub success_rate: Option<f64>,
}

/// A figure that became worse than was usual.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regression {
    /// A field of [`TrendRow`].
    pub metric: String,
    /// In which hour.
    pub hour: Time,
    /// What it was.
    pub value: f64,
    /// What was usual: a median.
    pub baseline: f64,
    /// How far it usually strays: a robust standard deviation.
    pub deviation: f64,
    /// Change against the usual, in percent.
    pub change_percent: f64,
    /// The same in words.
    pub message: String,
}

/// `GET /api/observability/remediation/stats`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemediationStats {
    /// Intents ever heard of.
    pub total: u64,
    /// How many are open.
    pub open: usize,
    /// Those that are open, the latest first, at most 1,000.
    pub active: Vec<ActiveIntent>,
    /// Ended repaired.
    pub succeeded: u64,
    /// Ended unrepaired.
    pub failed: u64,
    /// Handed to a person.
    pub escalated: u64,
    /// Ended otherwise: cancelled, expired, denied, stale, shadowed.
    pub other: u64,
    /// `succeeded` over `succeeded + failed + escalated`.
    pub success_rate: Option<f64>,
    /// Average time from the first match to the repair seen to work.
    pub avg_recovery_ms: Option<f64>,
    /// Outcomes of attempts, by name.
    pub outcomes: BTreeMap<String, u64>,
    /// What learning knows.
    pub playbooks: Vec<PlaybookStats>,
}

/// An open intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveIntent {
    /// Its name.
    pub id: IntentId,
    /// What is wanted.
    pub goal: String,
    /// What it acts on.
    pub target: String,
    /// The rule that fired.
    pub rule: String,
    /// What learning tells apart.
    pub class: String,
    /// Order of service.
    pub priority: Priority,
    /// Where it stands.
    pub status: Status,
    /// The playbook of the latest attempt or choice.
    pub playbook: Option<String>,
    /// Attempts so far.
    pub attempts: usize,
    /// When it was made.
    pub created_at: Time,
}

impl From<&Intent> for ActiveIntent {
    fn from(intent: &Intent) -> Self {
        let tried = intent.attempts.last().map(|a| a.playbook.clone());
        Self {
            id: intent.id,
            goal: intent.goal.clone(),
            target: intent.target.clone(),
            rule: intent.rule.clone(),
            class: intent.class.clone(),
            priority: intent.priority,
            status: intent.status,
            playbook: tried.or_else(|| intent.decision.as_ref().map(|d| d.playbook.clone())),
            attempts: intent.attempts.len(),
            created_at: intent.created_at,
        }
    }
}

/// What learning knows of a playbook for a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlaybookStats {
    /// The playbook.
    pub playbook: String,
    /// Its content hash.
    pub hash: String,
    /// The failure class.
    pub class: String,
    /// Verified outcomes.
    pub attempts: u32,
    /// Those that were fixed.
    pub successes: u32,
    /// Probability that it works, from 0 to 1.
    pub confidence: f64,
    /// 90 % interval of that.
    pub interval: [f64; 2],
    /// Outcomes that the confidence rests on.
    pub n: u32,
    /// What it takes on average.
    pub mean_minutes: Option<f64>,
}

impl From<Row> for PlaybookStats {
    fn from(row: Row) -> Self {
        let it = row.posterior;
        Self {
            playbook: row.playbook,
            hash: row.hash,
            class: row.class,
            attempts: it.attempts,
            successes: it.successes,
            confidence: it.mean,
            interval: it.interval,
            n: it.n,
            mean_minutes: it.mean_minutes,
        }
    }
}

/// `GET /api/observability/dashboard`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dashboard {
    /// How fast.
    pub performance: Performance,
    /// How reliably.
    pub reliability: Reliability,
    /// What stands out.
    pub anomalies: Anomalies,
    /// Repairs; the playbooks are left to their own endpoint.
    pub remediation: RemediationSummary,
    /// Kernels by layer, `"1"` to `"3"`.
    pub layers: BTreeMap<String, Layer>,
    /// One number for all.
    pub health: Health,
}

/// How fast kernels come up: under stress tests if there were any, else as they boot in service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Performance {
    /// Average boot.
    pub avg_boot_time_ms: Option<f64>,
    /// Average number of kernels that a test run brought up.
    pub avg_kernels_activated: Option<f64>,
    /// Durations of the latest boots, oldest first.
    pub boot_time_trend: Vec<f64>,
    /// `improving`, `stable`, `degrading`, `unknown`.
    pub trend: String,
}

/// How reliably kernels come up: every boot is a test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// Boots ever.
    pub total_tests: u64,
    /// Those that succeeded.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Share that succeeded.
    pub success_rate: Option<f64>,
    /// Failed boots of the last 60 minutes, by event time.
    pub failures_last_hour: usize,
}

/// What stands out, of all failures at hand (at most 500), kernel errors and slow boots.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Anomalies {
    /// How many in the last 60 minutes, by event time.
    pub recent_count: usize,
    /// How many of each sort at hand, by error or reason.
    pub failure_patterns: BTreeMap<String, u64>,
}

/// Repairs in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemediationSummary {
    /// Intents ever heard of.
    pub total: u64,
    /// How many are open.
    pub active: usize,
    /// Ended repaired.
    pub succeeded: u64,
    /// Ended unrepaired.
    pub failed: u64,
    /// Handed to a person.
    pub escalated: u64,
    /// Share repaired of those that ended in one of these three.
    pub success_rate: Option<f64>,
    /// Average time to recover.
    pub avg_recovery_ms: Option<f64>,
}

/// A layer of kernels.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Layer {
    /// How many are healthy.
    pub healthy: usize,
    /// How many there are.
    pub total: usize,
    /// Each of them, by name.
    pub kernels: Vec<KernelState>,
}

/// A kernel as last heard of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelState {
    /// Its name.
    pub name: String,
    /// 1, 2 or 3.
    pub layer: u8,
    /// `stopped`, `booting`, `healthy`, `unhealthy`, `exited`, `waiting`.
    pub state: String,
    /// Since when.
    pub since: Option<Time>,
}

impl KernelState {
    /// Whether it does its work.
    pub fn is_healthy(&self) -> bool {
        self.state == "healthy"
    }
}

/// `GET /api/observability/alerts`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alerts {
    /// Alerts that are not over, the worst first.
    pub active: Vec<Alert>,
    /// Failed boots, the latest first, at most 50.
    pub recent_failures: Vec<Trouble>,
    /// Slow boots and regressions, the latest first, at most 50.
    pub degradations: Vec<Trouble>,
    /// Kernels that exited unasked or became unhealthy, the latest first, at most 50.
    pub kernel_errors: Vec<Trouble>,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// When.
    pub time: Time,
    /// `boot_failed`, `slow_boot`, `exited`, `unhealthy`, `regression`.
    pub kind: String,
    /// Which kernel; the figure for a regression.
    pub kernel: String,
    /// The error or reason, by which patterns are counted.
    pub error: String,
    /// What it measured, such as the duration of a slow boot.
    pub value: Option<f64>,
    /// What it should have been.
    pub baseline: Option<f64>,
}
