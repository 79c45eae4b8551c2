//! `act`, `all`, `fail`: doing things, one or several side by side, and giving up.

use rhai::{Array, Dynamic, Engine, Map, NativeCallContext};
use serde_json::{Value, json};

use super::{flag, invalid, json, span};
use crate::model::diagnostic::nearest;
use crate::model::run::Phase;
use crate::model::{Failure, StepKind};
use crate::playbook::burst::{self, Thrown};
use crate::playbook::failure;
use crate::playbook::request::{ActRequest, Request};

/// What `act` may be told besides its parameters.
pub const OPTIONS: [&str; 4] = ["timeout", "retries", "backoff", "key"];
/// More would only hide that it does not work.
pub const MAX_RETRIES: i64 = 20;
/// Actions side by side in one `all`.
pub const MAX_TOGETHER: usize = 100;

/// Makes them known to `engine`.
pub fn register(engine: &mut Engine) {
    engine.register_fn("act", |at: NativeCallContext, action: &str, params: Map| {
        act(&at, action, params, Map::new())
    });
    engine.register_fn("act", |at: NativeCallContext, action: &str, params: Map, options: Map| {
        act(&at, action, params, options)
    });
    engine.register_fn("all", |at: NativeCallContext, list: Array| all(&at, list, Map::new()));
    engine.register_fn("all", |at: NativeCallContext, list: Array, options: Map| all(&at, list, options));
    engine.register_fn("continue_as_new", continue_as_new);
    engine.register_fn("steps", burst::steps);
    engine.register_fn("fail", |at: NativeCallContext, message: Dynamic| -> Result<Dynamic, Thrown> {
        Err(failure::throw(&Failure::new("failed", message.to_string()), at.call_position()))
    });
}

fn act(at: &NativeCallContext, action: &str, params: Map, options: Map) -> Result<Dynamic, Thrown> {
    let wish = wish(at, action, params, options)?;
    let mut request = json!(wish);
    if let Value::Object(map) = &mut request {
        map.remove("action");
    }
    burst::suspend(at, StepKind::Act, action, request, Request::Act(wish))
}

fn all(at: &NativeCallContext, list: Array, mut options: Map) -> Result<Dynamic, Thrown> {
    let partial = flag(at, "all", "partial", &mut options)?;
    if list.len() > MAX_TOGETHER {
        return Err(invalid(at, format!("all: {} actions at once, the limit is {MAX_TOGETHER}", list.len())));
    }
    let actions =
        list.into_iter().enumerate().map(|(i, item)| one_of(at, i, item)).collect::<Result<Vec<_>, _>>()?;
    let mut request = json!({ "actions": actions });
    if partial {
        request["partial"] = true.into();
    }
    burst::suspend(at, StepKind::All, "", request, Request::All { actions, partial })
}

/// The run goes on with an empty journal, which a long one needs: see `Limits::journal`.
fn continue_as_new(at: NativeCallContext, carried: Dynamic) -> Result<Dynamic, Thrown> {
    if burst::phase() != Some(Phase::Run) {
        return Err(invalid(&at, "continue_as_new: only `run` can, not `verify` or `rollback`"));
    }
    let carried = json(&at, "continue_as_new", &carried)?;
    let request = json!({ "carried": carried });
    burst::suspend(&at, StepKind::Continue, "", request, Request::Continue(carried))
}

fn one_of(at: &NativeCallContext, i: usize, item: Dynamic) -> Result<ActRequest, Thrown> {
    let form =
        || invalid(at, format!("all: item {i} is not of the form #{{ action: \"…\", params: #{{ … }} }}"));
    let mut item = item.try_cast::<Map>().ok_or_else(form)?;
    let action = item.remove("action").and_then(|it| it.into_string().ok()).ok_or_else(form)?;
    let params = match item.remove("params") {
        None => Map::new(),
        Some(params) => params.try_cast::<Map>().ok_or_else(form)?,
    };
    wish(at, &action, params, item)
}

fn wish(at: &NativeCallContext, action: &str, params: Map, mut options: Map) -> Result<ActRequest, Thrown> {
    allowed(at, action)?;
    let Value::Object(params) = json(at, "params", &Dynamic::from_map(params))? else {
        return Err(invalid(at, "params: not a map"));
    };
    let mut option = |name: &str| options.remove(name).filter(|it| !it.is_unit());
    let timeout = option("timeout").map(|it| span(at, "timeout", &it)).transpose()?;
    let backoff = option("backoff").map(|it| span(at, "backoff", &it)).transpose()?;
    let retries = option("retries").map(|it| retries(at, &it)).transpose()?;
    let key = match option("key") {
        None => None,
        Some(key) if key.is_string() => Some(key.to_string()),
        Some(key) => return Err(invalid(at, format!("key: `{key}` is not text"))),
    };
    if let Some(name) = options.keys().next() {
        let hint =
            nearest(name, OPTIONS).map_or_else(|| OPTIONS.join(", "), |it| format!("did you mean `{it}`?"));
        return Err(invalid(at, format!("act knows no option `{name}`: {hint}")));
    }
    Ok(ActRequest { action: action.into(), params, timeout, retries, backoff, key })
}

fn retries(at: &NativeCallContext, value: &Dynamic) -> Result<u32, Thrown> {
    let number = value.as_int().ok().filter(|it| (0..=MAX_RETRIES).contains(it));
    number.and_then(|it| u32::try_from(it).ok()).ok_or_else(|| {
        invalid(at, format!("retries: `{value}` is not a whole number from 0 to {MAX_RETRIES}"))
    })
}

/// A playbook may call only what its header names, so that a reader sees what it can touch.
fn allowed(at: &NativeCallContext, action: &str) -> Result<(), Thrown> {
    if burst::may_call(action) != Some(false) {
        return Ok(());
    }
    let place = failure::place(at.call_source().unwrap_or("the playbook"), at.call_position());
    let text =
        format!("the header's `actions:` does not name `{action}`, so {place} may not call it: add it there");
    Err(failure::throw(&Failure::new("refused", text).of(action), at.call_position()))
}
