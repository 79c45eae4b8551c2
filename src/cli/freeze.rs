//! `paramedic freeze` and `paramedic thaw`: the kill switch, with the engine's help or without it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::{Remote, items, query, text};
use super::{Setup, output};
use crate::freeze::{FILE, Freeze, Scope, Switch, not_frozen};
use crate::model::{Clock, Span, Time};

/// Options of `freeze`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Why; whoever is woken by it will ask
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Who freezes it
    #[arg(long, value_name = "NAME", env = "USER", default_value = "")]
    by: String,
    /// Until then, such as 30m; until it is thawed if not said
    #[arg(long = "for", value_name = "TIME", value_parser = Span::parse)]
    span: Option<Span>,
    /// Only list what is frozen
    #[arg(long, conflicts_with_all = ["group", "playbook", "rule", "reason", "span"])]
    list: bool,
    #[command(flatten)]
    place: Place,
}

/// Options of `thaw`.
#[derive(Debug, clap::Args)]
pub struct ThawArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Which {
    /// A target, a group of a rule, or a fleet; everything if nothing is named
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// A playbook
    #[arg(long, value_name = "NAME")]
    playbook: Option<String>,
    /// All that a rule asks for
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration, which says where the data directory is [default: paramedic.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// The data directory: no engine is asked, its file is written
    #[arg(long, value_name = "DIR")]
    data: Option<std::path::PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// Freezes or lists.
pub fn main(args: Args) -> ExitCode {
    let place = &args.place;
    let answer = match (args.list, place.switch()) {
        (true, Ok(Some(switch))) => Ok(switch.list()),
        (true, Ok(None)) => place.remote.list("/api/freeze", "items", usize::MAX).map(|answer| read(&answer)),
        (false, Ok(Some(switch))) => by_file(&switch, &args).map(|()| switch.list()),
        (false, Ok(None)) => {
            let mut wish = args.which.fields();
            wish["reason"] = args.reason.clone().into();
            wish["by"] = args.by.clone().into();
            if let Some(span) = args.span {
                wish["for"] = json!(span);
            }
            let asked = place.remote.post("/api/freeze", &wish);
            asked
                .and_then(|_| place.remote.list("/api/freeze", "items", usize::MAX))
                .map(|answer| read(&answer))
        }
        (_, Err(why)) => Err(why),
    };
    show(place, answer)
}

/// Thaws.
pub fn thaw(args: ThawArgs) -> ExitCode {
    let place = &args.place;
    let answer = match place.switch() {
        Ok(Some(switch)) => match switch.thaw(&args.which.scope()) {
            Ok(true) => Ok(switch.list()),
            Ok(false) => Err(not_frozen(&args.which.scope(), &switch.list())),
            Err(error) => Err(error.to_string()),
        },
        Ok(None) => {
            let fields = args.which.fields();
            let fields =
                fields.as_object().into_iter().flatten().map(|(key, name)| (key.as_str(), text(name)));
            let path = query("/api/freeze", fields);
            place.remote.delete(&path).map(|answer| read(&answer))
        }
        Err(why) => Err(why),
    };
    show(place, answer)
}

fn by_file(switch: &Switch, args: &Args) -> Result<(), String> {
    let since = Clock::system().now();
    let until = args.span.map(|span| since.checked_add_signed(span.delta()).unwrap_or(Time::MAX_UTC));
    let (scope, reason, by) = (args.which.scope(), args.reason.clone(), args.by.clone());
    switch.freeze(Freeze { scope, reason, by, since, until }).map_err(|error| error.to_string())
}

fn show(place: &Place, answer: Result<Vec<Freeze>, String>) -> ExitCode {
    let frozen = match answer {
        Ok(frozen) => frozen,
        Err(error) => return output::failed(&error),
    };
    if place.remote.json {
        output::json(&json!({ "items": frozen }));
    } else if frozen.is_empty() {
        output::line("nothing is frozen");
    } else {
        let mut table = output::table(&["frozen", "since", "until", "by", "reason"]);
        for it in frozen {
            let until = it.until.map_or("it is thawed".into(), |at| at.format("%FT%TZ").to_string());
            table.add_row([
                it.scope.to_string(),
                it.since.format("%FT%TZ").to_string(),
                until,
                it.by,
                it.reason,
            ]);
        }
        output::line(table);
    }
    ExitCode::SUCCESS
}

fn read(answer: &Value) -> Vec<Freeze> {
    items(answer).iter().filter_map(|it| serde_json::from_value(it.clone()).ok()).collect()
}

impl Which {
    fn scope(&self) -> Scope {
        match (&self.group, &self.playbook, &self.rule) {
            (Some(name), ..) => Scope::Group(name.clone()),
            (_, Some(name), _) => Scope::Playbook(name.clone()),
            (.., Some(name)) => Scope::Rule(name.clone()),
            _ => Scope::All,
        }
    }

    fn fields(&self) -> Value {
        match self.scope() {
            Scope::All => json!({}),
            Scope::Group(name) => json!({ "group": name }),
            Scope::Playbook(name) => json!({ "playbook": name }),
            Scope::Rule(name) => json!({ "rule": name }),
        }
    }
}

impl Place {
    /// The switch itself, where the data directory is named, or where no engine answers and it is here.
    fn switch(&self) -> Result<Option<Switch>, String> {
        let of = |dir: &std::path::Path| Some(Switch::of(dir, Clock::system()));
        if let Some(dir) = &self.data {
            return if dir.is_dir() {
                Ok(of(dir))
            } else {
                Err(format!("{} is not a directory", dir.display()))
            };
        }
        let Err(why) = self.remote.list("/api/freeze", "items", usize::MAX) else { return Ok(None) };
        let setup = Setup { config: self.config.clone(), data: None, listen: None };
        let dir = setup.load()?.data;
        if !dir.is_dir() {
            return Err(format!("{why}; to freeze without it, name its data directory with --data"));
        }
        let file = dir.join(FILE);
        output::line(output::warn(format!(
            "{why}\nso {} is written, which an engine of that folder obeys from its next effect on",
            file.display()
        )));
        Ok(of(&dir))
    }
}
