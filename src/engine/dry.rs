//! A dry run of a playbook: the script is carried out for real, and nothing that it asks for is done.
//!
//! Each action checks its parameters, says what it would do and gives what it usually gives; waits are over at once, in
//! a time that jumps. No engine has to run. Start with [`run`].

mod waits;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::rehearse::mock::{self, usual};
use super::rehearse::{in_virtual_time, play};
use crate::actions::{self, Call, Registry};
use crate::intents::board::MANUAL;
use crate::kernels;
use crate::model::intent::Plan;
use crate::model::run::Phase;
use crate::model::{Event, Failure, Intent, IntentId, RunId, Span, Step, StepStatus, Time, Topic};
use crate::playbook::{self, ActRequest, Burst, Env, Limits, Playbook, Request};
use crate::tasks::attempt;

/// Steps that are shown at most, as many as a run has; a playbook that polls for ever would fill the screen.
const MOST_STEPS: usize = 5_000;

/// How an action begins to say that a call would not be done.
const NOT_DONE: [&str; 2] = ["would fail", "would be refused"];

/// How often a run may go on as a new one.
const MOST_RUNS: usize = 3;

/// What is to be carried out, and how the world answers.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which playbook.
    pub playbook: Arc<Playbook>,
    /// What it acts on.
    pub target: String,
    /// What it is given; checked and with defaults.
    pub params: Map<String, Value>,
    /// What `ctx.event` is; one of an intent made by hand if there is none.
    pub event: Option<Event>,
    /// Events that waits get, each once; a wait for which there is none gets one made up for it.
    pub events: Vec<(Topic, Value)>,
    /// Whether a wait for which there is no event gets none.
    pub silent: bool,
    /// What a person answers, in order; then the first choice of each question.
    pub answers: Vec<String>,
    /// Actions that fail.
    pub fails: Vec<String>,
    /// Whether `rollback` is carried out whatever came of `run`.
    pub rollback: bool,
    /// When it begins.
    pub now: Time,
    /// What actions may touch.
    pub config: actions::Config,
    /// The kernels that there are; none of them is looked at.
    pub kernels: Vec<kernels::Spec>,
    /// The actions of plugins; none of them is called.
    pub plugins: Vec<actions::Spec>,
}

/// One step that would be made.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// In which function.
    pub phase: Phase,
    /// Its number in the journal, from 1.
    pub number: usize,
    /// The host function, and what of it.
    pub call: String,
    /// What is asked for.
    pub request: Value,
    /// Where it stands in the script.
    pub at: String,
    /// What would be done, in words.
    pub does: String,
    /// Calls in it that would be refused or fail, by action; the script is given what they give when all is well, so that
    /// the whole way is seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_done: Vec<String>,
    /// What the script is given for it here.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub gives: Value,
    /// What is thrown at the script for it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails: Option<Failure>,
}

/// How a function ended.
#[derive(Clone, Debug, Serialize)]
pub struct Ended {
    /// Which.
    pub phase: Phase,
    /// What it returned.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How much time would have passed in it by waiting.
    pub waited: Span,
}

/// What would be done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Told {
    /// The steps of all functions, in order.
    pub steps: Vec<Line>,
    /// The functions that were carried out, in order.
    pub functions: Vec<Ended>,
    /// What was not used, or could not be.
    pub notes: Vec<String>,
}

impl Told {
    /// Whether every call would be done, `run` came to its end, and `verify` did not say that it did not help.
    pub fn went_well(&self) -> bool {
        self.steps.iter().all(|it| it.not_done.is_empty())
            && self.functions.iter().filter(|it| it.phase != Phase::Rollback).all(|it| it.failure.is_none())
            && !self.functions.iter().any(|it| it.phase == Phase::Verify && it.result != json!(true))
    }

    /// Which calls would not be done, in one line, each place once; none if all would.
    pub fn not_done(&self) -> Option<String> {
        let mut places: Vec<((&str, &str), usize)> = Vec::new();
        for step in &self.steps {
            for action in &step.not_done {
                let place = (action.as_str(), step.at.as_str());
                match places.iter_mut().find(|(it, _)| *it == place) {
                    Some((_, times)) => *times += 1,
                    None => places.push((place, 1)),
                }
            }
        }
        let all: usize = places.iter().map(|(_, times)| times).sum();
        let many = if all == 1 { "1 call".into() } else { format!("{all} calls") };
        let told = places.iter().map(|((action, at), times)| match times {
            1 => format!("{action} ({at})"),
            _ => format!("{action} ({at}, {times} times)"),
        });
        let told = told.collect::<Vec<_>>().join(", ");
        (all > 0).then(|| format!("{many} would not be done: {told}"))
    }
}

/// Carries `wish` out without doing anything, on a thread of its own.
///
/// # Errors
/// When the system gives no thread or no runtime.
pub fn run(wish: &Wish) -> std::io::Result<Told> {
    let broke = || std::io::Error::other("the dry run broke off");
    std::thread::scope(|scope| {
        let work = || {
            let registry =
                in_virtual_time(async { play::actions(wish.config.clone(), wish.kernels.clone()) })?;
            let registry = registry.ok_or_else(broke)?;
            mock::plan(&registry, &wish.plugins);
            Ok(Dry::new(wish, registry).all())
        };
        let thread = std::thread::Builder::new().name("dry-run".into()).stack_size(playbook::STACK);
        thread.spawn_scoped(scope, work)?.join().unwrap_or_else(|_| Err(broke()))
    })
}

struct Dry<'a> {
    wish: &'a Wish,
    registry: Registry,
    id: RunId,
    ctx: Value,
    journal: Vec<Step>,
    now: Time,
    events: VecDeque<(Topic, Value)>,
    answers: VecDeque<String>,
    runs: usize,
    told: Told,
}

impl<'a> Dry<'a> {
    fn new(wish: &'a Wish, registry: Registry) -> Self {
        Self {
            wish,
            registry,
            id: RunId::new(wish.now, 1),
            ctx: ctx(wish),
            journal: Vec::new(),
            now: wish.now,
            events: wish.events.iter().cloned().collect(),
            answers: wish.answers.iter().cloned().collect(),
            runs: 1,
            told: Told::default(),
        }
    }

    fn all(mut self) -> Told {
        let playbook = &self.wish.playbook;
        let mut undo = self.wish.rollback;
        match self.phase(Phase::Run) {
            Ok(_) if playbook.has_verify => undo |= self.phase(Phase::Verify) != Ok(json!(true)),
            Ok(_) => {}
            Err(_) => undo = true,
        }
        if undo && playbook.has_rollback {
            drop(self.phase(Phase::Rollback));
        }
        let unused = |what: &str, n: usize| format!("{n} of the given {what} came to no use");
        for (what, n) in [("events", self.events.len()), ("answers", self.answers.len())] {
            self.told.notes.extend((n > 0).then(|| unused(what, n)));
        }
        for name in &self.wish.fails {
            if !self
                .told
                .steps
                .iter()
                .any(|it| it.request.to_string().contains(name) || it.call.contains(name))
            {
                self.told.notes.push(format!("`{name}` was to fail, and was never called"));
            }
        }
        self.told
    }

    fn phase(&mut self, phase: Phase) -> Result<Value, Failure> {
        let began = self.now;
        let deadline = match phase {
            Phase::Rollback => self.now + attempt::ROLLBACK_TIME,
            _ => self.wish.now + self.wish.playbook.timeout.delta(),
        };
        let mut result = self.carried_out(phase, deadline);
        if phase == Phase::Verify {
            result =
                result.and_then(|answer| attempt::verdict(&self.wish.playbook, &answer).map(Value::from));
        }
        self.told.functions.push(Ended {
            phase,
            result: result.clone().unwrap_or_default(),
            failure: result.clone().err(),
            waited: Span((self.now - began).to_std().unwrap_or_default()),
        });
        result
    }

    fn carried_out(&mut self, phase: Phase, deadline: Time) -> Result<Value, Failure> {
        loop {
            let env = Env {
                run: self.id,
                now: self.now,
                seed: 1,
                deadline,
                cancelled: false,
                limits: Limits::default(),
            };
            let (burst, places) =
                playbook::traced(&self.wish.playbook, phase, &self.ctx, &self.journal, &env);
            let (Burst::Done { steps, .. } | Burst::Failed { steps, .. } | Burst::Suspended { steps, .. }) =
                &burst;
            for step in steps {
                let at = self.place(phase, &places);
                self.show(step, at, Done::default());
                self.journal.push(step.clone());
            }
            let (mut step, request) = match burst {
                Burst::Done { value, .. } => return Ok(value),
                Burst::Failed { failure, .. } => return Err(self.placed(failure, phase)),
                Burst::Suspended { step, request, .. } => (*step, request),
            };
            let at = self.place(phase, &places);
            if self.told.steps.len() >= MOST_STEPS {
                let text = format!("a dry run shows {MOST_STEPS} steps, and this is not over yet ({at})");
                return Err(Failure::new("budget", text));
            }
            if let Request::Continue(carried) = request {
                self.show(&step, at, Done::of("would go on as a new run with an empty journal", Value::Null));
                self.runs += 1;
                if self.runs > MOST_RUNS {
                    self.told.notes.push(format!("it was left there, after {MOST_RUNS} runs"));
                    return Ok(Value::Null);
                }
                self.ctx["carried"] = carried;
                self.journal.clear();
                continue;
            }
            let done = self.answer(&step, &request);
            let result = done.result.clone();
            self.show(&step, at, done);
            if self.now > deadline {
                // The wait is cut off there, and the next burst says so.
                self.now = deadline;
                continue;
            }
            step.status = StepStatus::Finished;
            step.finished_at = Some(self.now);
            match result {
                Ok(value) => step.result = Some(value),
                Err(failure) => step.error = Some(failure),
            }
            self.journal.push(step);
        }
    }

    /// Where the next call of `phase` stands.
    fn place(&self, phase: Phase, places: &[String]) -> String {
        let made = self.journal.iter().filter(|it| it.phase == phase).count();
        places.get(made).cloned().unwrap_or_default()
    }

    /// A failure that comes from no call, as when the time is up, with the place that the run had come to.
    fn placed(&self, failure: Failure, phase: Phase) -> Failure {
        if !matches!(failure.kind.as_str(), "deadline" | "budget") || failure.message.ends_with(')') {
            return failure;
        }
        let last = self.told.steps.iter().rfind(|it| it.phase == phase && !it.at.is_empty());
        let place = last.map_or_else(|| playbook::beginning(&self.wish.playbook, phase), |it| it.at.clone());
        Failure { message: format!("{} ({place})", failure.message), ..failure }
    }

    fn show(&mut self, step: &Step, at: String, done: Done) {
        let Done { does, not_done, result } = done;
        let kind = serde_json::to_value(step.kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default();
        let call = if step.name.is_empty() { kind.to_owned() } else { format!("{kind} {}", step.name) };
        let gives = match (&result, &step.result) {
            (Ok(Value::Null), Some(own)) => own.clone(),
            (result, _) => result.clone().unwrap_or_default(),
        };
        self.told.steps.push(Line {
            phase: step.phase,
            number: self.told.steps.len() + 1,
            call,
            request: step.request.clone(),
            at,
            does,
            not_done,
            gives,
            fails: result.err(),
        });
    }

    /// What would be done for `request`, and what the script is given for it.
    fn answer(&mut self, step: &Step, request: &Request) -> Done {
        match request {
            Request::Act(act) => self.act(act, step.seq),
            Request::All { actions, partial } => self.together(actions, *partial, step.seq),
            Request::Sleep(time) => {
                self.now += time.delta();
                Done::of(format!("would wait for {time}; here it is over at once"), Value::Null)
            }
            Request::WaitFor { pattern, when, timeout, .. } => self.wait(pattern, when.as_deref(), *timeout),
            Request::Emit { topic, .. } => Done::of(format!("would send an event `{topic}`"), Value::Null),
            Request::Ask { question, choices, timeout, details } => {
                self.ask(question, choices, *timeout, *details)
            }
            Request::Continue(_) => Done::default(),
        }
    }

    fn act(&self, act: &ActRequest, step: u32) -> Done {
        let call = Call {
            name: act.action.clone(),
            params: act.params.clone(),
            key: act.key.clone().unwrap_or_else(|| "dry-run".into()),
            target: self.wish.target.clone(),
            run: Some(self.id),
            step,
            rule: MANUAL.into(),
            dry: true,
            ..Call::default()
        };
        let Some(action) = self.registry.get(&act.action) else {
            let text = format!(
                "would fail: no action is named `{}` here; a plugin of the engine may have it",
                act.action
            );
            return Done { not_done: vec![act.action.clone()], ..Done::of(text, Value::Null) };
        };
        let does = match actions::check(action.spec(), &call) {
            Ok(()) => action.dry_run(&call),
            Err(failure) => format!("would be refused: {}", failure.message),
        };
        if self.wish.fails.contains(&act.action) {
            let failure = Failure::new("failed", "it is to fail here").of(&act.action);
            return Done { does, result: Err(failure), ..Done::default() };
        }
        let is_done = !NOT_DONE.iter().any(|words| does.starts_with(words));
        let not_done = if is_done { Vec::new() } else { vec![act.action.clone()] };
        Done { not_done, ..Done::of(does, usual(action.spec(), &call)) }
    }

    fn together(&self, acts: &[ActRequest], partial: bool, step: u32) -> Done {
        let (mut does, mut not_done, mut results, mut failed) = (Vec::new(), Vec::new(), Vec::new(), None);
        for act in acts {
            let done = self.act(act, step);
            let result = done.result;
            not_done.extend(done.not_done);
            does.push(format!("{}: {}", act.action, done.does));
            results.push(match (partial, &result) {
                (true, Ok(result)) => json!({ "ok": true, "result": result }),
                (true, Err(failure)) => json!({ "ok": false, "error": failure }),
                (false, result) => result.clone().unwrap_or_default(),
            });
            failed = failed.or(result.err());
        }
        let result = match failed {
            Some(failure) if !partial => Err(failure),
            _ => Ok(Value::Array(results)),
        };
        Done { does: does.join("; "), not_done, result }
    }
}

/// What would be done for a request, which calls of it would not, and what the script is given.
struct Done {
    does: String,
    not_done: Vec<String>,
    result: Result<Value, Failure>,
}

impl Done {
    fn of(does: impl Into<String>, gives: Value) -> Self {
        Self { does: does.into(), not_done: Vec::new(), result: Ok(gives) }
    }
}

impl Default for Done {
    fn default() -> Self {
        Self::of("", Value::Null)
    }
}

/// What the script is given, as for an intent made by hand.
fn ctx(wish: &Wish) -> Value {
    let plan = Arc::new(Plan { playbooks: vec![wish.playbook.name.clone()], ..Plan::default() });
    let requested = || {
        let topic = Topic::try_new("intent.requested").expect("this is a topic");
        Event::new("dry-run", topic, MANUAL, wish.now, json!({ "target": wish.target }))
            .about(wish.target.clone())
    };
    let event = Arc::new(wish.event.clone().unwrap_or_else(requested));
    let id = IntentId::new(wish.now, 1);
    let intent = Intent {
        goal: format!("{} on {}", wish.playbook.name, wish.target),
        ..Intent::new(id, MANUAL, "dry-run", &wish.target, event, plan, wish.now)
    };
    attempt::ctx(&intent, 1, 0.5, wish.params.clone())
}

/// The risk of each action that is built in, by name.
///
/// # Errors
/// When the system gives no runtime.
pub fn risks() -> std::io::Result<BTreeMap<String, actions::Spec>> {
    Ok(super::rehearse::specs()?.into_iter().map(|spec| (spec.name.clone(), spec)).collect())
}
