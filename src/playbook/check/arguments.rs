//! Reading the arguments of host functions where they are written out: what would be refused when the call is made is
//! told before anything runs.
//!
//! What is an error here fails at each call, whatever happens; what is only odd is a warning. Must say nothing about
//! values that take a run to know. The rules themselves are those of `host/`.

use std::ops::Range;

use rhai::{Expr, FnCallExpr, Position};

use super::literal::{Kind, fields, items, text, value};
use super::range;
use crate::condition;
use crate::model::diagnostic::nearest;
use crate::model::{Diagnostic, Pattern, Topic};
use crate::playbook::program::File;
use crate::playbook::{convert, host, reference};

/// What an argument or an option must be.
#[derive(Clone, Copy)]
enum Must {
    Text,
    Time,
    Bool,
    Retries,
}

/// Options that each function knows, by the name of their type in the table of functions.
const OPTIONS: [(&str, &[(&str, Must)]); 4] = [
    (
        "ActOptions",
        &[("timeout", Must::Time), ("retries", Must::Retries), ("backoff", Must::Time), ("key", Must::Text)],
    ),
    ("AllOptions", &[("partial", Must::Bool)]),
    ("AskOptions", &[("details", Must::Bool)]),
    ("WaitOptions", &[("since", Must::Text)]),
];

/// What is wrong with `call` of a host function that takes this many arguments.
pub fn check(file: &File, call: &FnCallExpr, found: &mut Vec<Diagnostic>) {
    let Some(function) = reference::FUNCTIONS.iter().find(|it| it.name == call.name.as_str()) else { return };
    let form = function.forms.iter().map(|it| parameters(it)).find(|it| it.len() == call.args.len());
    let mut reader = Reader { file, function, found };
    for ((name, wanted), expr) in form.into_iter().flatten().zip(call.args.iter()) {
        reader.argument(name, wanted, expr);
    }
}

/// Names and types of a form such as `(time: Time) -> ()`.
fn parameters(form: &'static str) -> Vec<(&'static str, &'static str)> {
    let inside = form.split_once(") ->").map_or("", |(it, _)| it).trim_start_matches('(');
    inside.split(", ").filter_map(|it| it.split_once(": ")).collect()
}

struct Reader<'a> {
    file: &'a File,
    function: &'static reference::Function,
    found: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn argument(&mut self, name: &str, wanted: &str, expr: &Expr) {
        let kind = Kind::of(expr);
        let fits = match wanted {
            "string" => kind == Kind::Text,
            "map" => kind == Kind::Map,
            "array" | "[Wish]" => kind == Kind::List,
            "Time" => return self.option(name, Must::Time, expr),
            options if options.ends_with("Options") => kind == Kind::Map,
            _ => true,
        };
        if kind != Kind::Any && !fits {
            let wanted = match wanted {
                "string" => "text",
                "array" | "[Wish]" => "a list",
                _ => "a map",
            };
            return self.wrong_kind(name, wanted, kind, expr);
        }
        if let Some((_, known)) = OPTIONS.iter().find(|(it, _)| *it == wanted) {
            self.options(known, expr);
        }
        match (self.function.name, name) {
            ("wait_for", "topic") => self.topic(expr, |it| Pattern::try_new(it).err()),
            ("emit", "topic") => self.topic(expr, |it| Topic::try_new(it).err()),
            ("wait_for", "when") => self.condition(expr, kind),
            ("log", "level") => {
                if let Some(Err((why, hint))) = text(expr).map(host::note::known_level) {
                    self.error(self.at(expr), why, hint);
                }
            }
            ("metric", "name") if text(expr).is_some_and(|it| !host::note::is_metric(it)) => {
                let name = text(expr).unwrap_or_default();
                self.error(
                    self.at(expr),
                    format!("metric: `{name}` is no name"),
                    "use letters, digits and . _ - :",
                );
            }
            ("metric", "value") if !matches!(kind, Kind::Int | Kind::Float | Kind::Any) => {
                self.wrong_kind(name, "a number", kind, expr);
            }
            ("ask", "question") if text(expr).is_some_and(|it| it.trim().is_empty()) => {
                self.error(
                    self.at(expr),
                    "ask: the question is empty".into(),
                    "say what a person is to decide",
                );
            }
            ("ask", "choices") => self.choices(expr),
            ("emit" | "continue_as_new", _) if kind == Kind::Function => {
                self.wrong_kind(name, "text, numbers, true or false, lists and maps", kind, expr);
            }
            ("all", "actions") => self.wishes(expr),
            _ => {}
        }
    }

    fn options(&mut self, known: &[(&str, Must)], expr: &Expr) {
        for (key, position, value) in fields(expr).into_iter().flatten() {
            match known.iter().find(|(it, _)| *it == key) {
                Some((name, must)) => self.option(name, *must, value),
                None => {
                    let names = known.iter().map(|(it, _)| *it);
                    let help = match nearest(key, names.clone()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
                    };
                    let text = format!("{} knows no option `{key}`", self.function.name);
                    self.error(range(&self.file.text, position), text, help);
                }
            }
        }
    }

    fn option(&mut self, name: &str, must: Must, expr: &Expr) {
        let (kind, function) = (Kind::of(expr), self.function.name);
        // What `act` is given as `()` it takes for not said.
        if kind == Kind::Any || kind == Kind::Nothing && matches!(function, "act" | "all") {
            return;
        }
        match must {
            Must::Text if kind != Kind::Text => self.wrong_kind(name, "text", kind, expr),
            Must::Bool if kind != Kind::Bool => self.wrong_kind(name, "true or false", kind, expr),
            Must::Time => self.time(name, kind, expr),
            Must::Retries => {
                let most = host::act::MAX_RETRIES;
                let number = value(expr).and_then(|it| it.as_i64());
                if kind != Kind::Int {
                    self.wrong_kind(name, &format!("a whole number from 0 to {most}"), kind, expr);
                } else if let Some(n) = number.filter(|n| !(0..=most).contains(n)) {
                    let help = format!("give a whole number from 0 to {most}");
                    self.error(self.at(expr), format!("{function}: `retries` cannot be {n}"), help);
                }
            }
            Must::Text | Must::Bool => {}
        }
    }

    fn time(&mut self, name: &str, kind: Kind, expr: &Expr) {
        let wanted = "a length of time such as \"30s\", or a number of seconds";
        if !matches!(kind, Kind::Text | Kind::Int | Kind::Float) {
            return self.wrong_kind(name, wanted, kind, expr);
        }
        let Some(value) = value(expr) else { return };
        let function = self.function.name;
        match host::time(&convert::to_script(&value)) {
            Err(why) => {
                let (why, help) = why.split_once(": ").unwrap_or((&why, "write 30s, 5m or 1h30m"));
                self.error(self.at(expr), format!("{function}: {why}"), help);
            }
            Ok(time) if time.is_zero() && name != "backoff" => {
                let text = match function {
                    "sleep" => "this waits for no time at all",
                    "ask" => "the time is up before anybody can answer",
                    "wait_for" => "the time is up before an event can come",
                    _ => "the time is up before the action can end",
                };
                self.warning(self.at(expr), format!("{function}: {text}"), "give a time such as \"30s\"");
            }
            Ok(_) => {}
        }
    }

    fn topic<E: std::fmt::Display>(&mut self, expr: &Expr, wrong: impl Fn(&str) -> Option<E>) {
        let Some(why) = text(expr).and_then(wrong) else { return };
        let help = match self.function.name {
            "emit" => "an event has one topic, such as shop.order.lost",
            _ => "write a topic such as shop.order.lost; `*` stands for one part, `>` for the rest",
        };
        self.error(self.at(expr), format!("{}: {why}", self.function.name), help);
    }

    fn condition(&mut self, expr: &Expr, kind: Kind) {
        if !matches!(kind, Kind::Text | Kind::Nothing | Kind::Any) {
            return self.wrong_kind("when", "a condition in quotes, or `()` for any event", kind, expr);
        }
        let Some(condition) = text(expr).filter(|it| !it.trim().is_empty()) else { return };
        let Err(error) = condition::compile(condition, &["target"]) else { return };
        let at = self.inside(expr, condition, &error.at);
        let help = match error.help {
            _ if error.message.contains("`ctx`") => {
                "of the playbook it sees `target` alone; put others in by `${…}` between backticks".into()
            }
            _ if condition.contains("${") => {
                "put values into a text between backticks: `data.kernel == \"${ctx.target}\"`".into()
            }
            Some(help) => help,
            None => "it is a condition as in rules, about one event".into(),
        };
        self.error(at, format!("wait_for: in the condition: {}", error.message), help);
    }

    fn choices(&mut self, expr: &Expr) {
        let Some(choices) = items(expr) else { return };
        let most = host::wait::MAX_CHOICES;
        if choices.len() > most {
            let text = format!("ask: {} choices, a person can be given {most}", choices.len());
            self.error(self.at(expr), text, "ask twice, or take any text for an answer: `[]`");
        }
        for (i, choice) in choices.iter().enumerate() {
            let kind = Kind::of(choice);
            let again = text(choice).is_some_and(|it| choices[..i].iter().any(|one| text(one) == Some(it)));
            if again {
                self.warning(self.at(choice), "ask: this choice is there already".into(), "take one out");
            } else if text(choice).is_some_and(|it| it.trim().is_empty()) {
                self.warning(
                    self.at(choice),
                    "ask: an empty choice says nothing".into(),
                    "write what is meant",
                );
            } else if !matches!(kind, Kind::Text | Kind::Any) {
                let told = format!("ask: the answer comes as text, this choice is {}", kind.words());
                self.warning(self.at(choice), told, "write it between quotes");
            }
        }
    }

    /// The actions of `all`.
    fn wishes(&mut self, expr: &Expr) {
        let Some(wishes) = items(expr) else { return };
        let most = host::act::MAX_TOGETHER;
        if wishes.len() > most {
            let text = format!("all: {} actions at once, the limit is {most}", wishes.len());
            self.error(self.at(expr), text, "call `all` several times");
        }
        let form = "write #{ action: \"…\", params: #{ … } }";
        for wish in wishes {
            match wish {
                Expr::FnCall(call, position) if call.name == "act" => {
                    let text = "all: this `act` is carried out by itself, before `all` begins";
                    self.error(range(&self.file.text, *position), text.into(), form);
                }
                Expr::Map(..) => self.wish(wish, form),
                other if !matches!(Kind::of(other), Kind::Any) => {
                    let text = format!("all: this is {}, where an action is wanted", Kind::of(other).words());
                    self.error(self.at(other), text, form);
                }
                _ => {}
            }
        }
    }

    fn wish(&mut self, wish: &Expr, form: &str) {
        let mut names = Vec::new();
        for (key, position, value) in fields(wish).into_iter().flatten() {
            names.push(key);
            let kind = Kind::of(value);
            let known = OPTIONS[0].1;
            match key {
                "action" if !matches!(kind, Kind::Text | Kind::Any) => {
                    self.wrong_kind(key, "the action's name", kind, value)
                }
                "params" if !matches!(kind, Kind::Map | Kind::Any) => {
                    self.wrong_kind(key, "a map", kind, value)
                }
                "action" | "params" => {}
                _ => match known.iter().find(|(it, _)| *it == key) {
                    Some((name, must)) => self.option(name, *must, value),
                    None => {
                        let names = ["action", "params"].into_iter().chain(known.iter().map(|(it, _)| *it));
                        let help = nearest(key, names)
                            .map_or_else(|| form.to_string(), |near| format!("did you mean `{near}`?"));
                        let text = format!("all: an action has no `{key}`");
                        self.error(range(&self.file.text, position), text, help);
                    }
                },
            }
        }
        if !names.contains(&"action") {
            self.error(self.at(wish), "all: this does not say which action".into(), form);
        }
    }

    fn wrong_kind(&mut self, name: &str, wanted: &str, kind: Kind, expr: &Expr) {
        let text = format!("{}: `{name}` must be {wanted}, this is {}", self.function.name, kind.words());
        let help = match (kind, name) {
            (_, "retries") => "such as `retries: 3`".into(),
            (_, "timeout" | "backoff") if self.function.name != "ask" && self.function.name != "wait_for" => {
                format!("such as `{name}: \"30s\"`")
            }
            (_, "partial" | "details") => format!("write `{name}: true`"),
            (_, "options") if self.function.name == "act" => {
                "such as `#{ retries: 3, timeout: \"30s\" }`".into()
            }
            (_, "since") => "such as `since: now()`".into(),
            (_, "key") => "such as `key: \"order-7\"`".into(),
            (Kind::Char, _) => "text stands between double quotes".into(),
            _ => format!("write it as {}", self.function.example),
        };
        self.error(self.at(expr), text, help);
    }

    fn error(&mut self, at: Range<usize>, text: String, help: impl Into<String>) {
        let file = self.file;
        self.found.push(Diagnostic::error("P0217", &file.path, &file.text, at, text).help(help));
    }

    fn warning(&mut self, at: Range<usize>, text: String, help: &str) {
        let file = self.file;
        self.found.push(Diagnostic::error("P0217", &file.path, &file.text, at, text).warning().help(help));
    }

    fn at(&self, expr: &Expr) -> Range<usize> {
        range(&self.file.text, expr.start_position())
    }

    /// The part `at` of the text that `expr` is, in the file; all of it where it is not written as it reads.
    fn inside(&self, expr: &Expr, content: &str, at: &Range<usize>) -> Range<usize> {
        let whole = self.at(expr);
        let start = whole.start + 1;
        let as_it_reads = self.file.text.get(start..).is_some_and(|rest| rest.starts_with(content));
        if !as_it_reads || matches!(expr.start_position(), Position::NONE) {
            return whole;
        }
        // What is missing at the end is shown at the end.
        let from = at.start.min(content.len().saturating_sub(1));
        start + from..start + at.end.clamp(from + 1, content.len().max(from + 1))
    }
}
