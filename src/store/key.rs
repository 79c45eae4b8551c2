//! Idempotency keys: eight bytes that stand for an event's source and id.
//!
//! SipHash under a secret of the store, so that nobody outside can make two events collide on purpose.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Makes idempotency keys.
#[derive(Clone)]
pub struct EventKey(SipHasher13);

impl EventKey {
    /// Under this secret.
    pub fn new(secret: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(secret))
    }

    /// The key of the event that `source` calls `id`.
    pub fn of(&self, source: &str, id: &str) -> u64 {
        let mut hasher = self.0;
        hasher.write(source.as_bytes());
        // No UTF-8 text holds this byte, so (`ab`, `c`) is not (`a`, `bc`).
        hasher.write_u8(0xff);
        hasher.write(id.as_bytes());
        hasher.finish()
    }

    /// Four bytes that stand for an event's id, whatever its source: what a search by id goes by.
    pub fn of_id(&self, id: &str) -> u32 {
        let mut hasher = self.0;
        hasher.write(id.as_bytes());
        hasher.finish() as u32
    }
}

impl std::fmt::Debug for EventKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventKey(secret)")
    }
}
