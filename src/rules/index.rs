//! Finds the few rules that can match an event, whatever the number of rules.
//!
//! First by topic: patterns are groups, and which groups a topic belongs to is looked up in a hash map (no wildcards)
//! and a trie of tokens (wildcards). Then by one field: where a condition can only hold if some field equals one of
//! few literals, the rule stands in a hash map under these. What is left of the condition is tested on those alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::rule::{Part, Rule};
use crate::condition::scalar::Op;
use crate::condition::{Fields, Path, Root, Scalar, Term};
use crate::model::Pattern;

type Map<K, V> = HashMap<K, V, ahash::RandomState>;

/// The index of one set.
#[derive(Debug)]
pub struct Index {
    /// Tells sets apart, for what a caller keeps between events.
    pub id: u64,
    /// The fields that the conditions read.
    pub fields: Fields,
    /// The slot of the topic.
    pub topic: u32,
    groups: Vec<Group>,
    literals: Map<Box<str>, u32>,
    wildcards: Vec<Token>,
}

/// The rules of one topic pattern.
#[derive(Debug, Default)]
pub struct Group {
    /// Those to be tested on every event.
    pub always: Vec<Entry>,
    /// Those to be looked up by a field.
    pub keyed: Vec<Keyed>,
}

/// Rules by the value of one field.
#[derive(Debug)]
pub struct Keyed {
    slot: u32,
    texts: Map<Box<str>, Vec<Entry>>,
    ints: Map<i64, Vec<Entry>>,
    bools: [Vec<Entry>; 2],
}

/// A rule as a candidate.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which rule of the set.
    pub rule: u32,
    /// Which part of the rule.
    pub part: u16,
    /// What is left to be tested.
    pub test: Test,
}

/// What is left to be tested of a candidate.
#[derive(Clone, Debug)]
pub enum Test {
    /// Nothing.
    Pass,
    /// This.
    Term(Term),
    /// The condition itself, by Rhai.
    Script,
}

/// A node of the trie of patterns with wildcards.
#[derive(Debug, Default)]
struct Token {
    next: Map<Box<str>, u32>,
    any: Option<u32>,
    /// The group of the pattern that ends here.
    here: Option<u32>,
    /// The group of the pattern that ends here with `>`.
    rest: Option<u32>,
}

/// A literal that a field must equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Text(Box<str>),
    Int(i64),
    Bool(bool),
}

/// Most literals of one `in [...]` that a rule is filed under; longer lists are tested.
const MAX_KEYS: usize = 64;
/// Whole floats up to here differ from each other by more than Rhai's epsilon.
const EXACT: f64 = 1e15;

impl Index {
    /// Indexes the enabled ones of `rules`.
    pub fn new(rules: &[Arc<Rule>]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let parts: Vec<(u32, Part<'_>)> = (0..).zip(rules).flat_map(|(n, rule)| parts(n, rule)).collect();
        let paths =
            parts.iter().flat_map(|(_, part)| &part.when).flat_map(|when| when.paths().iter().cloned());
        let topic = Path::root(Root::Topic);
        let fields = Fields::new(paths.chain([topic.clone()]));
        let mut index = Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            topic: fields.slot(&topic).unwrap_or(0),
            fields,
            groups: Vec::new(),
            literals: Map::default(),
            wildcards: vec![Token::default()],
        };
        let terms: Vec<Option<Term>> = parts.iter().map(|(_, part)| term(part, &index.fields)).collect();
        let mut values: HashMap<u32, HashSet<Key>> = HashMap::new();
        for (slot, keys) in terms.iter().flatten().flat_map(|t| index.choices(t)) {
            values.entry(slot).or_default().extend(keys);
        }
        let spread: HashMap<u32, usize> = values.into_iter().map(|(slot, keys)| (slot, keys.len())).collect();
        for ((rule, part), term) in parts.iter().zip(terms) {
            let choices = term.as_ref().map(|t| index.choices(t)).unwrap_or_default();
            let choice = choices.into_iter().max_by_key(|(slot, _)| spread.get(slot));
            let test = match term {
                _ if part.when.is_empty() => Test::Pass,
                None => Test::Script,
                Some(term) => Test::Term(term),
            };
            let mut seen = HashSet::new();
            for pattern in part.on.iter().filter(|pattern| seen.insert(pattern.as_str())) {
                let group = index.group(pattern);
                let entry = Entry { rule: *rule, part: part.number, test: test.clone() };
                index.groups[group as usize].add(entry, choice.as_ref());
            }
        }
        index
    }

    /// The groups of `topic`.
    pub fn groups_of(&self, topic: &str) -> Box<[u32]> {
        let mut found: Vec<u32> = self.literals.get(topic).copied().into_iter().collect();
        let mut at = vec![0_u32];
        for token in topic.split('.') {
            let mut next = Vec::new();
            for node in at.iter().map(|n| &self.wildcards[*n as usize]) {
                found.extend(node.rest);
                next.extend(node.next.get(token).copied());
                next.extend(node.any);
            }
            at = next;
        }
        found.extend(at.iter().filter_map(|n| self.wildcards[*n as usize].here));
        found.into()
    }

    /// A group.
    pub fn group_at(&self, group: u32) -> &Group {
        &self.groups[group as usize]
    }

    fn group(&mut self, pattern: &Pattern) -> u32 {
        let fresh = u32::try_from(self.groups.len()).expect("a set has fewer than 2^32 patterns");
        let place = if pattern.is_literal() {
            self.literals.entry(pattern.as_str().into()).or_insert(fresh)
        } else {
            let mut at = 0;
            let mut rest = false;
            for token in pattern.as_str().split('.') {
                let nodes = u32::try_from(self.wildcards.len()).expect("a set has fewer than 2^32 tokens");
                let node = &mut self.wildcards[at];
                at = match token {
                    ">" => {
                        rest = true;
                        break;
                    }
                    "*" => *node.any.get_or_insert(nodes),
                    token => *node.next.entry(token.into()).or_insert(nodes),
                } as usize;
                if at == self.wildcards.len() {
                    self.wildcards.push(Token::default());
                }
            }
            let node = &mut self.wildcards[at];
            if rest { node.rest.get_or_insert(fresh) } else { node.here.get_or_insert(fresh) }
        };
        let group = *place;
        if group == fresh {
            self.groups.push(Group::default());
        }
        group
    }

    /// The fields that must equal one of few literals for `term` to hold.
    fn choices(&self, term: &Term) -> Vec<(u32, Vec<Key>)> {
        let found = term.conjuncts().into_iter().filter_map(|term| match term {
            Term::Is(Op::Eq, slot, value) => Some((*slot, vec![key(value)?])),
            Term::Compare(Op::Eq, sides) => match &**sides {
                (Term::Const(value), Term::Field(slot)) => Some((*slot, vec![key(value)?])),
                _ => None,
            },
            Term::In(term, list) if !list.is_empty() && list.len() <= MAX_KEYS => match &**term {
                Term::Field(slot) => Some((*slot, list.iter().map(key).collect::<Option<_>>()?)),
                _ => None,
            },
            _ => None,
        });
        found.filter(|(slot, _)| self.fields.is_plain(*slot)).collect()
    }
}

impl Group {
    fn add(&mut self, mut entry: Entry, choice: Option<&(u32, Vec<Key>)>) {
        let Some((slot, keys)) = choice else { return self.always.push(entry) };
        let keyed = match self.keyed.iter().position(|keyed| keyed.slot == *slot) {
            Some(at) => &mut self.keyed[at],
            None => {
                let (texts, ints) = (Map::default(), Map::default());
                self.keyed.push(Keyed { slot: *slot, texts, ints, bools: Default::default() });
                self.keyed.last_mut().expect("one was just pushed")
            }
        };
        if let ([Key::Text(text)], Test::Term(term)) = (&keys[..], &entry.test) {
            entry.test = without(term, *slot, text);
        }
        let mut seen = HashSet::new();
        for key in keys.iter().filter(|key| seen.insert(*key)) {
            match key {
                Key::Text(text) => keyed.texts.entry(text.clone()).or_default().push(entry.clone()),
                Key::Int(n) => keyed.ints.entry(*n).or_default().push(entry.clone()),
                Key::Bool(b) => keyed.bools[usize::from(*b)].push(entry.clone()),
            }
        }
    }
}

impl Keyed {
    /// The rules filed under the value of the field; `each` is called with lists of them.
    #[inline]
    pub fn find<'i>(&'i self, slots: &[Scalar<'_>], mut each: impl FnMut(&'i [Entry])) {
        match &slots[self.slot as usize] {
            Scalar::Str(text) => self.texts.get(&**text).into_iter().for_each(|list| each(list)),
            Scalar::Int(n) => self.ints.get(n).into_iter().for_each(|list| each(list)),
            Scalar::Bool(b) => each(&self.bools[usize::from(*b)]),
            // A float may equal a whole number, by Rhai's rules also one that it only comes close to.
            Scalar::Float(n) if n.abs() < EXACT => {
                #[expect(clippy::cast_possible_truncation, reason = "below 1e15")]
                let near = n.round() as i64;
                self.ints.get(&near).into_iter().for_each(|list| each(list));
            }
            Scalar::Float(_) => self.ints.values().for_each(|list| each(list)),
            Scalar::Missing | Scalar::Array(_) | Scalar::Map | Scalar::Unknown => {}
        }
    }
}

/// The lowered form of a part's conditions over the set's slots, if all of them have one.
fn term(part: &Part<'_>, fields: &Fields) -> Option<Term> {
    let mut terms = Vec::new();
    for when in &part.when {
        let slots: Option<Vec<u32>> = when.paths().iter().map(|path| fields.slot(path)).collect();
        terms.push(when.term()?.renumbered(&slots?));
    }
    if terms.len() > 1 { Some(Term::And(terms.into())) } else { terms.pop() }
}

fn parts(n: u32, rule: &Rule) -> impl Iterator<Item = (u32, Part<'_>)> {
    rule.parts().into_iter().map(move |part| (n, part))
}

fn key(value: &Scalar<'_>) -> Option<Key> {
    match value {
        Scalar::Str(text) => Some(Key::Text((&**text).into())),
        Scalar::Int(n) => Some(Key::Int(*n)),
        Scalar::Bool(b) => Some(Key::Bool(*b)),
        _ => None,
    }
}

/// `term` without the clause that the look-up of `text` in `slot` has already answered.
fn without(term: &Term, slot: u32, text: &str) -> Test {
    let mut gone = false;
    let mut left: Vec<Term> = Vec::new();
    for clause in term.conjuncts() {
        if !gone && matches!(clause, Term::Is(Op::Eq, s, Scalar::Str(t)) if *s == slot && **t == *text) {
            gone = true;
        } else {
            left.push(clause.clone());
        }
    }
    match (left.len(), left.pop()) {
        (_, None) => Test::Pass,
        (1, Some(only)) => Test::Term(only),
        (_, Some(last)) => {
            left.push(last);
            Test::Term(Term::And(left.into()))
        }
    }
}
