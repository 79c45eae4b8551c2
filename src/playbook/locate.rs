//! Where a script was when its budget was spent.
//!
//! On the way out of each function Rhai puts the place of the call over that of the error, and the outermost call has
//! none. So the burst is computed once more with the body of its function at the top of the file, where nothing is put
//! over it: the same script, the same answers, the same end. Nothing of it is kept but the place.

use rhai::{Dynamic, Position, Scope, ScriptFuncDef};
use serde_json::Value;

use super::burst::{self, End, State};
use super::check::range;
use super::request::{Env, Limits};
use super::{Playbook, convert, engine, failure};
use crate::model::run::Phase;
use crate::model::{Failure, Span, Step};

/// `failure` with its place in the script, if it names the file alone. `spent` is how many operations led to it.
pub fn placed(
    failure: Failure,
    playbook: &Playbook,
    phase: Phase,
    ctx: &Value,
    journal: &[Step],
    env: &Env,
    spent: u64,
) -> Failure {
    let Some(text) = failure.message.strip_suffix(&format!("({})", playbook.file)) else { return failure };
    let limits = Limits {
        operations: env.limits.operations.min(spent),
        wall: Span(env.limits.wall.0 * 4),
        ..env.limits
    };
    let env = Env { limits, ..env.clone() };
    let place = again(playbook, phase, ctx, journal, &env)
        .map_or_else(|| beginning(playbook, phase), |position| failure::place(&playbook.file, position));
    Failure { message: format!("{text}({place})"), ..failure }
}

/// Where the function that is carried out in `phase` begins.
pub fn beginning(playbook: &Playbook, phase: Phase) -> String {
    let position = function(playbook, phase).map_or(Position::NONE, |it| it.body.start_position());
    failure::place(&playbook.file, position)
}

fn function(playbook: &Playbook, phase: Phase) -> Option<&ScriptFuncDef> {
    let mut functions = playbook.program.ast.iter_fn_def();
    functions.find(|it| it.name == phase.as_str() && it.params.len() == 1).map(|it| &**it)
}

fn again(playbook: &Playbook, phase: Phase, ctx: &Value, journal: &[Step], env: &Env) -> Option<Position> {
    let function = function(playbook, phase)?;
    let text = opened(&playbook.text, function)?;
    let mut scope = Scope::new();
    scope.push(function.params.first()?.as_str(), convert::to_script(ctx));
    let ast = engine::shared().compile_with_scope(&scope, text).ok()?;
    let (modules, actions) = (playbook.program.modules.clone(), playbook.allowed.clone());
    let state = State::running(modules, playbook.file.clone(), actions, phase, journal, env.clone());
    let (result, state) =
        burst::with(state, || engine::shared().eval_ast_with_scope::<Dynamic>(&mut scope, &ast));
    let error = result?.err()?;
    let ended = matches!(state.end, Some(End::Failed(_)));
    (ended || failure::is_final(&error)).then(|| failure::outermost(&error)).filter(|it| !it.is_none())
}

/// `text` with the body of `function` standing at the top: the rest of it becomes as many
/// spaces and a `;`, so that no place moves.
fn opened(text: &str, function: &ScriptFuncDef) -> Option<String> {
    let open = range(text, function.body.start_position()).start;
    let close = range(text, function.body.end_position()).start;
    if !text.get(open..)?.starts_with('{') || !text.get(close..)?.starts_with('}') {
        return None;
    }
    let begin = text[..open].rfind("fn ")?;
    let blank = |part: &str| part.chars().map(|c| if c == '\n' { c } else { ' ' }).collect::<String>();
    Some(
        [&text[..begin], &blank(&text[begin..=open]), &text[open + 1..close], ";", &text[close + 1..]]
            .concat(),
    )
}
