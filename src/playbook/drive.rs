//! One burst of a run: carry out a function of a playbook from its top, with the recorded results of its calls, until
//! it needs something that is not recorded.

use rhai::{CallFnOptions, Dynamic, EvalAltResult, Scope};
use serde_json::{Value, json};

use super::burst::{self, End, State};
use super::request::{Burst, Env};
use super::{Playbook, convert, engine, failure, locate};
use crate::model::run::Phase;
use crate::model::{Failure, Step, StepKind, Time};

/// Carries out `phase` of `playbook` until it suspends or ends. `journal` holds the run's steps of all phases, in
/// order. `verify` and `rollback` see as `ctx.done` what `run` did: a list of `#{action, params, result, error}`. The thread needs [`super::STACK`] bytes of stack if the script is not to be trusted.
///
/// It computes and does nothing else: the same arguments give the same answer (but for the limit on wall time).
pub fn drive(playbook: &Playbook, phase: Phase, ctx: &Value, journal: &[Step], env: &Env) -> Burst {
    carried_out(playbook, phase, ctx, journal, env, None).0
}

/// The same, with the place in the script, `file:line:column`, of each call that it has made from its top.
pub fn traced(
    playbook: &Playbook,
    phase: Phase,
    ctx: &Value,
    journal: &[Step],
    env: &Env,
) -> (Burst, Vec<String>) {
    carried_out(playbook, phase, ctx, journal, env, Some(Vec::new()))
}

fn carried_out(
    playbook: &Playbook,
    phase: Phase,
    ctx: &Value,
    journal: &[Step],
    env: &Env,
    trace: Option<Vec<String>>,
) -> (Burst, Vec<String>) {
    if let Some(failure) = over(env) {
        let failure = at_its_step(failure, playbook, phase, ctx, journal, env);
        return (Burst::Failed { steps: Vec::new(), failure }, Vec::new());
    }
    let program = &playbook.program;
    let modules = program.modules.clone();
    let mut state =
        State::running(modules, playbook.file.clone(), playbook.allowed.clone(), phase, journal, env.clone());
    state.trace = trace;
    let mut ctx = ctx.clone();
    if let (Value::Object(ctx), Phase::Verify | Phase::Rollback) = (&mut ctx, phase) {
        ctx.insert("done".into(), done(journal));
    }
    let given = convert::to_script(&ctx);
    let (result, state) = burst::with(state, || {
        let mut scope = Scope::new();
        let options = CallFnOptions::new().eval_ast(true).rewind_scope(true);
        let result: Result<Dynamic, Box<EvalAltResult>> = engine::shared().call_fn_with_options(
            options,
            &mut scope,
            &program.ast,
            phase.as_str(),
            (given,),
        );
        result.map(|value| convert::to_json(&value))
    });
    let (left_over, spent) = (state.left_over().cloned(), state.operations());
    let State { steps, end, trace, .. } = state;
    let places = trace.unwrap_or_default();
    let result = match (end, result) {
        (Some(End::Suspended(step, request)), _) => {
            return (Burst::Suspended { steps, step, request }, places);
        }
        (Some(End::Failed(failure)), Some(Err(error))) => Err(placed(failure, &error, &playbook.file)),
        (Some(End::Failed(failure)), _) => Err(in_file(failure, &playbook.file)),
        (None, None) => {
            Err(Failure::new("script", format!("the script broke the interpreter ({})", playbook.file)))
        }
        (None, Some(result)) => finished(playbook, phase, result, left_over),
    };
    let burst = match result {
        Ok(value) => Burst::Done { steps, value },
        Err(failure) if failure.kind == "budget" => {
            let failure = locate::placed(failure, playbook, phase, &ctx, journal, env, spent);
            Burst::Failed { steps, failure }
        }
        Err(failure) => Burst::Failed { steps, failure },
    };
    (burst, places)
}

/// What `run` did, for `ctx.done`: each action in order, with what came of it; both are `null` for one that was cut off.
fn done(journal: &[Step]) -> Value {
    let mut done = Vec::new();
    for step in journal.iter().filter(|step| step.phase == Phase::Run) {
        let call = |action: &Value, params: &Value, result: Option<&Value>| json!({ "action": action, "params": params, "result": result, "error": step.error });
        match step.kind {
            StepKind::Act => {
                done.push(call(&json!(step.name), &step.request["params"], step.result.as_ref()))
            }
            StepKind::All => {
                for (i, act) in step.request["actions"].as_array().into_iter().flatten().enumerate() {
                    let result = step.result.as_ref().and_then(|results| results.get(i));
                    if step.request["partial"] == true {
                        let (result, error) = match result {
                            Some(it) => (&it["result"], &it["error"]),
                            None => (&Value::Null, &Value::Null),
                        };
                        let (action, params) = (&act["action"], &act["params"]);
                        done.push(
                            json!({ "action": action, "params": params, "result": result, "error": error }),
                        );
                        continue;
                    }
                    done.push(call(&act["action"], &act["params"], result));
                }
            }
            _ => {}
        }
    }
    Value::Array(done)
}

fn over(env: &Env) -> Option<Failure> {
    if env.cancelled {
        return Some(Failure::new("cancelled", "the run was cancelled"));
    }
    (env.now >= env.deadline).then(|| {
        let text =
            format!("the run's time was up at {}: see `timeout:` in the header", env.deadline.to_rfc3339());
        Failure::new("deadline", text)
    })
}

/// `failure` of a run that may not go on, with the call that it was at. Only looks: what the script would do is dropped.
fn at_its_step(
    failure: Failure,
    playbook: &Playbook,
    phase: Phase,
    ctx: &Value,
    journal: &[Step],
    env: &Env,
) -> Failure {
    let free = Env { cancelled: false, deadline: Time::MAX_UTC, ..env.clone() };
    let (burst, places) = traced(playbook, phase, ctx, journal, &free);
    let (Burst::Suspended { step, .. }, Some(place)) = (burst, places.last()) else { return failure };
    let call = failure::describe(step.kind, &step.name, &step.request);
    Failure { message: format!("{}; it was at {call} ({place})", failure.message), ..failure }
}

fn finished(
    playbook: &Playbook,
    phase: Phase,
    result: Result<Result<Value, convert::Error>, Box<EvalAltResult>>,
    left_over: Option<Step>,
) -> Result<Value, Failure> {
    if let Some(step) = left_over {
        let call = failure::describe(step.kind, &step.name, &step.request);
        let text = format!(
            "the script does not repeat itself: step {} of the journal is {call}, now `{}` ends before it ({})",
            step.seq,
            phase.as_str(),
            locate::beginning(playbook, phase),
        );
        return Err(Failure::new("nondeterministic", text));
    }
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::new(
            "script",
            format!("what `{}` returns: {error} ({})", phase.as_str(), locate::beginning(playbook, phase)),
        )),
        Err(error) => Err(failure::uncaught(&error, &playbook.file)),
    }
}

/// The same for one of which nothing more is known than the file.
fn in_file(failure: Failure, file: &str) -> Failure {
    if failure.kind != "budget" || failure.message.ends_with(')') {
        return failure;
    }
    Failure { message: format!("{} ({file})", failure.message), ..failure }
}

/// A budget is spent at no particular call; where the script was is known from the error that unwound it.
fn placed(failure: Failure, error: &EvalAltResult, file: &str) -> Failure {
    if failure.kind != "budget" || failure.message.ends_with(')') {
        return failure;
    }
    let place = failure::where_it_was(error, file);
    Failure { message: format!("{} ({place})", failure.message), ..failure }
}
