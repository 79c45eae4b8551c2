//! `paramedic playbooks run --dry-run`: prints each step that a playbook would make. Needs no engine.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::given::{self, Args};
use super::{Stop, find, library};
use crate::cli::output;
use crate::engine::dry::{self, Line, Told, Wish};
use crate::model::run::Phase;
use crate::model::{Clock, Topic};
use crate::playbook::Playbook;
use crate::{actions, plugins};

/// Widest value that is shown on a line.
const WIDEST: usize = 160;

/// Prints what would be done; exit status 1 if a call would not be done, or it would not end well.
pub fn run(args: &Args, json: bool) -> Result<ExitCode, Stop> {
    let config = args.place.config()?;
    let library = library(&config.playbooks, &args.name)?;
    let playbook = find(&library, &args.name, &config.playbooks)?;
    let mut specs = dry::risks().map_err(|error| Stop::Failed(error.to_string()))?;
    let others = playbook.actions.iter().any(|name| !specs.contains_key(name));
    let plugins = if others { of_plugins(&config.plugins) } else { Vec::new() };
    specs.extend(plugins.iter().map(|spec| (spec.name.clone(), spec.clone())));
    for name in &args.fails {
        given::by_name(&specs, name)?;
    }
    if args.target.trim().is_empty() || args.target.contains('*') {
        return Err(Stop::Misused("--target must name exactly one thing to act on".into()));
    }
    let params = given::params(&args.params, Some(&playbook.params))?;
    let params = playbook.check_params(&params).map_err(|failure| Stop::Misused(failure.message))?;
    let (none, events): (Vec<_>, Vec<_>) = args.events.iter().partition(|it| *it == "none");
    let wish = Wish {
        playbook: playbook.clone(),
        target: args.target.clone(),
        params,
        event: None,
        events: events.into_iter().map(|text| event(text)).collect::<Result<_, _>>()?,
        silent: !none.is_empty(),
        answers: args.answers.clone(),
        fails: args.fails.clone(),
        rollback: args.rollback,
        now: Clock::system().now(),
        config: config.actions,
        kernels: config.kernels,
        plugins,
    };
    let told = dry::run(&wish).map_err(|error| Stop::Failed(format!("failed to try it: {error}")))?;
    if json {
        let mut value = json!(told);
        value["playbook"] = playbook.name.as_str().into();
        value["target"] = wish.target.as_str().into();
        value["params"] = wish.params.clone().into();
        value["well"] = told.went_well().into();
        output::json(&value);
    } else {
        print(&told, &playbook, &wish);
    }
    Ok(if told.went_well() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The actions of these plugins; one that cannot be asked is named and left out.
fn of_plugins(plugins: &[plugins::Spec]) -> Vec<actions::Spec> {
    let mut found = Vec::new();
    for (plugin, asked) in plugins.iter().zip(plugins::ask(plugins)) {
        match asked {
            Ok(specs) => found.extend(specs),
            Err(why) => output::progress(format!("warning: plugin `{}` cannot be asked: {why}", plugin.name)),
        }
    }
    found
}

fn event(text: &str) -> Result<(Topic, Value), Stop> {
    let (topic, data) = text.split_once('=').unwrap_or((text, "{}"));
    let topic = Topic::try_new(topic).map_err(|error| Stop::Misused(format!("--event {text}: {error}")))?;
    let data = serde_json::from_str(data)
        .map_err(|error| Stop::Misused(format!("--event {text}: what follows `=` is not JSON: {error}")))?;
    Ok((topic, data))
}

fn print(told: &Told, playbook: &Playbook, wish: &Wish) {
    output::line(format!(
        "{} on {}, as a dry run: nothing is done",
        output::bold(&playbook.name),
        output::bold(&wish.target)
    ));
    if !wish.params.is_empty() {
        output::line(output::dim(format!("  with {}", fields(&wish.params))));
    }
    for ended in &told.functions {
        output::line(format!("\n{}", output::bold(ended.phase.as_str())));
        told.steps.iter().filter(|it| it.phase == ended.phase).for_each(step);
        let waited =
            if ended.waited.is_zero() { String::new() } else { format!(", after waits of {}", ended.waited) };
        match &ended.failure {
            Some(failure) => {
                output::line(output::bad(format!("  fails, {}: {}{waited}", failure.kind, failure.message)))
            }
            None if ended.phase == Phase::Verify => {
                let means = if ended.result == json!(true) { "it helped" } else { "it did not help" };
                output::line(format!("  answers {}: {means}{waited}", short(&ended.result)));
            }
            None => output::line(format!("  ends well, and gives {}{waited}", short(&ended.result))),
        }
    }
    output::line("");
    let ran = |phase| told.functions.iter().any(|it| it.phase == phase);
    if !ran(Phase::Verify) && !playbook.has_verify {
        output::line(output::dim("it has no `verify`, so nothing would say whether it helped"));
    }
    if !ran(Phase::Rollback) {
        let text = match (playbook.has_rollback, told.went_well()) {
            (true, _) => "`rollback` would follow if it failed or did not help: --rollback shows it",
            (false, false) => "it has no `rollback`, so nothing would be taken back",
            (false, true) => "it has no `rollback`",
        };
        output::line(output::dim(text));
    }
    told.notes.iter().for_each(|note| output::line(output::warn(note)));
    if let Some(not_done) = told.not_done() {
        output::line(output::bad(not_done));
    }
}

fn step(line: &Line) {
    let asked = match (&line.request["params"], line.request.as_object()) {
        (Value::Object(params), _) => fields(params),
        (_, Some(map)) => fields(map),
        _ => String::new(),
    };
    output::line(format!(
        "{:>3}  {} {asked}  {}",
        line.number,
        output::bold(&line.call),
        output::dim(&line.at)
    ));
    let options = line.request.as_object().filter(|it| it.contains_key("params"));
    let options: Map<String, Value> = options
        .into_iter()
        .flatten()
        .filter(|(key, it)| *key != "params" && !it.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if !options.is_empty() {
        output::line(output::dim(format!("     with {}", fields(&options))));
    }
    if !line.does.is_empty() {
        let does = format!("     {}", line.does);
        output::line(if line.not_done.is_empty() { does } else { output::bad(does) });
    }
    match &line.fails {
        Some(failure) => {
            output::line(output::bad(format!("     fails, {}: {}", failure.kind, failure.message)))
        }
        None if !line.gives.is_null() => output::line(output::dim(format!("     → {}", short(&line.gives)))),
        None => {}
    }
}

fn fields(map: &Map<String, Value>) -> String {
    short(&Value::Object(map.clone()))
}

/// A value that fits a line.
fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(WIDEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
