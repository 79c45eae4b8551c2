//! Takes the wanted fields out of an event's JSON in one pass, without building the rest.
//!
//! The wanted paths form a trie that the reader is led along: what is wanted goes into numbered slots, borrowed from the
//! text where it holds no escapes; what is not is passed over without recursion, so that no depth of nesting can
//! overflow the stack. A key that comes twice counts as its last, as everywhere in serde_json.

mod read;

use std::collections::{BTreeMap, HashMap};

use serde::de::Error as _;

use super::json;
use super::path::{Key, Path, Root};
use super::scalar::Scalar;
use super::script;
use super::view::{envelope, written};
use crate::model::{Event, clock};

/// The wanted fields of a set of expressions, each with its slot.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    nodes: Vec<Node>,
    slots: HashMap<Path, u32>,
    /// By slot: whether nothing but a map has a property of these names.
    plain: Vec<bool>,
    /// Where the payload's fields begin.
    data: Option<usize>,
    /// The slot of the priority, which an event need not name.
    priority: Option<u32>,
    /// The slot of the time, and whether anything reads it as text.
    time: Option<(u32, bool)>,
    /// The slot of the time in microseconds.
    clock: Option<u32>,
}

#[derive(Clone, Debug)]
struct Node {
    /// The slot of this value itself.
    slot: Option<u32>,
    /// The slots of this value and all below it lie in this range.
    range: (u32, u32),
    names: Vec<(Box<str>, u32)>,
    /// Lengths of the names, one bit each: most other keys are told apart by that.
    lengths: u64,
    indexes: Vec<(usize, u32)>,
}

/// How deep a wanted path may go; each level is a level of recursion.
const MAX_DEPTH: usize = 64;

impl Fields {
    /// Numbers `paths`. Those that start in a variable or go too deep have no slot.
    pub fn new(paths: impl IntoIterator<Item = Path>) -> Self {
        let mut roots: [Branch; Root::ENVELOPE.len()] = Default::default();
        let (mut clock, mut text) = (false, false);
        for mut path in paths {
            text |= path.root == Root::Time;
            if path.root == Root::Clock {
                (clock, path) = (true, Path::root(Root::Time));
            }
            let place = Root::ENVELOPE.iter().position(|(root, _)| *root == path.root);
            if let (Some(place), true) = (place, path.keys.len() < MAX_DEPTH) {
                let end = path
                    .keys
                    .iter()
                    .fold(&mut roots[place], |at, key| at.children.entry(key.clone()).or_default());
                end.path = Some(path);
            }
        }
        let top = Node { slot: None, range: (0, 0), names: Vec::new(), lengths: 0, indexes: Vec::new() };
        let mut fields = Self { nodes: vec![top], ..Self::default() };
        let mut next = 0;
        for ((root, names), branch) in Root::ENVELOPE.into_iter().zip(roots) {
            if branch.path.is_none() && branch.children.is_empty() {
                continue;
            }
            let node = fields.add(branch, &mut next);
            if root == Root::Data {
                fields.data = Some(node as usize);
            }
            fields.nodes[0].names.extend(names.iter().map(|name| (Box::from(*name), node)));
        }
        fields.nodes[0].range.1 = next;
        if clock {
            fields.slots.insert(Path::root(Root::Clock), next);
            fields.clock = Some(next);
        }
        for node in &mut fields.nodes {
            node.lengths = node.names.iter().fold(0, |all, (name, _)| all | length(name.as_bytes()));
        }
        let mut properties = HashMap::new();
        let mut plain = vec![true; fields.slots.len()];
        for (path, slot) in &fields.slots {
            let special = path.keys.iter().any(|key| match key {
                Key::Name(name) => {
                    *properties.entry(name.clone()).or_insert_with(|| script::is_property(name))
                }
                Key::Index(_) => true,
            });
            plain[*slot as usize] = !special;
        }
        fields.plain = plain;
        fields.priority = fields.slot(&Path::root(Root::Priority));
        fields.time = fields.slot(&Path::root(Root::Time)).map(|slot| (slot, text));
        fields
    }

    /// Whether [`Scalar::Unknown`] in this slot can only be an error: no text, number or list has a property of its
    /// path's names. Of `data.name.len` it is not so, nor of `data.name[0]`.
    pub fn is_plain(&self, slot: u32) -> bool {
        self.plain.get(slot as usize).copied().unwrap_or(false)
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slot of `path`.
    pub fn slot(&self, path: &Path) -> Option<u32> {
        self.slots.get(path).copied()
    }

    /// Fills `slots` from an event. A payload that cannot be read is `null`.
    pub fn read_event<'e>(&self, event: &'e Event, slots: &mut Vec<Scalar<'e>>) {
        self.clear(slots);
        let Some(root) = self.nodes.first() else { return };
        for (name, node) in &root.names {
            let node = &self.nodes[*node as usize];
            if let Some(root) = Root::of_event(name).filter(|root| *root != Root::Data)
                && (root != Root::Time || self.time.is_some_and(|(_, text)| text))
                && let Some(text) = envelope(event, root)
            {
                node.set(slots, Scalar::Str(text));
            }
        }
        if let Some(clock) = self.clock {
            slots[clock as usize] = Scalar::Int(event.time.timestamp_micros());
        }
        if let Some(node) = self.data {
            let mut json = json::Reader::new(event.data.text());
            if read::value(self, &self.nodes[node], &mut json, slots).is_err() {
                self.nodes[node].reset(slots);
            }
        }
    }

    /// Fills `slots` from the JSON text of an event. `type` is `topic` and `payload` is `data`.
    ///
    /// # Errors
    /// When it is not one JSON object.
    pub fn read_json<'e>(&self, line: &'e str, slots: &mut Vec<Scalar<'e>>) -> Result<(), serde_json::Error> {
        self.clear(slots);
        if !line.trim_start().starts_with('{') {
            return Err(serde_json::Error::custom("an event is a JSON object"));
        }
        let mut json = json::Reader::new(line);
        let read = read::value(self, &self.nodes[0], &mut json, slots).and_then(|()| json.end());
        read.map_err(|json::Broken| broken(line))?;
        if let Some(priority) = self.priority.map(|slot| &mut slots[slot as usize])
            && *priority == Scalar::Missing
        {
            *priority = Scalar::Str("normal".into());
        }
        self.read_time(slots);
        Ok(())
    }

    /// Puts the time as every event has it in the place of what was written; if there was none, it is unknown.
    fn read_time(&self, slots: &mut [Scalar<'_>]) {
        let Some((slot, text)) = self.time else { return };
        let time = match &slots[slot as usize] {
            Scalar::Str(text) => {
                chrono::DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_micros())
            }
            _ => None,
        };
        if let Some(clock) = self.clock {
            slots[clock as usize] = time.map_or(Scalar::Unknown, Scalar::Int);
        }
        if text {
            let written = time.map(|micros| Scalar::Str(written(clock::micros(micros)).into()));
            slots[slot as usize] = written.unwrap_or(Scalar::Unknown);
        }
    }

    /// Marks what is wanted below these children as unknown.
    fn forget<'n, K: 'n>(&self, children: impl Iterator<Item = &'n (K, u32)>, slots: &mut [Scalar<'_>]) {
        for (_, child) in children {
            let (from, to) = self.nodes[*child as usize].range;
            slots[from as usize..to as usize].fill(Scalar::Unknown);
        }
    }

    fn clear(&self, slots: &mut Vec<Scalar<'_>>) {
        slots.clear();
        slots.resize(self.slots.len(), Scalar::Missing);
    }

    fn add(&mut self, branch: Branch, next: &mut u32) -> u32 {
        let at = self.nodes.len();
        let from = *next;
        let slot = branch.path.map(|path| {
            self.slots.insert(path, *next);
            *next += 1;
            *next - 1
        });
        self.nodes.push(Node {
            slot,
            range: (from, from),
            names: Vec::new(),
            lengths: 0,
            indexes: Vec::new(),
        });
        for (key, branch) in branch.children {
            let child = self.add(branch, next);
            match key {
                Key::Name(name) => self.nodes[at].names.push((name, child)),
                Key::Index(n) => self.nodes[at].indexes.push((n, child)),
            }
        }
        self.nodes[at].range.1 = *next;
        u32::try_from(at).expect("a set of rules has fewer than 2^32 paths")
    }
}

/// What is wrong with `line`, in serde_json's words.
#[cold]
fn broken(line: &str) -> serde_json::Error {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(line).err();
    error.unwrap_or_else(|| serde_json::Error::custom("this is not JSON"))
}

#[derive(Default)]
struct Branch {
    path: Option<Path>,
    children: BTreeMap<Key, Branch>,
}

/// The bit of a key's length.
fn length(key: &[u8]) -> u64 {
    1 << key.len().min(63)
}

impl Node {
    /// Takes back what an earlier value under the same key left.
    fn reset(&self, slots: &mut [Scalar<'_>]) {
        slots[self.range.0 as usize..self.range.1 as usize].fill(Scalar::Missing);
    }

    /// Stores a value that is not read further: asking for what is in it is Rhai's business, unless it is missing.
    fn set<'s>(&self, slots: &mut [Scalar<'s>], value: Scalar<'s>) {
        if !(self.names.is_empty() && self.indexes.is_empty()) && value != Scalar::Missing {
            slots[self.range.0 as usize..self.range.1 as usize].fill(Scalar::Unknown);
        }
        if let Some(slot) = self.slot {
            slots[slot as usize] = value;
        }
    }

    #[inline]
    fn child(&self, key: &[u8]) -> Option<u32> {
        if self.lengths & length(key) == 0 {
            return None;
        }
        self.names.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, node)| *node)
    }
}
