//! What is known of an expression before anything runs: its kinds, and what gave it.
//!
//! Follows variables that stay as they were declared. Must never guess: what is not certain may be anything. Start with
//! [`Knowledge::of`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use rhai::{Expr, FnCallExpr, Stmt};
use serde_json::Value;

use super::chain::{Step, steps};
use super::kinds::Kinds;
use super::literal::{Kind, fields, items, text};
use super::scope::{Source, Surroundings};
use crate::actions::{BUILTIN, Spec};
use crate::playbook::header::Header;
use crate::playbook::params;

/// What is known of a value.
#[derive(Clone)]
pub struct Known<'a> {
    /// What it may be.
    pub kinds: Kinds,
    /// What gave it.
    pub from: From<'a>,
    /// Whether that is as certain as the engine itself; else a plugin says so.
    pub sure: bool,
}

/// What gave a value.
#[derive(Clone)]
pub enum From<'a> {
    /// Something of no interest.
    Elsewhere,
    /// One of these actions; whether by `all`.
    Result(Vec<Given<'a>>, bool),
    /// `all` with `partial: true`, which tells of one of these actions.
    Outcome(Vec<Given<'a>>),
    /// A list of these.
    List(Box<Known<'a>>),
    /// `wait_for`, or the event that fired the rule.
    Event,
    /// `ask`, with the choices, as far as they are known.
    Answer(Vec<String>),
    /// `ask` with `details: true`.
    Details,
    /// `catch`.
    Failure,
    /// The engine.
    Ctx,
    /// `ctx.params`.
    Params,
    /// A parameter that is a length of time.
    Time,
    /// `ctx.done`.
    Done,
}

/// What an action says of its result, or of a part of it.
#[derive(Clone)]
pub struct Given<'a> {
    /// In words: what has these fields.
    pub what: String,
    /// The action's name.
    pub action: &'a str,
    /// Fields, by name.
    pub fields: &'a serde_json::Map<String, Value>,
    /// Whether it has no others.
    pub complete: bool,
}

impl Given<'_> {
    /// The field that is true or false, and says how it went.
    pub fn answer(&self) -> Option<&str> {
        let is_bool = |(_, schema): &(&String, &Value)| schema["type"] == "boolean";
        self.fields.iter().filter(is_bool).map(|(name, _)| name.as_str()).find(|it| *it != "truncated")
    }
}

impl<'a> Known<'a> {
    /// A value of these kinds.
    pub fn kinds(kinds: Kinds) -> Self {
        Self::of(kinds, From::Elsewhere)
    }

    fn of(kinds: Kinds, from: From<'a>) -> Self {
        Self { kinds, from, sure: true }
    }

    fn any() -> Self {
        Self::kinds(Kinds::ANY)
    }
}

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 24;
const NONE: Kinds = Kinds::ANY;

/// What is known in one function.
pub struct Knowledge<'a> {
    header: &'a Header,
    specs: &'a [Spec],
    /// The whole file.
    pub around: &'a Surroundings,
    variables: BTreeMap<String, Source>,
    seen: RefCell<BTreeMap<String, Known<'a>>>,
    depth: RefCell<usize>,
}

impl<'a> Knowledge<'a> {
    /// What is known in a function of these `statements`; `given` is its argument that is what the engine gave.
    pub fn new(
        header: &'a Header,
        specs: &'a [Spec],
        around: &'a Surroundings,
        statements: &[Stmt],
        params: &[&str],
        given: Option<&str>,
    ) -> Self {
        let variables = around.variables(statements, params, given);
        let (seen, depth) = (RefCell::default(), RefCell::default());
        Self { header, specs, around, variables, seen, depth }
    }

    /// What is known of `expr`.
    pub fn of(&self, expr: &Expr) -> Known<'a> {
        if *self.depth.borrow() > MAX_DEPTH {
            return Known::any();
        }
        *self.depth.borrow_mut() += 1;
        let known = self.expression(expr);
        *self.depth.borrow_mut() -= 1;
        known
    }

    /// What `expr` stands for, where that is written out.
    pub fn written<'s>(&'s self, expr: &'s Expr) -> &'s Expr {
        let mut at = expr;
        for _ in 0..MAX_DEPTH {
            let Expr::Variable(it, ..) = at else { break };
            let next = match it.2.path.as_slice() {
                [] => match self.variables.get(it.1.as_str()) {
                    Some(Source::Value(value)) => Some(value),
                    _ => None,
                },
                [module] if module.name == "global" => self.around.constant(&it.1),
                _ => None,
            };
            match next.filter(|it| matches!(it, Expr::Variable(..)) || Kind::of(it) != Kind::Any) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// The actions of which something is known.
    pub fn actions(&self) -> &'a [Spec] {
        self.specs
    }

    /// The declared parameters.
    pub fn declared(&self) -> &'a params::Params {
        &self.header.params
    }

    fn expression(&self, expr: &Expr) -> Known<'a> {
        match expr {
            Expr::Variable(it, ..) if it.2.is_empty() => self.variable(&it.1),
            Expr::Variable(it, ..) => match it.2.path.as_slice() {
                [module] if module.name == "global" => {
                    self.around.constant(&it.1).map_or_else(Known::any, |it| self.of(it))
                }
                _ => Known::any(),
            },
            Expr::Dot(..) | Expr::Index(..) => {
                let (root, steps) = steps(expr);
                steps.iter().fold(self.of(root), |known, step| self.step(&known, step))
            }
            Expr::FnCall(call, _) => self.call(call),
            Expr::Coalesce(parts, _) => {
                let known: Vec<_> = parts.iter().map(|it| self.of(it).kinds).collect();
                let (last, first) = known.split_last().unwrap_or((&NONE, &[]));
                Known::kinds(first.iter().fold(*last, |all, it| all.or(it.there())))
            }
            other => Known::kinds(Kinds::of(Kind::of(other))),
        }
    }

    fn variable(&self, name: &str) -> Known<'a> {
        if let Some(known) = self.seen.borrow().get(name) {
            return known.clone();
        }
        let known = match self.variables.get(name) {
            Some(Source::Value(value)) => self.of(value),
            Some(Source::ItemOf(list)) => match self.of(list).from {
                From::List(item) => *item,
                _ => Known::any(),
            },
            Some(Source::Count) => Known::kinds(Kinds::of(Kind::Int)),
            Some(Source::Failure) => Known::of(Kinds::ANY, From::Failure),
            Some(Source::Ctx) => Known::of(Kinds::of(Kind::Map), From::Ctx),
            None => Known::any(),
        };
        self.seen.borrow_mut().insert(name.into(), known.clone());
        known
    }

    /// What is known after one more `step`.
    pub fn step(&self, base: &Known<'a>, step: &Step) -> Known<'a> {
        let mut known = match step {
            Step::Field(name, _) => self.field(base, name),
            Step::Item => match &base.from {
                From::List(item) => (**item).clone(),
                _ => Known::any(),
            },
            Step::Method(call, _) if self.around.defines(&call.name) => Known::any(),
            Step::Method(call, _) => method(base, &call.name),
        };
        if base.kinds.has(Kind::Nothing) {
            known.kinds = known.kinds.or(Kinds::of(Kind::Nothing));
        }
        known.sure &= base.sure;
        known
    }

    fn field(&self, base: &Known<'a>, name: &str) -> Known<'a> {
        let nothing = Kinds::of(Kind::Nothing);
        let (text, map) = (Kinds::of(Kind::Text), Kinds::of(Kind::Map));
        match (&base.from, name) {
            (From::Result(given, _), _) => of_result(given, name),
            (From::Outcome(_), "ok") => Known::kinds(Kinds::of(Kind::Bool)),
            (From::Outcome(given), "result") => {
                let mut known = result(given.clone(), true);
                known.kinds = known.kinds.or(nothing);
                known
            }
            (From::Outcome(_) | From::Done, "error") => Known::kinds(map.or(nothing)),
            (From::Details, "answer" | "by" | "at")
            | (From::Event, "id" | "topic")
            | (From::Ctx, "target" | "rule")
            | (From::Done, "action") => Known::kinds(text),
            (From::Done, "params") => Known::kinds(map),
            (From::Ctx, "attempt" | "confidence") => Known::kinds(Kinds::NUMBER),
            (From::Ctx, "event") => Known::of(map.or(nothing), From::Event),
            (From::Ctx, "events") => {
                let item = Box::new(Known::of(map, From::Event));
                Known::of(Kinds::of(Kind::List).or(nothing), From::List(item))
            }
            (From::Ctx, "done") => {
                let item = Box::new(Known::of(map, From::Done));
                Known::of(Kinds::of(Kind::List).or(nothing), From::List(item))
            }
            (From::Ctx, "params") => Known::of(map, From::Params),
            (From::Params, _) => self.param(name),
            _ => Known::any(),
        }
    }

    fn param(&self, name: &str) -> Known<'a> {
        let Some(param) = self.header.params.get(name) else { return Known::any() };
        let mut known = Known::kinds(match param.kind {
            params::Kind::String => Kinds::of(Kind::Text),
            params::Kind::Int => Kinds::of(Kind::Int),
            params::Kind::Float => Kinds::NUMBER,
            params::Kind::Bool => Kinds::of(Kind::Bool),
            params::Kind::List => Kinds::of(Kind::List),
            params::Kind::Map => Kinds::of(Kind::Map),
            params::Kind::Duration if self.around.asks_types => Kinds::ANY,
            params::Kind::Duration => Kinds::of(Kind::Text).or(Kinds::NUMBER),
        });
        let is_text = param.default.as_ref().is_none_or(Value::is_string);
        if param.kind == params::Kind::Duration && is_text && !self.around.asks_types {
            known.from = From::Time;
        }
        if param.default.is_none() && !param.required {
            known.kinds = known.kinds.or(Kinds::of(Kind::Nothing));
        }
        known
    }

    fn call(&self, call: &FnCallExpr) -> Known<'a> {
        let kinds = |kind| Known::kinds(Kinds::of(kind));
        if call.op_token.is_some() {
            return self.operator(call);
        }
        if !call.namespace.is_empty() || self.around.defines(&call.name) {
            return Known::any();
        }
        let nothing = Kinds::of(Kind::Nothing);
        match (call.name.as_str(), call.args.len()) {
            ("act", 2 | 3) => self.spec(&call.args[0]).map_or_else(Known::any, |it| result(vec![it], false)),
            ("all", 1 | 2) => self.together(call),
            ("wait_for", 2..=4) => Known::of(Kinds::of(Kind::Map).or(nothing), From::Event),
            ("ask", 3) => {
                let choices = items(self.written(&call.args[1]));
                let choices: Option<Vec<_>> =
                    choices.and_then(|all| all.iter().map(|it| text(self.written(it))).collect());
                let choices = choices.unwrap_or_default().into_iter().map(String::from).collect();
                Known::of(Kinds::of(Kind::Text).or(nothing), From::Answer(choices))
            }
            ("ask", 4) if self.is_true(&call.args[3], "details") => {
                Known::of(Kinds::of(Kind::Map).or(nothing), From::Details)
            }
            ("now" | "uuid", 0) | ("type_of", 1) => kinds(Kind::Text),
            ("random", 0) => kinds(Kind::Float),
            ("steps", 0) => kinds(Kind::Int),
            _ => Known::any(),
        }
    }

    fn operator(&self, call: &FnCallExpr) -> Known<'a> {
        let bool = Known::kinds(Kinds::of(Kind::Bool));
        let int = Kinds::of(Kind::Int);
        match (call.name.as_str(), call.args.as_slice()) {
            ("==" | "!=" | "<" | ">" | "<=" | ">=", [_, _]) | ("!", [_]) => bool,
            ("+" | "-" | "*" | "/" | "%", [left, right]) => {
                let (left, right) = (self.of(left).kinds, self.of(right).kinds);
                let text = Kinds::of(Kind::Text);
                match call.name.as_str() {
                    _ if left == int && right == int => Known::kinds(int),
                    _ if left.within(Kinds::NUMBER) && right.within(Kinds::NUMBER) => {
                        Known::kinds(Kinds::NUMBER)
                    }
                    "+" if left == text => Known::kinds(text),
                    _ => Known::any(),
                }
            }
            _ => Known::any(),
        }
    }

    /// Whether `options` are written out, and set `name`.
    fn is_true(&self, options: &Expr, name: &str) -> bool {
        let options = self.written(options);
        let mut all = fields(options).into_iter().flatten();
        all.any(|(key, _, it)| key == name && matches!(self.written(it), Expr::BoolConstant(true, _)))
    }

    /// The action that `name` names.
    pub fn action(&self, name: &Expr) -> Option<&'a Spec> {
        let name = text(self.written(name))?;
        self.specs.iter().find(|it| it.name == name)
    }

    fn spec(&self, name: &Expr) -> Option<Given<'a>> {
        self.action(name).and_then(given)
    }

    fn together(&self, call: &FnCallExpr) -> Known<'a> {
        let wish = |item: &Expr| {
            let item = self.written(item);
            let (_, _, action) = fields(item)?.find(|(key, ..)| *key == "action")?;
            self.spec(action)
        };
        let listed = items(self.written(&call.args[0]));
        let named: Option<Vec<_>> = match listed {
            Some(items) if !items.is_empty() => items.iter().map(wish).collect(),
            _ => None,
        };
        // Whatever it is: only these are allowed.
        let allowed = || {
            let spec = |name: &String| self.specs.iter().find(|it| it.name == *name).and_then(given);
            self.header.actions.iter().map(spec).collect::<Option<Vec<_>>>()
        };
        let Some(given) = named.or_else(allowed).filter(|it| !it.is_empty()) else { return Known::any() };
        let partial = call.args.get(1).map(|it| self.written(it));
        let item = match partial {
            None => result(given, true),
            Some(it) if self.is_true(it, "partial") => Known::of(Kinds::of(Kind::Map), From::Outcome(given)),
            _ => return Known::kinds(Kinds::of(Kind::List)),
        };
        Known::of(Kinds::of(Kind::List), From::List(Box::new(item)))
    }
}

/// What `spec` says of the action's result.
fn given(spec: &Spec) -> Option<Given<'_>> {
    let fields = spec.result.get("properties").and_then(Value::as_object)?;
    let complete = BUILTIN.contains(&spec.name.as_str());
    Some(Given { what: format!("what `{}` gives", spec.name), action: &spec.name, fields, complete })
}

fn result(given: Vec<Given<'_>>, by_all: bool) -> Known<'_> {
    let sure = given.iter().all(|it| it.complete);
    Known { kinds: Kinds::of(Kind::Map), from: From::Result(given, by_all), sure }
}

/// The field `name` of what one of these gave.
fn of_result<'a>(given: &[Given<'a>], name: &str) -> Known<'a> {
    let kinds = given.iter().map(|it| match it.fields.get(name) {
        Some(schema) => Kinds::of_schema(schema),
        None => Kinds::ANY,
    });
    let mut known = Known::kinds(kinds.reduce(Kinds::or).unwrap_or(Kinds::ANY));
    known.sure = given.iter().all(|it| it.complete || BUILTIN.contains(&it.action));
    let [one] = given else { return known };
    let Some(schema) = one.fields.get(name) else { return known };
    // Only what the whole gives is said in full.
    let inner = |schema: &'a Value, what: String| {
        let fields = schema.get("properties").and_then(Value::as_object)?;
        let given = Given { what, action: one.action, fields, complete: false };
        Some(Known { kinds: Kinds::of(Kind::Map), from: From::Result(vec![given], false), sure: known.sure })
    };
    if let Some(it) = inner(schema, format!("`{name}` of {}", one.what)) {
        known.from = it.from;
    } else if let Some(items) = schema.get("items") {
        let item = inner(items, format!("an item of `{name}`"))
            .unwrap_or_else(|| Known { sure: known.sure, ..Known::kinds(Kinds::of_schema(items)) });
        known.from = From::List(Box::new(item));
    }
    known
}

/// What the method `name` gives of `base`. A map may hold functions of any name.
fn method<'a>(base: &Known<'a>, name: &str) -> Known<'a> {
    let is_plain = |kinds: Kinds| {
        let there = kinds.there();
        !there.is_any() && !there.has(Kind::Map) && !there.has(Kind::Function)
    };
    if !is_plain(base.kinds) && matches!(base.from, From::Elsewhere | From::Failure) {
        return if name == "type_of" { Known::kinds(Kinds::of(Kind::Text)) } else { Known::any() };
    }
    Known::kinds(Kinds::of(match name {
        "len" => Kind::Int,
        "is_empty" | "contains" | "starts_with" | "ends_with" => Kind::Bool,
        "type_of" | "to_string" | "to_debug" | "sub_string" | "to_upper" | "to_lower" => Kind::Text,
        "split" | "keys" | "values" => Kind::List,
        "filter" if base.kinds.there() == Kinds::of(Kind::List) => {
            return Known { from: base.from.clone(), ..Known::kinds(Kinds::of(Kind::List)) };
        }
        "map" if base.kinds.there() == Kinds::of(Kind::List) => Kind::List,
        "all" | "some" if base.kinds.there() == Kinds::of(Kind::List) => Kind::Bool,
        "trim" | "make_upper" | "make_lower" if base.kinds.there() == Kinds::of(Kind::Text) => Kind::Nothing,
        _ => return Known::any(),
    }))
}
