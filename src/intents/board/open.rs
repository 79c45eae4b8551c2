//! The open intents in memory: whole while they are worked on, packed while they wait for long.
//!
//! Packed, an intent takes some 200 bytes instead of kilobytes, as most of it is the same as in others of its rule.
//! Whoever asks for one gets it whole; only [`Open::pack`] packs, and only a change unpacks for good.

use std::collections::HashMap;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::arena::{Arena, Place};
use super::shorthand;
use crate::model::{Intent, IntentId, Status};

/// So many kinds of intents are packed against an example of their own; those of others are packed by themselves.
const EXAMPLES: usize = 2_000;

/// Packs by itself, without an example.
const NO_EXAMPLE: u16 = u16::MAX;

#[derive(Default)]
pub(super) struct Open {
    whole: HashMap<IntentId, Arc<Intent>>,
    /// Where in the arena are: the number of the example as 2 bytes, the length of the short form of the JSON as 4 bytes, and what
    /// is left of that after lz4.
    packed: HashMap<IntentId, Place>,
    by_key: HashMap<[u8; 16], IntentId>,
    arena: Arena,
    /// An intent of each kind in the short form of its JSON, which others of that kind resemble.
    examples: Vec<Box<[u8]>>,
    /// Which example is that of a rule and status: what has begun holds more than what stands in line.
    kinds: HashMap<(String, Status), u16>,
}

impl Open {
    pub(super) fn len(&self) -> usize {
        self.whole.len() + self.packed.len()
    }

    /// How many are kept whole.
    pub(super) fn whole(&self) -> usize {
        self.whole.len()
    }

    pub(super) fn contains(&self, id: IntentId) -> bool {
        self.packed.contains_key(&id) || self.whole.contains_key(&id)
    }

    pub(super) fn get(&self, id: IntentId) -> Option<Arc<Intent>> {
        match self.whole.get(&id) {
            Some(intent) => Some(intent.clone()),
            None => self.packed.get(&id).map(|place| Arc::new(self.unpack(*place))),
        }
    }

    /// The intent itself, to be changed; from now on it is kept whole. Also says whether it was before.
    pub(super) fn change(&mut self, id: IntentId) -> Option<(&mut Intent, bool)> {
        let was_whole = self.whole.contains_key(&id);
        if !was_whole {
            let intent = self.get(id)?;
            self.put(intent);
        }
        self.whole.get_mut(&id).map(|intent| (Arc::make_mut(intent), was_whole))
    }

    pub(super) fn put(&mut self, intent: Arc<Intent>) {
        if let Some(place) = self.packed.remove(&intent.id) {
            self.arena.remove(place);
        }
        self.whole.insert(intent.id, intent);
    }

    pub(super) fn remove(&mut self, id: IntentId) -> Option<Arc<Intent>> {
        if let Some(intent) = self.whole.remove(&id) {
            return Some(intent);
        }
        let place = self.packed.remove(&id)?;
        let intent = self.unpack(place);
        self.arena.remove(place);
        Some(Arc::new(intent))
    }

    /// The open intent of a rule and group.
    pub(super) fn of(&self, rule: &str, group: &str) -> Option<IntentId> {
        self.by_key.get(&hash(rule, group)).copied()
    }

    /// From now on `id` is the open intent of its rule and group.
    pub(super) fn bind(&mut self, rule: &str, group: &str, id: IntentId) {
        self.by_key.insert(hash(rule, group), id);
    }

    /// It is no more, if it was.
    pub(super) fn unbind(&mut self, rule: &str, group: &str, id: IntentId) {
        let key = hash(rule, group);
        if self.by_key.get(&key) == Some(&id) {
            self.by_key.remove(&key);
        }
    }

    /// All ids, oldest first.
    pub(super) fn ids(&self) -> Vec<IntentId> {
        let mut ids: Vec<IntentId> = self.whole.keys().chain(self.packed.keys()).copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Makes it small: nobody works on it for a while, or not just now but `soon`.
    pub(super) fn pack(&mut self, id: IntentId, soon: bool) {
        let Some(intent) = self.whole.get(&id) else { return };
        let Ok(json) = serde_json::to_vec(&**intent) else { return };
        let json = shorthand::write(&json);
        let kind = (intent.rule.clone(), intent.status);
        let number = match (self.kinds.get(&kind), u16::try_from(self.examples.len())) {
            (Some(known), _) => *known,
            (None, Ok(next)) if self.examples.len() < EXAMPLES => {
                self.examples.push(json.clone().into());
                self.kinds.insert(kind, next);
                next
            }
            _ => NO_EXAMPLE,
        };
        let (Ok(length), example) = (u32::try_from(json.len()), self.example(number)) else { return };
        let mut packed = number.to_le_bytes().to_vec();
        packed.extend(length.to_le_bytes());
        packed.extend(lz4_flex::block::compress_with_dict(&json, example));
        if let Some(place) = self.arena.put(&packed, soon) {
            self.whole.remove(&id);
            self.packed.insert(id, place);
        }
        if self.arena.is_sparse() {
            self.move_together();
        }
    }

    fn move_together(&mut self) {
        let old = std::mem::take(&mut self.arena);
        for place in self.packed.values_mut() {
            *place = self.arena.put(old.get(*place), false).expect("what was taken once is taken again");
        }
    }

    fn example(&self, number: u16) -> &[u8] {
        self.examples.get(usize::from(number)).map_or(&[], |json| json)
    }

    fn unpack(&self, place: Place) -> Intent {
        let unpacked = || {
            let (number, rest) = self.arena.get(place).split_first_chunk()?;
            let (length, rest) = rest.split_first_chunk()?;
            let length = u32::from_le_bytes(*length) as usize;
            let example = self.example(u16::from_le_bytes(*number));
            let short = lz4_flex::block::decompress_with_dict(rest, length, example).ok()?;
            serde_json::from_slice(&shorthand::read(&short)?).ok()
        };
        unpacked().expect("what was packed from an intent unpacks to it")
    }
}

/// 128 bits, so that two keys are never taken for one.
fn hash(rule: &str, group: &str) -> [u8; 16] {
    let mut hasher = SipHasher13::new();
    std::hash::Hash::hash(&(rule, group), &mut hasher);
    hasher.finish128().as_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::intent::Plan;
    use crate::model::{Event, Topic, clock::micros};

    fn intent(n: u128, rule: &str) -> Arc<Intent> {
        let topic = Topic::try_new("telemetry.stress.boot_failed").unwrap();
        let data = json!({"kernel": format!("kernel-{n}"), "boot_duration_ms": 1200, "error": "timeout"});
        let event = Event::new(n.to_string(), topic, "stress", micros(1_700_000_000_000_000), data).into();
        let (id, at) = (IntentId::new(micros(1_700_000_000_000_000), n << 40), micros(1_700_000_000_123_456));
        let target = format!("kernel-{n}");
        Arc::new(Intent::new(id, rule, &target, &target, event, Plan::default().into(), at))
    }

    #[test]
    fn what_was_packed_is_the_same_when_asked_for_and_takes_little() {
        let mut open = Open::default();
        let all: Vec<_> = (0..1_000).map(|n| intent(n, ["a", "b"][n as usize % 2])).collect();
        for it in &all {
            open.put(it.clone());
            open.pack(it.id, false);
        }
        let mut bytes = 0;
        for it in &all {
            assert_eq!(open.get(it.id).as_ref(), Some(it));
            bytes += open.arena.get(open.packed[&it.id]).len();
        }
        assert!(bytes / all.len() < 200, "{} bytes an intent", bytes / all.len());
        let (changed, was_whole) = open.change(all[3].id).unwrap();
        changed.count = 7;
        assert!(!was_whole);
        assert_eq!(open.get(all[3].id).unwrap().count, 7);
        assert_eq!(open.remove(all[4].id).as_ref(), Some(&all[4]));
        assert!(!open.contains(all[4].id));
    }

    #[test]
    fn more_kinds_than_there_are_examples_pack_all_the_same() {
        let mut open = Open::default();
        let all: Vec<_> = (0..EXAMPLES as u128 + 50).map(|n| intent(n, &format!("rule-{n}"))).collect();
        for it in &all {
            open.put(it.clone());
            open.pack(it.id, false);
        }
        for it in &all {
            assert_eq!(open.get(it.id).as_ref(), Some(it));
        }
    }
}
