//! `paramedic check`: every mistake in rules, playbooks and the configuration, at once. Starts nothing.

mod given;
mod pages;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use self::given::Given;
use super::{Setup, output};
use crate::engine::Config;
use crate::engine::config::problems;
use crate::engine::files::{Built, Sources};
use crate::engine::rehearse;
use crate::model::Diagnostic;
use crate::model::diagnostic::Severity;
use crate::{actions, plugins};

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rule files, playbooks and folders of them to check, instead of the configured ones; a folder with a
    /// `paramedic.yaml` is checked as a whole
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    setup: Setup,
    /// Directory of rules, instead of the configured one
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Directory of playbooks, instead of the configured one
    #[arg(long, value_name = "DIR")]
    playbooks: Option<PathBuf>,
    /// Print JSON, for editors and CI
    #[arg(long)]
    json: bool,
    /// Take a warning for a mistake, but for what is only not there on this machine (P0306)
    #[arg(long)]
    deny_warnings: bool,
    /// Print what a code such as P0107 means, with an example and how to mend it
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "rules", "playbooks", "deny_warnings"])]
    explain: Option<String>,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report<'a> {
    diagnostics: Vec<Entry<'a>>,
    errors: usize,
    warnings: usize,
    /// How many rules are fine; none if any has a mistake.
    rules: Option<usize>,
    /// How many playbooks are fine; none if any has a mistake.
    playbooks: Option<usize>,
}

/// A diagnostic in the form that editors want: a range from `column` up to, but without, `end_column`.
#[derive(Serialize)]
struct Entry<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    end_column: u32,
    severity: Severity,
    code: &'a str,
    message: &'a str,
    help: Option<&'a str>,
}

/// What was checked.
struct Checked {
    built: Built,
    /// The playbooks that alone were to be checked, if so.
    meant: Option<BTreeSet<String>>,
}

impl Checked {
    fn errors(&self) -> usize {
        self.built.errors()
    }

    /// How many rules are fine; none if one has a mistake.
    fn rules(&self) -> Option<usize> {
        self.built.rules.as_ref().map(|set| set.rules().len())
    }

    /// How many playbooks are fine; none if one has a mistake.
    fn playbooks(&self) -> Option<usize> {
        match &self.meant {
            Some(meant) => (self.errors() == 0).then_some(meant.len()),
            None => self.built.library.as_ref().map(|library| library.list().count()),
        }
    }
}

/// Prints every mistake; exit status 1 if there is one, 2 if what is to be checked is not there.
pub fn main(args: &Args) -> ExitCode {
    if let Some(code) = &args.explain {
        return explain(code, args.json);
    }
    let checked = match read(args) {
        Ok(checked) => checked,
        Err(exit) => return exit,
    };
    let (built, errors) = (&checked.built, checked.errors());
    let warnings = built.diagnostics.len() - errors;
    if args.json {
        output::json(&Report {
            diagnostics: built.diagnostics.iter().map(Entry::of).collect(),
            errors,
            warnings,
            rules: checked.rules(),
            playbooks: checked.playbooks(),
        });
    } else {
        print_all(&checked, errors, warnings);
    }
    // What is only not there on this machine says nothing against the files.
    let machine = built.diagnostics.iter().filter(|it| it.code == problems::code::MACHINE).count();
    let failed = errors > 0 || args.deny_warnings && warnings > machine;
    if failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

/// Everything that is to be checked, checked; or the exit status, where it is not there.
fn read(args: &Args) -> Result<Checked, ExitCode> {
    let given = [args.rules.as_ref(), args.playbooks.as_ref()].into_iter().flatten();
    for dir in given {
        if !dir.is_dir() {
            return Err(output::misused(&format!("{} is not a directory", dir.display())));
        }
    }
    let given = Given::sort(&args.paths).map_err(|why| output::misused(&why))?;
    let whole = match args.paths.as_slice() {
        [path] if path.join("paramedic.yaml").is_file() && args.setup.config.is_none() => Some(path),
        _ => None,
    };
    let setup = match whole {
        Some(path) => Setup { config: Some(path.join("paramedic.yaml")), ..args.setup.clone() },
        None => args.setup.clone(),
    };
    let problems = setup.file().map(|file| problems::problems(&file)).unwrap_or_default();
    let mut config = match setup.load() {
        Ok(config) => config,
        Err(error) if problems.is_empty() => return Err(output::failed(&error)),
        // What is wrong with it is told; the folders are looked for where they are by default.
        Err(_) => Config::beside(&setup.file().unwrap_or_default()),
    };
    if let Some(rules) = &args.rules {
        config.rules.clone_from(rules);
    }
    if let Some(playbooks) = &args.playbooks {
        config.playbooks.clone_from(playbooks);
    }
    let configured_playbooks = config.playbooks.clone();
    if whole.is_none() && !given.playbooks.is_empty() {
        config.playbooks = given.root(&config).map_err(|why| output::misused(&why))?;
    }
    let mut sources = Sources::default();
    sources.add_problems(problems);
    match given.alone(&configured_playbooks) {
        true if whole.is_none() => sources.add_playbook_files(&config.playbooks, &given.playbooks),
        _ => sources.add_playbooks(&config.playbooks),
    }
    let configured: [&Path; 1] = [&config.rules];
    let rules: Vec<&Path> = match whole {
        None if !args.paths.is_empty() => given.rules.iter().map(PathBuf::as_path).collect(),
        _ => configured.into(),
    };
    let only = whole.is_none() && !given.playbooks.is_empty() && given.rules.is_empty();
    let meant = only.then(|| given.meant(&config.playbooks, sources.playbook_files()));
    for path in rules {
        sources.add_rules(path);
    }
    let files = sources.rule_files().to_vec();
    let mut known = actions::BUILTIN.map(String::from).to_vec();
    let mut added: Vec<actions::Spec> = Vec::new();
    let mut whose: HashMap<String, &str> = HashMap::new();
    for (spec, found) in config.plugins.iter().zip(plugins::ask(&config.plugins)) {
        let taken = |action: &actions::Spec| {
            let other = whose.get(&action.name)?;
            Some(format!("its action `{}` is plugin `{other}`'s already: give it another name", action.name))
        };
        let why = match &found {
            Ok(specs) => specs.iter().find_map(taken),
            Err(why) => Some(why.clone()),
        };
        if let Some(why) = why {
            let file = setup.file().unwrap_or_default();
            sources.add_problems(vec![problems::plugin(&file, &spec.name, &why)]);
            continue;
        }
        let specs = found.unwrap_or_default();
        whose.extend(specs.iter().map(|action| (action.name.clone(), spec.name.as_str())));
        added.extend(specs);
    }
    known.extend(added.iter().map(|spec| spec.name.clone()));
    let specs = rehearse::specs().unwrap_or_default().into_iter().chain(added.iter().cloned()).collect();
    let mut built = sources.fitting(specs).build(&known);
    if let (Some(rules), Some(library)) = (&built.rules, &built.library) {
        let mistakes = rehearse::mistakes(&files, rules, library, &added);
        built.diagnostics.extend(mistakes);
    }
    if let Some(meant) = &meant {
        built.diagnostics.retain(|it| meant.contains(&it.file) || given.covers(&it.file));
    }
    Ok(Checked { built, meant })
}

impl<'a> Entry<'a> {
    fn of(it: &'a Diagnostic) -> Self {
        Self {
            file: &it.file,
            line: it.line,
            column: it.column,
            end_column: it.column + it.length,
            severity: it.severity,
            code: &it.code,
            message: &it.message,
            help: it.help.as_deref(),
        }
    }
}

fn print_all(checked: &Checked, errors: usize, warnings: usize) {
    checked.built.diagnostics.iter().for_each(print);
    match (errors, checked.rules(), checked.playbooks(), &checked.meant) {
        (0, _, Some(files), Some(_)) => {
            let [files, warnings] =
                [(files, "playbook file"), (warnings, "warning")].map(|(n, what)| count(n, what));
            let verb = if files.starts_with("1 ") { "is" } else { "are" };
            output::line(output::good(format!("{files} {verb} fine, {warnings}")));
        }
        (0, Some(rules), Some(playbooks), None) => {
            let counted = [(rules, "rule"), (playbooks, "playbook"), (warnings, "warning")];
            let [rules_text, playbooks, warnings] = counted.map(|(n, what)| count(n, what));
            output::line(output::good(format!("{rules_text} and {playbooks} are fine, {warnings}")));
            if rules == 0 {
                output::line(output::warn("there is no rule, so nothing would be repaired"));
            }
        }
        _ => output::line(output::bad(format!(
            "{}, {}; `paramedic check --explain CODE` says more",
            count(errors, "mistake"),
            count(warnings, "warning")
        ))),
    }
}

fn explain(code: &str, json: bool) -> ExitCode {
    let Some(page) = pages::find(code) else {
        return output::misused(&pages::unknown(code));
    };
    if json {
        output::json(&page);
    } else {
        output::line(page.to_string().trim_end());
    }
    ExitCode::SUCCESS
}

/// A mistake or a warning, its head in colour.
pub fn print(diagnostic: &Diagnostic) {
    let text = diagnostic.to_string();
    let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let head = match diagnostic.severity {
        Severity::Error => output::bad(head),
        Severity::Warning => output::warn(head),
    };
    output::line(format!("{head}\n{rest}\n"));
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
