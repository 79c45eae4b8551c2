//! A dry run of a playbook: the script is carried out for real, and nothing that it asks for is done.
//!
//! Each action checks its parameters, says what it would do and gives what it usually gives; waits are over at once, in
//! a time that jumps. No engine has to run. Start with [`run`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::rehearse::mock::usual;
use super::rehearse::{in_virtual_time, play};
use crate::actions::{self, Call, Registry};
use crate::intents::board::MANUAL;
use crate::model::intent::Plan;
use crate::model::run::Phase;
use crate::model::{Event, Failure, Intent, IntentId, Pattern, RunId, Span, Step, StepStatus, Time, Topic};
use crate::playbook::{self, ActRequest, Burst, Env, Limits, Playbook, Request};
use crate::tasks::attempt;

/// Steps that are shown at most; a playbook that polls for ever would fill the screen.
const MOST_STEPS: usize = 500;
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
    /// Whether `run` came to its end, and `verify` did not say that it did not help.
    pub fn went_well(&self) -> bool {
        self.functions.iter().filter(|it| it.phase != Phase::Rollback).all(|it| it.failure.is_none())
            && !self.functions.iter().any(|it| it.phase == Phase::Verify && it.result != json!(true))
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
            let registry = in_virtual_time(async { play::actions(wish.config.clone()) })?;
            Ok(Dry::new(wish, registry.ok_or_else(broke)?).all())
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
        let result = self.carried_out(phase, deadline);
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
                self.show(step, at, String::new(), &Ok(Value::Null));
                self.journal.push(step.clone());
            }
            let (mut step, request) = match burst {
                Burst::Done { value, .. } => return Ok(value),
                Burst::Failed { failure, .. } => return Err(failure),
                Burst::Suspended { step, request, .. } => (*step, request),
            };
            if self.told.steps.len() >= MOST_STEPS {
                let text = format!("a dry run shows {MOST_STEPS} steps, and this is not over yet");
                return Err(Failure::new("budget", text));
            }
            let at = self.place(phase, &places);
            if let Request::Continue(carried) = request {
                self.show(
                    &step,
                    at,
                    "would go on as a new run with an empty journal".into(),
                    &Ok(Value::Null),
                );
                self.runs += 1;
                if self.runs > MOST_RUNS {
                    self.told.notes.push(format!("it was left there, after {MOST_RUNS} runs"));
                    return Ok(Value::Null);
                }
                self.ctx["carried"] = carried;
                self.journal.clear();
                continue;
            }
            let (does, result) = self.answer(&step, &request);
            self.show(&step, at, does, &result);
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

    fn show(&mut self, step: &Step, at: String, does: String, result: &Result<Value, Failure>) {
        let kind = serde_json::to_value(step.kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default();
        let call = if step.name.is_empty() { kind.to_owned() } else { format!("{kind} {}", step.name) };
        let gives = match (result, &step.result) {
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
            gives,
            fails: result.clone().err(),
        });
    }

    /// What would be done for `request`, and what the script is given for it.
    fn answer(&mut self, step: &Step, request: &Request) -> (String, Result<Value, Failure>) {
        match request {
            Request::Act(act) => self.act(act, step.seq),
            Request::All { actions, partial } => self.together(actions, *partial, step.seq),
            Request::Sleep(time) => {
                self.now += time.delta();
                (format!("would wait for {time}; here it is over at once"), Ok(Value::Null))
            }
            Request::WaitFor { pattern, when, timeout } => self.wait(pattern, when.as_deref(), *timeout),
            Request::Emit { topic, .. } => (format!("would send an event `{topic}`"), Ok(Value::Null)),
            Request::Ask { question, choices, timeout, details } => {
                self.ask(question, choices, *timeout, *details)
            }
            Request::Continue(_) => (String::new(), Ok(Value::Null)),
        }
    }

    fn act(&self, act: &ActRequest, step: u32) -> (String, Result<Value, Failure>) {
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
            let text =
                format!("no action is named `{}` here: a plugin of the engine may have it", act.action);
            return (text.clone(), Err(Failure::new("invalid", text).of(&act.action)));
        };
        if let Err(failure) = actions::check(action.spec(), &call) {
            return ("would be refused".into(), Err(failure.of(&act.action)));
        }
        let does = action.dry_run(&call);
        if self.wish.fails.contains(&act.action) {
            return (does, Err(Failure::new("failed", "it is to fail here").of(&act.action)));
        }
        (does, Ok(usual(action.spec(), &call)))
    }

    fn together(&self, acts: &[ActRequest], partial: bool, step: u32) -> (String, Result<Value, Failure>) {
        let (mut does, mut results, mut failed) = (Vec::new(), Vec::new(), None);
        for act in acts {
            let (text, result) = self.act(act, step);
            does.push(format!("{}: {text}", act.action));
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
        (does.join("; "), result)
    }

    fn wait(&mut self, pattern: &str, when: Option<&str>, timeout: Span) -> (String, Result<Value, Failure>) {
        let would = match when {
            Some(when) => format!("would wait up to {timeout} for `{pattern}` where {when}"),
            None => format!("would wait up to {timeout} for `{pattern}`"),
        };
        let fits = |topic: &Topic| Pattern::try_new(pattern).is_ok_and(|it| it.matches(topic.as_str()));
        let given = self.events.iter().position(|(topic, _)| fits(topic));
        let (topic, data, how) = match given.and_then(|at| self.events.remove(at)) {
            Some((topic, data)) => (Some(topic), data, "here the given event comes"),
            None if self.wish.silent => (None, Value::Null, ""),
            None => {
                let topic = pattern.replace(['*', '>'], "any");
                (Topic::try_new(&topic).ok(), json!({}), "here an event without data comes")
            }
        };
        let Some(topic) = topic else {
            self.now += timeout.delta();
            return (format!("{would}; here none comes"), Ok(Value::Null));
        };
        let event = Event::new("dry-run", topic, "dry-run", self.now, data).about(self.wish.target.clone());
        (format!("{would}; {how}"), Ok(json!(event)))
    }

    fn ask(
        &mut self,
        question: &str,
        choices: &[String],
        timeout: Span,
        details: bool,
    ) -> (String, Result<Value, Failure>) {
        let would = format!("would ask a person, for up to {timeout}: {question}");
        let given = self.answers.pop_front();
        if let Some(answer) = given.as_ref().filter(|it| !choices.is_empty() && !choices.contains(it)) {
            let choices = choices.join(", ");
            self.told.notes.push(format!("`{answer}` is no answer to \"{question}\": there are {choices}"));
        }
        let answer = match given.filter(|it| choices.is_empty() || choices.contains(it)) {
            Some(answer) if answer != "none" => answer,
            Some(_) => {
                self.now += timeout.delta();
                return (format!("{would}; here nobody answers"), Ok(Value::Null));
            }
            None => choices.first().cloned().unwrap_or_else(|| "yes".into()),
        };
        let value = match details {
            true => json!({ "answer": answer, "by": "dry run", "at": self.now }),
            false => json!(answer),
        };
        (format!("{would}; here the answer is `{answer}`"), Ok(value))
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
