//! Where random bits come from: the machine, or a row that is the same each time.
//!
//! What must be the same when it is done again (a rehearsal) is handed a seeded one; nothing else draws by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random bits; cheap to clone. Clones of a seeded one draw from the same row.
#[derive(Clone, Debug, Default)]
pub struct Chance(Option<Arc<Row>>);

#[derive(Debug)]
struct Row {
    seed: u64,
    drawn: AtomicU64,
}

impl Chance {
    /// The machine's own.
    pub fn system() -> Self {
        Self(None)
    }

    /// A row that `seed` decides.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Row { seed, drawn: AtomicU64::new(0) })))
    }

    /// Bits for an identity. Of a seeded row later ones are larger in their lower 80 bits, which are those that an id
    /// keeps: ids of one millisecond stand in the order in which they were made.
    pub fn identity(&self) -> u128 {
        match &self.0 {
            None => rand::random(),
            Some(row) => {
                let n = row.drawn.fetch_add(1, Ordering::SeqCst);
                u128::from(n & 0xffff_ffff) << 48 | u128::from(mixed(row.seed ^ n) >> 16)
            }
        }
    }

    /// A number, any as likely as any other.
    pub fn number(&self) -> u64 {
        match &self.0 {
            None => rand::random(),
            Some(row) => mixed(row.seed.rotate_left(32) ^ row.drawn.fetch_add(1, Ordering::SeqCst)),
        }
    }

    /// From 0 up to 1.
    pub fn fraction(&self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// SplitMix64: every bit of the answer depends on every bit of `n`.
fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IntentId, clock};

    #[test]
    fn a_seeded_row_is_the_same_each_time_and_its_ids_stand_in_order() {
        let draw = |seed| {
            let chance = Chance::seeded(seed);
            let ids: Vec<IntentId> =
                (0..100).map(|_| IntentId::new(clock::micros(0), chance.identity())).collect();
            (ids, chance.number(), chance.fraction())
        };
        let (ids, _, fraction) = draw(7);
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(ids.is_sorted() && (0.0..1.0).contains(&fraction));
        assert_ne!(Chance::system().identity(), Chance::system().identity());
    }
}
