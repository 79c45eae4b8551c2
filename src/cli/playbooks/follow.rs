//! `paramedic playbooks run`: asks the running engine for it, as an intent like others, and shows its steps until it ends.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::given::{self, Args};
use super::{Stop, find, library};
use crate::cli::client::{Remote, text};
use crate::cli::{intents, output};
use crate::model::Status;

/// Between two looks at how far it is; what a person sees as at once.
const LOOK: Duration = Duration::from_millis(150);

/// Looks in a row that may fail, as while the engine is restarted, before that is the answer.
const PATIENCE: u32 = 100;

/// Carries it out; exit status 1 if it does not succeed.
pub fn run(args: &Args, remote: &Remote) -> Result<ExitCode, Stop> {
    // Types are those of the file, where it is here too; else the engine says what is wrong.
    let known =
        args.place.config().ok().filter(|it| it.playbooks.join(format!("{}.rhai", args.name)).is_file());
    let known = match known {
        Some(config) => Some(find(&library(&config.playbooks, &args.name)?, &args.name, &config.playbooks)?),
        None => None,
    };
    let params = given::params(&args.params, known.as_ref().map(|it| &it.params))?;
    if let Some(playbook) = &known {
        playbook.check_params(&params).map_err(|failure| Stop::Misused(failure.message))?;
    }
    let mut wish = json!({ "target": args.target, "playbooks": [args.name], "params": params });
    if let Some(goal) = &args.goal {
        wish["goal"] = goal.as_str().into();
    }
    let made = remote.post("/api/intents", &wish).map_err(Stop::Failed)?;
    let id = text(&made["id"]);
    if args.no_wait {
        if remote.json {
            output::json(&made);
        } else {
            output::line(format!("intent {id}: `paramedic intents show {id}` says how far it is"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !remote.json {
        output::line(format!("{} on {}: intent {id}", output::bold(&args.name), output::bold(&args.target)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Stop::Failed(format!("failed to start: {error}")))?;
    let intent = runtime.block_on(follow(remote, &id)).map_err(Stop::Failed)?;
    if remote.json {
        output::json(&intent);
    } else {
        let reason = intent["reason"].as_str().map(|it| format!(": {it}")).unwrap_or_default();
        output::line(format!("{}{reason}", intents::status(&text(&intent["status"]))));
    }
    Ok(if intent["status"] == "succeeded" { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Shows what happens until the intent has ended, and gives it then, its runs with their steps.
async fn follow(remote: &Remote, id: &str) -> Result<Value, String> {
    let mut shown = Shown::default();
    let mut missed = 0;
    loop {
        let looked = look(remote, id).await;
        let intent = match looked {
            Ok(intent) => intent,
            Err(error) if missed >= PATIENCE => return Err(error),
            Err(_) => {
                missed += 1;
                tokio::time::sleep(LOOK).await;
                continue;
            }
        };
        missed = 0;
        if !remote.json {
            shown.tell(&intent, id);
        }
        if !serde_json::from_value::<Status>(intent["status"].clone()).is_ok_and(Status::is_open) {
            return Ok(intent);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(remote: &Remote, id: &str) -> Result<Value, String> {
    let mut intent = remote.send(Method::GET, &format!("/api/intents/{id}"), None).await?;
    for run in intent["runs"].as_array_mut().into_iter().flatten() {
        let path = format!("/api/runs/{}", text(&run["id"]));
        *run = remote.pages(&path, "steps", usize::MAX).await?;
    }
    Ok(intent)
}

/// What has been told already.
#[derive(Default)]
struct Shown {
    steps: BTreeSet<(String, u64, bool)>,
    status: String,
    runs: BTreeSet<String>,
}

impl Shown {
    fn tell(&mut self, intent: &Value, id: &str) {
        for run in intent["runs"].as_array().into_iter().flatten() {
            let name = text(&run["id"]);
            if self.runs.insert(name.clone()) {
                output::line(output::dim(format!("run of {}", text(&run["playbook"]))));
            }
            for step in run["steps"].as_array().into_iter().flatten() {
                self.step(step, &name, id);
            }
        }
        let status = text(&intent["status"]);
        if status != self.status {
            if status == "awaiting_approval" {
                output::line(output::warn(format!(
                    "a person is asked for approval: `paramedic intents approve {id}`, or deny"
                )));
            }
            self.status = status;
        }
    }

    /// A step is told when it begins, if it waits, and when it has ended.
    fn step(&mut self, step: &Value, run: &str, id: &str) {
        let ended = step["status"] == "finished";
        let seq = step["seq"].as_u64().unwrap_or_default();
        if !self.steps.insert((run.into(), seq, ended)) {
            return;
        }
        output::line(format!("  {:<8} {}", text(&step["phase"]), intents::step_line(step)));
        if !ended && step["kind"] == "ask" {
            let request = &step["request"];
            let choices = request["choices"].as_array().into_iter().flatten().map(text);
            output::line(output::warn(format!(
                "           {} ({}): `paramedic intents answer {id} ANSWER`",
                text(&request["question"]),
                choices.collect::<Vec<_>>().join(", ")
            )));
        }
    }
}
