//! What a playbook is carried out with, from the command line.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Place, Stop};
use crate::model::diagnostic::nearest;
use crate::playbook::{Kind, Params};

/// What `run --help` ends with.
const EXAMPLE: &str = "\
  paramedic playbooks run restart_kernel --target web --dry-run
  paramedic playbooks run restart_kernel --target web --param grace=2s

A dry run needs no engine. The script is carried out for real; each action checks its
parameters, says what it would do and gives what it usually gives; nothing is done. A sleep
is over at once. A call that would be refused or would fail gives what it gives when all
is well, so that the whole way is seen. Kernels are those of the configuration; none of them
is looked at. A wait gets the next --event that fits, else an event without data; with
`--event none` nothing comes. A question gets the next --answer, else its first choice;
`--answer none` is nobody. --fail ACTION shows what follows when that fails.

Exit status 0: it ended well (a dry run: every call would be done, and it would end well);
1: not; 2: wrong use.";

/// Options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The playbook
    pub name: String,
    /// The one thing to act on
    #[arg(long)]
    pub target: String,
    /// A parameter, as NAME=VALUE; the value is JSON or plain text
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Why, in words
    #[arg(long, conflicts_with = "dry_run")]
    pub goal: Option<String>,
    /// Do not wait until it has ended
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
    /// Only say what it would do
    #[arg(long)]
    pub dry_run: bool,
    /// In a dry run, an event for `wait_for`, as TOPIC or TOPIC=JSON; `none` lets the time run out
    #[arg(long = "event", value_name = "TOPIC=JSON", requires = "dry_run")]
    pub events: Vec<String>,
    /// In a dry run, what a person answers to `ask`; `none` lets the time run out
    #[arg(long = "answer", value_name = "TEXT", requires = "dry_run")]
    pub answers: Vec<String>,
    /// In a dry run, an action that fails
    #[arg(long = "fail", value_name = "ACTION", requires = "dry_run")]
    pub fails: Vec<String>,
    /// In a dry run, show `rollback` whatever came before
    #[arg(long, requires = "dry_run")]
    pub rollback: bool,
    #[command(flatten)]
    pub place: Place,
}

/// The parameters as their types say. `known` is what the playbook takes, where that is known.
pub fn params(given: &[String], known: Option<&Params>) -> Result<Map<String, Value>, Stop> {
    let mut found = Map::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Stop::Misused(format!("--param {text}: write NAME=VALUE, such as grace=5s")));
        };
        let param = known.and_then(|known| known.get(name));
        if let (Some(known), None) = (known, param) {
            return Err(Stop::Misused(unknown(name, known)));
        }
        let value = match param.map(|it| it.kind) {
            Some(Kind::String) => Value::from(value),
            kind => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
                if let Some(Err(why)) = kind.map(|kind| kind.check(&value)) {
                    return Err(Stop::Misused(format!("--param {name}: {why}")));
                }
                value
            }
        };
        found.insert(name.into(), value);
    }
    Ok(found)
}

fn unknown(name: &str, known: &Params) -> String {
    let help = match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it takes none".into(),
        None => format!("it takes {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    format!("the playbook has no parameter `{name}`: {help}")
}

/// A failure in the words of the engine's table of actions.
pub fn by_name(known: &BTreeMap<String, crate::actions::Spec>, name: &str) -> Result<(), Stop> {
    if known.contains_key(name) {
        return Ok(());
    }
    let help = match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
    };
    Err(Stop::Misused(format!("no action is named `{name}`: {help}")))
}
