//! The state of the burst that this thread is carrying out: what is recorded, what is new, and whether it is over.
//!
//! The end is sticky. Rhai's own functions that take functions (`map`, `sort`…) wrap or drop errors, so a script could
//! catch the error that ends it; hence nothing here trusts the script's result: once [`End`] is set, every further
//! operation and every further call of the host fails, and the driver looks only here. The state is found through the
//! thread, because Rhai's progress hook, the one place that sees every operation, is given nothing but a number.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use rhai::{Dynamic, EvalAltResult, NativeCallContext, Position};
use serde_json::Value;

use super::convert;
use super::failure;
use super::program::Modules;
use super::request::{Env, Limits, Request};
use crate::model::run::Phase;
use crate::model::{Failure, Step, StepKind, StepStatus};

/// What Rhai's functions fail with.
pub type Thrown = Box<EvalAltResult>;

/// Failures that end the run, whatever the script would make of them.
const UNCATCHABLE: [&str; 3] = ["cancelled", "deadline", "budget"];

/// Between two looks at the clock lie this many operations; some 20 µs.
const OPERATIONS_A_LOOK: u64 = 128;

/// Why a burst is over before its function has returned.
#[derive(Debug)]
pub enum End {
    /// It waits.
    Suspended(Box<Step>, Request),
    /// It may not go on.
    Failed(Failure),
}

/// One burst under way.
pub struct State {
    /// Files that `import` may take.
    pub modules: Arc<Modules>,
    /// Calls answered on the spot, new in this burst.
    pub steps: Vec<Step>,
    /// Whether, and how, it is over.
    pub end: Option<End>,
    /// Where each call stands, if that is wanted.
    pub trace: Option<Vec<String>>,
    limits: Limits,
    started: Instant,
    operations: u64,
    /// None while a module is being read: there is no run then, and no call of the host.
    run: Option<Journal>,
}

/// The journal of the run, and what new entries need.
struct Journal {
    file: String,
    actions: Arc<[String]>,
    phase: Phase,
    env: Env,
    recorded: std::vec::IntoIter<Step>,
    next_seq: u32,
    /// Calls that the function has made.
    made: i64,
}

thread_local! {
    static CURRENT: RefCell<Option<State>> = const { RefCell::new(None) };
}

impl State {
    /// For reading a module: the same limits, but no host.
    pub fn reading(modules: Arc<Modules>) -> Self {
        Self {
            modules,
            steps: Vec::new(),
            end: None,
            trace: None,
            limits: Limits::default(),
            started: Instant::now(),
            operations: 0,
            run: None,
        }
    }

    /// For a burst of `phase` after `journal`.
    pub fn running(
        modules: Arc<Modules>,
        file: String,
        actions: Arc<[String]>,
        phase: Phase,
        journal: &[Step],
        env: Env,
    ) -> Self {
        let recorded: Vec<Step> = journal.iter().filter(|step| step.phase == phase).cloned().collect();
        let next_seq = journal.iter().map(|step| step.seq.saturating_add(1)).max().unwrap_or(0);
        let recorded = recorded.into_iter();
        let limits = env.limits;
        Self {
            limits,
            run: Some(Journal { file, actions, phase, env, recorded, next_seq, made: 0 }),
            ..Self::reading(modules)
        }
    }

    /// The playbook's file; empty while a module is being read.
    pub fn file(&self) -> &str {
        self.run.as_ref().map_or("", |run| &run.file)
    }

    /// How many operations the script has made.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Recorded calls that the script has not made again.
    pub fn left_over(&self) -> Option<&Step> {
        self.run.as_ref()?.recorded.as_slice().first()
    }
}

/// Carries out `script` with `state` as this thread's burst, and gives the state back. A panic in `script` ends the
/// burst, not the thread.
pub fn with<T>(state: State, script: impl FnOnce() -> T) -> (Option<T>, State) {
    let outer = CURRENT.replace(Some(state));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(script)).ok();
    let state = CURRENT
        .replace(outer)
        .expect("only this function takes the state away, and it has just put it there");
    (result, state)
}

/// Reads the current state, if a burst is under way.
pub fn read<T>(look: impl FnOnce(&State) -> T) -> Option<T> {
    CURRENT.with_borrow(|state| state.as_ref().map(look))
}

/// Sets the end, unless it is set already.
pub fn end(end: End) {
    CURRENT.with_borrow_mut(|state| {
        if let Some(state) = state {
            state.end.get_or_insert(end);
        }
    });
}

/// Rhai asks this at every operation; an answer ends the script there.
pub fn progress() -> Option<Dynamic> {
    CURRENT.with_borrow_mut(|state| {
        let state = state.as_mut()?;
        state.operations += 1;
        if state.end.is_none() {
            state.end = state.overspent().map(End::Failed);
        }
        state.end.as_ref().map(|_| Dynamic::UNIT)
    })
}

impl State {
    fn overspent(&self) -> Option<Failure> {
        let (limits, spent) = (&self.limits, self.operations);
        if spent > limits.operations {
            let text =
                format!("the script has used its {} operations: does a loop never end?", limits.operations);
            return Some(Failure::new("budget", text));
        }
        if spent.is_multiple_of(OPERATIONS_A_LOOK) && self.started.elapsed() > limits.wall.0 {
            let text =
                format!("the script computed for longer than {} without waiting for anything", limits.wall);
            return Some(Failure::new("budget", text));
        }
        None
    }
}

/// Which function of the playbook is being carried out; none while a module is being read.
pub fn phase() -> Option<Phase> {
    read(|state| state.run.as_ref().map(|run| run.phase)).flatten()
}

/// How many steps of the run the function has made so far, those given back from the journal included.
pub fn steps() -> i64 {
    read(|state| state.run.as_ref().map_or(0, |run| run.made)).unwrap_or(0)
}

/// Whether `action` is one that the header names; none while no run is under way.
pub fn may_call(action: &str) -> Option<bool> {
    read(|state| state.run.as_ref().map(|run| run.actions.iter().any(|it| it == action))).flatten()
}

/// A host function that is answered on the spot: `answer` gets the run's surroundings and the step's number.
pub fn answer(
    at: &NativeCallContext,
    kind: StepKind,
    name: &str,
    request: Value,
    answer: impl FnOnce(&Env, u32) -> Value,
) -> Result<Dynamic, Thrown> {
    call(at.call_source(), at.call_position(), kind, name, request, |run, step| {
        let result = answer(&run.env, step.seq);
        step.status = StepStatus::Finished;
        step.finished_at = Some(run.env.now);
        step.result = Some(result);
        None
    })
}

/// The same for a call that has no place in the script: `print` and `debug`.
pub fn note(kind: StepKind, name: &str, request: Value) {
    // What it answers is nothing, and a failure has set the end.
    drop(call(None, Position::NONE, kind, name, request, |run, step| {
        step.status = StepStatus::Finished;
        step.finished_at = Some(run.env.now);
        None
    }));
}

/// A host function that needs an effect: gives the recorded result, or ends the burst with `effect` as its wish.
pub fn suspend(
    at: &NativeCallContext,
    kind: StepKind,
    name: &str,
    request: Value,
    effect: Request,
) -> Result<Dynamic, Thrown> {
    call(at.call_source(), at.call_position(), kind, name, request, |_, _| Some(effect))
}

fn call(
    source: Option<&str>,
    position: Position,
    kind: StepKind,
    name: &str,
    request: Value,
    begin: impl FnOnce(&Journal, &mut Step) -> Option<Request>,
) -> Result<Dynamic, Thrown> {
    let answer = CURRENT.with_borrow_mut(|state| {
        let Some(state) = state.as_mut() else { return Err(None) };
        if state.end.is_some() {
            return Err(None);
        }
        let Some(run) = state.run.as_mut() else {
            let text = "a file that is imported may not act while it is read: put this into a function";
            return Err(Some(Failure::new("refused", text)));
        };
        let place = failure::place(source.unwrap_or(&run.file), position);
        if let Some(trace) = &mut state.trace {
            trace.push(place.clone());
        }
        match run.take(kind, name, request, &place, state.limits.journal, begin) {
            Ok(Answer::Recorded(step)) => outcome(step, &place, &mut state.end),
            Ok(Answer::New(step)) => {
                let result = step.result.as_ref().map_or(Dynamic::UNIT, convert::to_script);
                state.steps.push(step);
                Ok(result)
            }
            Err(end) => {
                state.end = Some(end);
                Err(None)
            }
        }
    });
    answer.map_err(|failure| match failure {
        Some(failure) => failure::throw(&failure, position),
        None => Box::new(EvalAltResult::ErrorTerminated(Dynamic::UNIT, position)),
    })
}

enum Answer {
    /// As the journal has it, finished.
    Recorded(Step),
    /// Answered on the spot.
    New(Step),
}

/// What a finished step gives the script, or throws at it.
fn outcome(step: Step, place: &str, end: &mut Option<End>) -> Result<Dynamic, Option<Failure>> {
    match step.error {
        Some(failure) if UNCATCHABLE.contains(&failure.kind.as_str()) => {
            let call = failure::describe(step.kind, &step.name, &step.request);
            let message = format!("{}, in {call} ({place})", failure.message);
            *end = Some(End::Failed(Failure { message, ..failure }));
            Err(None)
        }
        Some(failure) => Err(Some(failure)),
        None => Ok(step.result.as_ref().map_or(Dynamic::UNIT, convert::to_script)),
    }
}

impl Journal {
    /// The next entry: the recorded one if there is one, else a new one as `begin` completes it.
    fn take(
        &mut self,
        kind: StepKind,
        name: &str,
        request: Value,
        place: &str,
        limit: u32,
        begin: impl FnOnce(&Journal, &mut Step) -> Option<Request>,
    ) -> Result<Answer, End> {
        self.made += 1;
        let recorded = self.recorded.next();
        let mut step = match recorded {
            Some(step) if step.kind != kind || step.name != name || step.request != request => {
                return Err(End::Failed(differs(&step, kind, name, &request, place)));
            }
            Some(step) if step.status == StepStatus::Finished => return Ok(Answer::Recorded(step)),
            Some(step) => step,
            None if self.next_seq >= limit => {
                let text = format!(
                    "the run has made its {limit} steps: go on with an empty journal before, by \
                     `continue_as_new(#{{ … }})` ({place})"
                );
                return Err(End::Failed(Failure::new("budget", text)));
            }
            None => self.new_step(kind, name, request),
        };
        match begin(self, &mut step) {
            None => Ok(Answer::New(step)),
            Some(effect) => Err(End::Suspended(Box::new(step), effect)),
        }
    }

    fn new_step(&mut self, kind: StepKind, name: &str, request: Value) -> Step {
        let seq = self.next_seq;
        self.next_seq += 1;
        Step {
            run: self.env.run,
            phase: self.phase,
            seq,
            kind,
            name: name.into(),
            request,
            status: StepStatus::Started,
            tries: 0,
            result: None,
            error: None,
            started_at: self.env.now,
            finished_at: None,
        }
    }
}

fn differs(step: &Step, kind: StepKind, name: &str, request: &Value, place: &str) -> Failure {
    let text = format!(
        "the script does not repeat itself: step {} of the journal is {}, now it calls {} ({place})",
        step.seq,
        failure::describe(step.kind, &step.name, &step.request),
        failure::describe(kind, name, request),
    );
    Failure::new("nondeterministic", text)
}
