//! Evaluates an expression over an event within a budget.
//!
//! It walks Rhai's syntax tree itself, so that nothing is copied or computed that was not counted before: the values
//! of the event are borrowed, lists are asked where they lie, and what a function will cost is charged before it is
//! called. Functions that are not known here are Rhai's own ([`native`]), under the same charges. The answers are
//! Rhai's; property tests compare the two. Start with [`Program::value`].

mod calls;
mod lists;
mod native;
mod value;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use rhai::{AST, ASTFlags, BinaryExpr, Dynamic, Expr, FnCallExpr, ImmutableString, Position};
use serde_json::Value;

use self::value::Val;
pub(super) use self::value::size_of_json;
use super::budget::{Budget, STEP, Spent, VALUE};
use super::closures;
use super::path::Root;
use super::patterns::{Kind, Pattern};
use super::scalar::Scalar;
use super::view::{View, envelope};

/// Most closures that may be called within each other.
const MAX_CLOSURES: usize = 8;

/// An expression as it is evaluated.
#[derive(Debug)]
pub(super) struct Program {
    expr: Expr,
    closures: HashMap<ImmutableString, Closure>,
}

#[derive(Debug)]
struct Closure {
    params: Vec<ImmutableString>,
    body: Expr,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Fail {
    pub(super) message: String,
    /// Where in the expression as Rhai reads it.
    pub(super) at: Position,
}

impl Fail {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: Position::NONE }
    }

    /// At `at`, unless it is known better where.
    fn at(mut self, at: Position) -> Self {
        if self.at.is_none() {
            self.at = at;
        }
        self
    }
}

impl From<Spent> for Fail {
    fn from(Spent(message): Spent) -> Self {
        Self::new(message)
    }
}

impl Program {
    /// The program of an expression that [`script`](super::script) has checked.
    pub(super) fn new(ast: &AST, expr: Expr) -> Self {
        let closures = ast
            .shared_lib()
            .iter_script_fn_info()
            .zip(closures::bodies(ast))
            .filter_map(|((.., function), body)| {
                let params = body.params.iter().map(|param| param.as_str().into()).collect();
                Some((function.name.clone(), Closure { params, body: body.expression()? }))
            })
            .collect();
        Self { expr, closures }
    }

    /// Whether it holds.
    pub(super) fn test(&self, view: &View<'_>, budget: &Budget) -> Result<bool, Fail> {
        match Eval::new(self, view, budget).eval(&self.expr, &Locals::NONE)? {
            Val::One(Scalar::Bool(holds)) => Ok(holds),
            Val::One(Scalar::Missing) => Ok(false),
            other => {
                Err(Fail::new(format!("a condition must be true or false, this is {}", other.type_name())))
            }
        }
    }

    /// What it is.
    pub(super) fn value(&self, view: &View<'_>, budget: &Budget) -> Result<Value, Fail> {
        Eval::new(self, view, budget).eval(&self.expr, &Locals::NONE)?.to_json(budget)
    }
}

/// One evaluation.
struct Eval<'v> {
    program: &'v Program,
    view: &'v View<'v>,
    budget: &'v Budget,
    depth: Cell<usize>,
    /// The patterns that came out of the event, each compiled once and paid for once.
    patterns: RefCell<HashMap<(Kind, String), Pattern>>,
}

/// The variables of a closure.
struct Locals<'a, 'v> {
    names: &'a [ImmutableString],
    values: &'a [Val<'v>],
}

impl Locals<'_, '_> {
    const NONE: Self = Self { names: &[], values: &[] };
}

/// One step of `a.b["c"].d()`.
struct Link<'v> {
    by_index: bool,
    element: &'v Expr,
    /// Whether the chain ends here if what is before it is missing.
    leaves: bool,
}

impl<'v> Eval<'v> {
    fn new(program: &'v Program, view: &'v View<'v>, budget: &'v Budget) -> Self {
        Self { program, view, budget, depth: Cell::new(0), patterns: RefCell::default() }
    }

    fn eval(&self, expr: &'v Expr, locals: &Locals<'_, 'v>) -> Result<Val<'v>, Fail> {
        self.budget.work(STEP)?;
        Ok(match expr {
            Expr::BoolConstant(b, _) => Val::One(Scalar::Bool(*b)),
            Expr::IntegerConstant(n, _) => Val::One(Scalar::Int(*n)),
            Expr::FloatConstant(n, _) => Val::One(Scalar::Float(**n)),
            Expr::StringConstant(text, _) => Val::One(Scalar::Str(Cow::Borrowed(text.as_str()))),
            Expr::CharConstant(c, _) => Val::Other((*c).into()),
            Expr::Unit(_) => Val::MISSING,
            Expr::DynamicConstant(value, _) => match value.read_lock::<rhai::FnPtr>() {
                Some(closure) => Val::Closure(closure.fn_name().into(), Rc::default()),
                None => Val::Other((**value).clone()).copy(self.budget)?,
            },
            Expr::Array(items, _) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    self.budget.bytes(VALUE)?;
                    list.push(self.eval(item, locals)?);
                }
                Val::List(Rc::new(list))
            }
            Expr::Map(entries, _) => {
                let mut map = rhai::Map::new();
                for (key, value) in &entries.0 {
                    self.budget.bytes(VALUE + key.name.len() as u64)?;
                    map.insert(key.name.as_str().into(), self.eval(value, locals)?.dynamic(self.budget)?);
                }
                Val::Other(map.into())
            }
            Expr::Variable(x, ..) => self.variable(x.1.as_str(), locals)?,
            Expr::And(all, _) => {
                for one in all.iter() {
                    if !self.holds(one, locals)? {
                        return Ok(Val::One(Scalar::Bool(false)));
                    }
                }
                Val::One(Scalar::Bool(true))
            }
            Expr::Or(any, _) => {
                for one in any.iter() {
                    if self.holds(one, locals)? {
                        return Ok(Val::One(Scalar::Bool(true)));
                    }
                }
                Val::One(Scalar::Bool(false))
            }
            Expr::Coalesce(list, _) => {
                for one in list.iter() {
                    let value = self.eval(one, locals)?;
                    if !value.is_missing() {
                        return Ok(value);
                    }
                }
                Val::MISSING
            }
            Expr::FnCall(call, at) => {
                let args = self.all(&call.args, locals)?;
                self.call(call, args).map_err(|fail| fail.at(*at))?
            }
            Expr::Dot(..) | Expr::Index(..) => self.chain(expr, locals)?,
            Expr::Stmt(block) => match closures::captures(block) {
                Some(curry) => self.closure(curry, locals)?,
                None => return Err(Fail::new("blocks are not allowed in an expression")),
            },
            other => return Err(Fail::new("this cannot be evaluated").at(other.position())),
        })
    }

    fn all(&self, list: &'v [Expr], locals: &Locals<'_, 'v>) -> Result<Vec<Val<'v>>, Fail> {
        list.iter().map(|expr| self.eval(expr, locals)).collect()
    }

    fn holds(&self, expr: &'v Expr, locals: &Locals<'_, 'v>) -> Result<bool, Fail> {
        match self.eval(expr, locals)? {
            Val::One(Scalar::Bool(holds)) => Ok(holds),
            other => Err(Fail::new(other.is_no_question()).at(expr.position())),
        }
    }

    fn variable(&self, name: &str, locals: &Locals<'_, 'v>) -> Result<Val<'v>, Fail> {
        if let Some(n) = locals.names.iter().position(|local| local == name) {
            return Ok(locals.values.get(n).unwrap_or(&Val::MISSING).copy(self.budget)?);
        }
        if let Some((_, value)) = self.view.vars().iter().find(|(known, _)| *known == name) {
            return Ok(Val::json(value));
        }
        if name == "event" {
            self.budget.bytes(1_024 + size_of_json(self.view.data(), self.budget.work_left()))?;
            return Ok(Val::Other(self.view.variable(name)));
        }
        Ok(Root::of_variable(name).map_or(Val::MISSING, |root| self.root(root)))
    }

    fn root(&self, root: Root) -> Val<'v> {
        match root {
            Root::Data => Val::json(self.view.data()),
            root => {
                envelope(self.view.event(), root).map_or(Val::MISSING, |text| Val::One(Scalar::Str(text)))
            }
        }
    }

    /// A closure with what it takes along.
    fn closure(&self, curry: &'v FnCallExpr, locals: &Locals<'_, 'v>) -> Result<Val<'v>, Fail> {
        let mut args = self.all(&curry.args, locals)?.into_iter();
        match args.next() {
            Some(Val::Closure(name, _)) => Ok(Val::Closure(name, Rc::new(args.collect()))),
            _ => Err(Fail::new("this is not a closure")),
        }
    }

    /// What the closure `name` says of `element`.
    fn ask(&self, name: &str, captured: &[Val<'v>], element: Val<'v>) -> Result<Val<'v>, Fail> {
        let closure = self.program.closures.get(name).ok_or_else(|| Fail::new("this is not a closure"))?;
        if closure.params.len() != captured.len() + 1 {
            let wants = closure.params.len().saturating_sub(captured.len());
            return Err(Fail::new(format!("the closure takes {wants} values, it is given one element")));
        }
        let mut values = Vec::with_capacity(captured.len() + 1);
        for value in captured {
            values.push(value.copy(self.budget)?);
        }
        values.push(element);
        if self.depth.get() >= MAX_CLOSURES {
            return Err(Fail::new(format!("more than {MAX_CLOSURES} closures are within each other")));
        }
        self.depth.set(self.depth.get() + 1);
        let answer = self.eval(&closure.body, &Locals { names: &closure.params, values: &values });
        self.depth.set(self.depth.get() - 1);
        answer
    }

    fn chain(&self, expr: &'v Expr, locals: &Locals<'_, 'v>) -> Result<Val<'v>, Fail> {
        let Some((root, links)) = links(expr) else { return Err(Fail::new("this cannot be evaluated")) };
        // As Rhai does: what stands in brackets first, then what the chain begins with.
        let mut given = Vec::with_capacity(links.len());
        for link in &links {
            given.push(match link.element {
                Expr::MethodCall(call, _) if !link.by_index => self.all(&call.args, locals)?,
                index if link.by_index => vec![self.eval(index, locals)?],
                _ => Vec::new(),
            });
        }
        let mut steps = links.iter().zip(given);
        let mut value = match (root, &links[0]) {
            // A field of the envelope, without copying the rest.
            (Expr::Variable(x, ..), Link { by_index: false, element: Expr::Property(field, _), .. })
                if x.1 == "event" && !locals.names.iter().any(|name| name == "event") =>
            {
                steps.next();
                match Root::of_event(field.2.as_str()) {
                    Some(root) => self.root(root),
                    None => self.property(self.variable("event", locals)?, field.2.as_str())?,
                }
            }
            (root, _) => self.eval(root, locals)?,
        };
        for (link, mut given) in steps {
            self.budget.work(STEP)?;
            if link.leaves && value.is_missing() {
                return Ok(Val::MISSING);
            }
            let at = link.element.position();
            value = match link.element {
                Expr::Property(x, _) if !link.by_index => self.property(value, x.2.as_str()),
                Expr::MethodCall(call, _) if !link.by_index => {
                    given.insert(0, value);
                    self.call(call, given)
                }
                _ => self.index(value, given.pop().unwrap_or(Val::MISSING)),
            }
            .map_err(|fail| fail.at(at))?;
        }
        Ok(value)
    }

    fn property(&self, value: Val<'v>, name: &str) -> Result<Val<'v>, Fail> {
        match &value {
            Val::One(Scalar::Missing) => return Ok(Val::MISSING),
            Val::Json(Value::Object(map)) => return Ok(map.get(name).map_or(Val::MISSING, Val::json)),
            Val::Other(other) if other.is_map() => return self.entry(other, name),
            _ => {}
        }
        if name == "len"
            && let Some(list) = value.list(self.budget)?
        {
            return Ok(Val::One(Scalar::Int(i64::try_from(list.len()).unwrap_or(i64::MAX))));
        }
        self.native(&format!("a0.{name}"), name, vec![value])
    }

    fn entry(&self, map: &Dynamic, name: &str) -> Result<Val<'v>, Fail> {
        let Ok(map) = map.as_map_ref() else { return Ok(Val::MISSING) };
        let Some(value) = map.get(name) else { return Ok(Val::MISSING) };
        let copy = Val::Other(value.clone());
        self.budget.bytes(copy.size(self.budget.work_left()))?;
        Ok(Val::of(value.clone()))
    }

    fn index(&self, value: Val<'v>, index: Val<'v>) -> Result<Val<'v>, Fail> {
        match (&value, &index) {
            (Val::One(Scalar::Missing), Val::One(Scalar::Str(_) | Scalar::Int(_))) => {
                return Ok(Val::MISSING);
            }
            (Val::Json(Value::Object(map)), Val::One(Scalar::Str(name))) => {
                return Ok(map.get(&**name).map_or(Val::MISSING, Val::json));
            }
            (Val::Other(other), Val::One(Scalar::Str(name))) if other.is_map() => {
                return self.entry(other, name);
            }
            (_, Val::One(Scalar::Int(n))) => {
                if let Some(list) = value.list(self.budget)? {
                    let len = list.len();
                    let from_end = || len.checked_sub(usize::try_from(n.unsigned_abs()).ok()?);
                    let place = if *n < 0 { from_end() } else { usize::try_from(*n).ok() };
                    return Ok(place.map_or(Ok(Val::MISSING), |n| list.get(n, self.budget))?);
                }
            }
            _ => {}
        }
        self.native("a0[a1]", "[]", vec![value, index])
    }
}

/// What a chain begins with, and its links.
fn links(expr: &Expr) -> Option<(&Expr, Vec<Link<'_>>)> {
    let (mut x, mut flags, mut by_index) = parts(expr)?;
    let (root, mut links) = (&x.lhs, Vec::with_capacity(2));
    loop {
        let leaves = flags.intersects(ASTFlags::NEGATED);
        // A chain is nested to the right; BREAK says that what stands right is not part of it.
        match parts(&x.rhs).filter(|_| !flags.intersects(ASTFlags::BREAK)) {
            Some((next, its_flags, its_index)) => {
                links.push(Link { by_index, element: &next.lhs, leaves });
                (x, flags, by_index) = (next, its_flags, its_index);
            }
            None => {
                links.push(Link { by_index, element: &x.rhs, leaves });
                return Some((root, links));
            }
        }
    }
}

/// Both sides of a link, and whether it is one in brackets.
fn parts(expr: &Expr) -> Option<(&BinaryExpr, ASTFlags, bool)> {
    match expr {
        Expr::Dot(x, flags, _) => Some((x, *flags, false)),
        Expr::Index(x, flags, _) => Some((x, *flags, true)),
        _ => None,
    }
}
