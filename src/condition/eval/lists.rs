//! Questions about lists that take a closure: `any`, `all`, `none`, `count`, `filter`, `map`.
//!
//! What is not a list is a list of one; a missing one has no elements, and nothing holds for it. The answer does not
//! depend on the order of a list: an element for which the question fails does not hide another that settles it.

use std::rc::Rc;

use rhai::ImmutableString;

use super::value::Val;
use super::{Eval, Fail};
use crate::condition::budget::{ELEMENT, VALUE};
use crate::condition::scalar::Scalar;

/// A question with a closure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Any,
    All,
    None,
    Count,
    Filter,
    Map,
}

impl<'v> Eval<'v> {
    /// The question `name` about `this`; none if it is not one.
    pub(super) fn quantify(
        &self,
        name: &str,
        this: &Val<'v>,
        closure: &ImmutableString,
        captured: &[Val<'v>],
    ) -> Result<Option<Val<'v>>, Fail> {
        let ask = match name {
            "any" => Ask::Any,
            "all" => Ask::All,
            "none" => Ask::None,
            "count" => Ask::Count,
            "filter" => Ask::Filter,
            "map" => Ask::Map,
            _ => return Ok(None),
        };
        let yes_or_no = |holds| Ok(Some(Val::One(Scalar::Bool(holds))));
        let list = this.list(self.budget)?;
        let len = match (&list, this.is_missing()) {
            (Some(list), _) => list.len(),
            (None, true) if matches!(ask, Ask::Any | Ask::All | Ask::None) => return yes_or_no(false),
            (None, missing) => usize::from(!missing),
        };
        let (mut kept, mut holds, mut failed) = (Vec::new(), 0_i64, None);
        for n in 0..len {
            self.budget.work(ELEMENT)?;
            let element = || match &list {
                Some(list) => list.get(n, self.budget),
                None => this.copy(self.budget),
            };
            let answer = self.ask(closure, captured, element()?);
            if ask == Ask::Map {
                self.budget.bytes(VALUE)?;
                kept.push(answer?);
                continue;
            }
            let yes = match answer.and_then(|answer| holds_for(&answer)) {
                Ok(yes) => yes,
                // Another element may settle it, unless this one has used up what an evaluation may take.
                Err(fail) if matches!(ask, Ask::Any | Ask::All | Ask::None) && !self.budget.is_spent() => {
                    failed.get_or_insert(fail);
                    continue;
                }
                Err(fail) => return Err(fail),
            };
            holds += i64::from(yes);
            match (ask, yes) {
                (Ask::Any, true) => return yes_or_no(true),
                (Ask::All, false) | (Ask::None, true) => return yes_or_no(false),
                (Ask::Filter, true) => {
                    self.budget.bytes(VALUE)?;
                    kept.push(element()?);
                }
                _ => {}
            }
        }
        failed.map_or(Ok(()), Err)?;
        Ok(Some(match ask {
            Ask::Any => Val::One(Scalar::Bool(false)),
            Ask::All | Ask::None => Val::One(Scalar::Bool(true)),
            Ask::Count => Val::One(Scalar::Int(holds)),
            Ask::Filter | Ask::Map => Val::List(Rc::new(kept)),
        }))
    }
}

/// What a closure answered of an element; missing is false.
fn holds_for(answer: &Val<'_>) -> Result<bool, Fail> {
    match answer {
        Val::One(Scalar::Bool(yes)) => Ok(*yes),
        Val::One(Scalar::Missing) => Ok(false),
        other => Err(Fail::new(format!(
            "what is asked of each element is true or false, this is {}",
            other.type_name()
        ))),
    }
}
