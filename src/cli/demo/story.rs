//! What is told while the demo plays: faults, repairs as the engine records them, and the sum of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::Instant;

use super::cast::Fault;
use crate::cli::output;
use crate::engine::Engine;
use crate::kernels::State;
use crate::model::{Intent, IntentId, Outcome, Status};
use crate::store::IntentQuery;

/// How often the engine is asked.
const LOOK: Duration = Duration::from_millis(50);

/// Teller of the demo.
pub(super) struct Story {
    engine: Engine,
    began: Instant,
    /// Broken and not repaired yet: how, and when.
    broken: BTreeMap<String, (Fault, crate::model::Time)>,
    /// Told already.
    told: BTreeSet<(IntentId, Status, usize)>,
    repairs: Vec<Repair>,
}

/// A repair that was seen to work.
struct Repair {
    kernel: String,
    fault: Fault,
    playbook: String,
    seconds: f64,
    attempts: usize,
}

impl Story {
    /// Begins at this moment.
    pub(super) fn begin(engine: Engine) -> Self {
        let began = Instant::now();
        Self { engine, began, broken: BTreeMap::new(), told: BTreeSet::new(), repairs: Vec::new() }
    }

    /// A line that says what comes.
    pub(super) fn title(&self, text: &str) {
        output::line(format!("\n{} {}", self.time(), output::bold(text)));
    }

    /// Notes that `kernel` is broken.
    pub(super) fn broken(&mut self, kernel: &str, fault: Fault) {
        self.broken.insert(kernel.into(), (fault, self.engine.clock().now()));
        self.say(kernel, &output::bad(fault.as_str()));
    }

    /// Breaks the running `kernel` for real.
    pub(super) fn inflict(&mut self, kernel: &str, fault: Fault) {
        let signal = if fault == Fault::Hangs { Signal::STOP } else { Signal::KILL };
        let pids = self.engine.kernels().get(kernel).map(|view| view.pids).unwrap_or_default();
        for pid in pids.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            if let Err(error) = kill_process_group(pid, signal) {
                self.say(kernel, &output::warn(format!("could not be broken: {error}")));
            }
        }
        self.broken(kernel, fault);
    }

    /// Tells what the engine does until everything broken is repaired; false if that takes longer than `patience`.
    pub(super) async fn until_repaired(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            self.look().await;
            let up = self.engine.kernels().list().iter().all(|view| view.state == State::Healthy);
            if self.broken.is_empty() && up {
                return true;
            }
            if Instant::now() > deadline {
                for (kernel, (fault, _)) in &self.broken {
                    self.say(kernel, &output::bad(format!("{} and was not repaired", fault.as_str())));
                }
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The repairs as a table, and confidence before and after.
    pub(super) fn sum_up(&self) {
        self.title("what broke, what repaired it, how long it took");
        let mut table = output::table(&["kernel", "what broke", "playbook", "attempts", "verified after"]);
        for repair in &self.repairs {
            table.add_row([
                repair.kernel.clone(),
                repair.fault.as_str().into(),
                repair.playbook.clone(),
                repair.attempts.to_string(),
                format!("{:.2} s", repair.seconds),
            ]);
        }
        output::line(table);
        self.title("what was learned: confidence that the playbook works, before and after");
        let mut table = output::table(&["playbook", "class", "before", "after", "90 % interval", "verified"]);
        for row in self.engine.learned() {
            let before = self.engine.assumed();
            let after = &row.posterior;
            table.add_row([
                row.playbook.clone(),
                row.class.clone(),
                format!("{before:.2}"),
                output::good(format!("{:.2}", after.mean)),
                format!("{:.2} – {:.2}", after.interval[0], after.interval[1]),
                format!("{} of {}", after.successes, after.attempts),
            ]);
        }
        output::line(table);
        let health = self.engine.dashboard().health;
        if let Some(score) = health.score {
            output::line(format!("\nhealth score {}", output::good(format!("{score:.3} {}", health.status))));
        }
    }

    async fn look(&mut self) {
        let query = IntentQuery { limit: 200, ..IntentQuery::default() };
        let Ok(page) = self.engine.store().intents(query).await else { return };
        for intent in page.items.iter().rev() {
            let key = (intent.id, intent.status, intent.attempts.len());
            if self.told.insert(key) {
                self.follow(intent);
            }
        }
    }

    fn follow(&mut self, intent: &Intent) {
        let playbook = intent.attempts.last().map(|a| a.playbook.as_str()).unwrap_or_default();
        let line = match intent.status {
            Status::Running => format!(
                "{} {} {}",
                output::warn(playbook),
                output::dim("for"),
                output::dim(format!("\"{}\" (rule {})", intent.goal, intent.rule))
            ),
            Status::Succeeded => {
                let how = intent.reason.as_deref().unwrap_or_default();
                format!("{} {}", output::good("repaired and verified:"), output::dim(how))
            }
            Status::Failed | Status::Escalated | Status::Denied => {
                output::bad(format!("{}: {}", intent.status, intent.reason.as_deref().unwrap_or_default()))
            }
            _ => return,
        };
        self.say(&intent.target, &line);
        let fixed = intent.attempts.last().is_some_and(|a| a.outcome == Some(Outcome::Fixed));
        let Some((fault, since)) = self.broken.get(&intent.target).copied() else { return };
        if intent.status == Status::Succeeded && fixed && intent.updated_at > since {
            self.broken.remove(&intent.target);
            self.repairs.push(Repair {
                kernel: intent.target.clone(),
                fault,
                playbook: playbook.into(),
                seconds: (intent.updated_at - intent.created_at).as_seconds_f64(),
                attempts: intent.attempts.len(),
            });
        }
    }

    fn say(&self, kernel: &str, text: &str) {
        output::line(format!("{}   {kernel:<10} {text}", self.time()));
    }

    fn time(&self) -> String {
        output::dim(format!("{:>6.2}s", self.began.elapsed().as_secs_f64()))
    }
}
