//! From Rhai's syntax tree to a [`Term`], where every part of the expression has one.
//!
//! What is not known here is simply not lowered, and Rhai runs the expression; nothing is lowered that could answer
//! otherwise than Rhai does.

use std::borrow::Cow;

use rhai::{ASTFlags, ASTNode, Expr, FnCallExpr, Token};

use super::builtin::Builtin;
use super::path::{Key, Path, Root};
use super::patterns::Pattern;
use super::scalar::{Op, Scalar, Sum};
use super::term::{Term, TextOp};

/// A lowered expression and the fields that its slots stand for.
pub(super) struct Lowered {
    /// The expression.
    pub term: Term,
    /// Slot `i` is field `paths[i]`.
    pub paths: Vec<Path>,
}

/// Lowers `expr`, if all of it can be.
pub(super) fn lower(expr: &Expr, vars: &[&str]) -> Option<Lowered> {
    let mut lowering = Lowering { vars, paths: Vec::new() };
    let term = lowering.term(expr)?;
    Some(Lowered { term, paths: lowering.paths })
}

/// The fields that `exprs` read, as far as they are plain paths; for explanations.
pub(super) fn fields<'e>(exprs: impl Iterator<Item = &'e Expr>, vars: &[&str]) -> Vec<Path> {
    let mut lowering = Lowering { vars, paths: Vec::new() };
    for expr in exprs {
        lowering.note(expr);
    }
    // That a closure reads something of the payload is said by what it reads.
    let whole = Path::root(Root::Data);
    if lowering.paths.iter().any(|path| path.root == Root::Data && *path != whole) {
        lowering.paths.retain(|path| *path != whole);
    }
    lowering.paths
}

struct Lowering<'a> {
    vars: &'a [&'a str],
    paths: Vec<Path>,
}

/// One link of `a.b["c"].d()`.
enum Link<'e> {
    Key(&'e str),
    Index(usize),
    Method(&'e FnCallExpr),
}

impl Lowering<'_> {
    /// Notes the fields that `expr` reads.
    fn note(&mut self, expr: &Expr) {
        expr.walk(&mut Vec::new(), &mut |nodes| {
        let chain = |node: &ASTNode<'_>| matches!(node, ASTNode::Expr(Expr::Dot(..) | Expr::Index(..)));
        if let [above @ .., ASTNode::Expr(expr @ (Expr::Variable(..) | Expr::Dot(..) | Expr::Index(..)))] =
            nodes
            && !above.last().is_some_and(chain)
        {
            // The field is noted even if what is then done with it is not known here.
            let known = self.chain(expr);
            drop(known);
        }
        true
    });
    }

    fn term(&mut self, expr: &Expr) -> Option<Term> {
        match expr {
            Expr::And(all, _) => Some(Term::And(self.questions(all)?)),
            Expr::Or(any, _) => Some(Term::Or(self.questions(any)?)),
            Expr::Coalesce(list, _) => {
                let mut terms = self.terms(list)?.into_vec().into_iter().rev();
                let last = terms.next()?;
                Some(terms.fold(last, |right, left| Term::Else(Box::new((left, right)))))
            }
            Expr::FnCall(call, _) => self.call(call),
            Expr::Variable(..) | Expr::Dot(..) | Expr::Index(..) => self.chain(expr),
            _ => literal(expr).map(Term::Const),
        }
    }

    fn terms(&mut self, list: &[Expr]) -> Option<Box<[Term]>> {
        list.iter().map(|expr| self.term(expr)).collect()
    }

    /// What stands under `&&`, `||` and `!`. Of what may be neither true nor false Rhai says what is wrong.
    fn questions(&mut self, list: &[Expr]) -> Option<Box<[Term]>> {
        self.terms(list).filter(|terms| terms.iter().all(Term::is_question))
    }

    fn call(&mut self, call: &FnCallExpr) -> Option<Term> {
        let (first, rest) = call.args.split_first()?;
        let Some(token) = call.op_token.as_ref().filter(|token| !matches!(token, Token::In | Token::NotIn))
        else {
            // `x in list` is `contains(list, x)`.
            if let ("contains", Some(list), [item]) = (call.name.as_str(), list(first), rest) {
                return Some(Term::In(Box::new(self.term(item)?), list));
            }
            if let ("contains", Some((least, most)), [item]) = (call.name.as_str(), range(first), rest) {
                return Some(Term::Between(Box::new(self.term(item)?), least, most));
            }
            let first = self.term(first)?;
            return self.function(call.name.as_str(), first, rest);
        };
        if let Some(op) = comparison(token) {
            let sides = (self.term(first)?, self.term(rest.first()?)?);
            return Some(match sides {
                (Term::Field(field), Term::Const(value)) => Term::Is(op, field, value),
                sides => Term::Compare(op, Box::new(sides)),
            });
        }
        if let (Some(op), [second]) = (sum(token), rest) {
            return Some(Term::Sum(op, Box::new((self.term(first)?, self.term(second)?))));
        }
        match (token, rest) {
            (Token::Bang, []) => Some(Term::Not(Box::new(self.term(first).filter(Term::is_question)?))),
            (Token::Minus | Token::UnaryMinus, []) => Some(Term::Neg(Box::new(self.term(first)?))),
            _ => None,
        }
    }

    fn function(&mut self, name: &str, first: Term, rest: &[Expr]) -> Option<Term> {
        let text = |op, this: &mut Self| match rest {
            [part] => Some(Term::Text(op, Box::new((first.clone(), this.term(part)?)))),
            _ => None,
        };
        match name {
            "contains" => return text(TextOp::Contains, self),
            "starts_with" => return text(TextOp::StartsWith, self),
            "ends_with" => return text(TextOp::EndsWith, self),
            _ => {}
        }
        if let Some(builtin) = Builtin::named(name, 1 + rest.len()) {
            if let (Builtin::Matches(kind), [Expr::StringConstant(pattern, _)]) = (builtin, rest) {
                return Some(Term::Matches(Box::new(first), Pattern::compile(kind, pattern).ok()?));
            }
            let mut args = Vec::with_capacity(2);
            if builtin == Builtin::Age {
                args.push(Term::Field(self.slot(Path::root(Root::Clock))?));
            }
            args.push(first);
            args.extend(self.terms(rest)?);
            return Some(Term::Call(builtin, args.into()));
        }
        if !rest.is_empty() {
            return None;
        }
        let first = Box::new(first);
        match name {
            "truth" if first.is_question() => Some(*first),
            "truth" => Some(Term::Truth(first)),
            "len" => Some(Term::Len(first)),
            "to_lower" => Some(Term::Lower(first)),
            "to_upper" => Some(Term::Upper(first)),
            "is_empty" => Some(Term::IsEmpty(first)),
            "is_missing" => Some(Term::IsMissing(first)),
            "exists" => Some(Term::Not(Box::new(Term::IsMissing(first)))),
            _ => None,
        }
    }

    fn chain(&mut self, expr: &Expr) -> Option<Term> {
        let (variable, links) = links(expr)?;
        let mut links = links.into_iter().peekable();
        let root = if variable == "event" {
            match links.next()? {
                Link::Key(key) => Root::of_event(key)?,
                Link::Index(_) | Link::Method(_) => return None,
            }
        } else if let Some(n) = self.vars.iter().position(|v| *v == variable) {
            Root::Var(u8::try_from(n).ok()?)
        } else {
            Root::of_variable(variable)?
        };
        let mut keys = Vec::new();
        while let Some(key) = links.next_if(|link| !matches!(link, Link::Method(_))) {
            match key {
                Link::Key(name) => keys.push(Key::Name(name.into())),
                Link::Index(n) => keys.push(Key::Index(n)),
                Link::Method(_) => {}
            }
        }
        let mut term = Term::Field(self.slot(Path { root, keys: keys.into() })?);
        for link in links {
            match link {
                Link::Method(call) => term = self.function(call.name.as_str(), term, &call.args)?,
                Link::Key(_) | Link::Index(_) => return None,
            }
        }
        Some(term)
    }

    fn slot(&mut self, path: Path) -> Option<u32> {
        let n = self.paths.iter().position(|p| *p == path).unwrap_or_else(|| {
            self.paths.push(path);
            self.paths.len() - 1
        });
        u32::try_from(n).ok()
    }
}

/// The variable that a chain starts with, and its links.
fn links(expr: &Expr) -> Option<(&str, Vec<Link<'_>>)> {
    if let Expr::Variable(x, ..) = expr {
        return Some((x.1.as_str(), Vec::new()));
    }
    let mut links = Vec::new();
    let (mut variable, mut leaves) = (None, false);
    let (mut expr, mut indexed) = (expr, false);
    loop {
        // A chain is nested to the right; BREAK says that what stands right is no chain of its own.
        let (element, next) = match expr {
            Expr::Dot(x, flags, _) => (&x.lhs, Some((&x.rhs, false, flags))),
            Expr::Index(x, flags, _) => (&x.lhs, Some((&x.rhs, true, flags))),
            last => (last, None),
        };
        match (variable, element) {
            (None, Expr::Variable(x, ..)) => variable = Some(x.1.as_str()),
            (None, _) => return None,
            (Some(_), Expr::Property(x, _)) if !indexed => links.push(Link::Key(x.2.as_str())),
            (Some(_), Expr::MethodCall(call, _)) if !indexed && !leaves => links.push(Link::Method(call)),
            (Some(_), Expr::StringConstant(key, _)) if indexed => links.push(Link::Key(key.as_str())),
            (Some(_), Expr::IntegerConstant(n, _)) if indexed => {
                links.push(Link::Index(usize::try_from(*n).ok()?));
            }
            _ => return None,
        }
        let Some((right, by_index, flags)) = next else {
            return Some((variable?, links));
        };
        // `?.` and `?[` leave the whole chain where something is missing: for fields that is the same as to go on, but
        // not for methods.
        leaves |= flags.intersects(ASTFlags::NEGATED);
        if flags.intersects(ASTFlags::BREAK) && matches!(right, Expr::Dot(..) | Expr::Index(..)) {
            return None;
        }
        (expr, indexed) = (right, by_index);
    }
}

/// The least and the greatest whole number of a range that is written out.
fn range(expr: &Expr) -> Option<(i64, i64)> {
    let Expr::FnCall(call, _) = expr else { return None };
    match (call.name.as_str(), &call.args[..]) {
        ("..=", [Expr::IntegerConstant(from, _), Expr::IntegerConstant(to, _)]) => Some((*from, *to)),
        ("..", [Expr::IntegerConstant(from, _), Expr::IntegerConstant(to, _)]) => {
            Some((*from, to.checked_sub(1)?))
        }
        _ => None,
    }
}

fn list(expr: &Expr) -> Option<Box<[Scalar<'static>]>> {
    match expr {
        Expr::Array(items, _) => items.iter().map(literal).collect(),
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<Scalar<'static>> {
    Some(match expr {
        Expr::BoolConstant(b, _) => Scalar::Bool(*b),
        Expr::IntegerConstant(n, _) => Scalar::Int(*n),
        Expr::FloatConstant(n, _) => Scalar::Float(**n),
        Expr::StringConstant(text, _) => Scalar::Str(Cow::Owned(text.to_string())),
        Expr::Unit(_) => Scalar::Missing,
        _ => return None,
    })
}

fn comparison(token: &Token) -> Option<Op> {
    Some(match token {
        Token::EqualsTo => Op::Eq,
        Token::NotEqualsTo => Op::Ne,
        Token::LessThan => Op::Lt,
        Token::LessThanEqualsTo => Op::Le,
        Token::GreaterThan => Op::Gt,
        Token::GreaterThanEqualsTo => Op::Ge,
        _ => return None,
    })
}

fn sum(token: &Token) -> Option<Sum> {
    Some(match token {
        Token::Plus => Sum::Add,
        Token::Minus => Sum::Sub,
        Token::Multiply => Sum::Mul,
        Token::Divide => Sum::Div,
        Token::Modulo => Sum::Rem,
        _ => return None,
    })
}
