//! Many small byte strings in few allocations: what is packed lies close together, and is moved together when half of
//! the room is no longer used.

/// Bytes of a chunk; a place within one fits into 16 bits.
const CHUNK: usize = 1 << 16;

/// Below this nothing is moved.
const SMALL: usize = 1 << 20;

/// Where a byte string lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    chunk: u32,
    at: u16,
    len: u16,
}

#[derive(Default)]
pub(super) struct Arena {
    chunks: Vec<Chunk>,
    /// Chunks whose bytes were given back.
    free: Vec<u32>,
    current: u32,
    used: usize,
}

#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    live: usize,
}

impl Arena {
    /// Longest byte string that it takes.
    pub(super) const MAX: usize = 1 << 14;

    /// Keeps `bytes`, at most [`Arena::MAX`] of them.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Option<Place> {
        let len = u16::try_from(bytes.len()).ok().filter(|_| bytes.len() <= Self::MAX)?;
        let full = |chunk: &Chunk| chunk.bytes.len() + bytes.len() > CHUNK || chunk.bytes.capacity() == 0;
        if self.chunks.get(self.current as usize).is_none_or(full) {
            self.current = match self.free.pop() {
                Some(free) => free,
                None => {
                    self.chunks.push(Chunk::default());
                    u32::try_from(self.chunks.len() - 1).ok()?
                }
            };
            self.chunks[self.current as usize].bytes = Vec::with_capacity(CHUNK);
        }
        let chunk = &mut self.chunks[self.current as usize];
        let at = u16::try_from(chunk.bytes.len()).ok()?;
        chunk.bytes.extend_from_slice(bytes);
        chunk.live += bytes.len();
        self.used += bytes.len();
        Some(Place { chunk: self.current, at, len })
    }

    pub(super) fn get(&self, place: Place) -> &[u8] {
        let bytes = self.chunks.get(place.chunk as usize).map_or(&[][..], |chunk| &chunk.bytes);
        bytes.get(usize::from(place.at)..usize::from(place.at) + usize::from(place.len)).unwrap_or(&[])
    }

    /// Forgets what lies at `place`.
    pub(super) fn remove(&mut self, place: Place) {
        let chunk = &mut self.chunks[place.chunk as usize];
        chunk.live -= usize::from(place.len);
        self.used -= usize::from(place.len);
        if chunk.live == 0 {
            chunk.bytes = Vec::new();
            // The current one is taken up again where it is.
            if place.chunk != self.current {
                self.free.push(place.chunk);
            }
        }
    }

    /// Whether so much of the room is unused that everything should be put into a new arena.
    pub(super) fn is_sparse(&self) -> bool {
        let room = (self.chunks.len() - self.free.len()) * CHUNK;
        room > SMALL && self.used < room / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_and_room_is_given_back() {
        let mut arena = Arena::default();
        let bytes = |n: usize| vec![n as u8; 10 + n % 300];
        let mut places: Vec<Option<Place>> = (0..20_000).map(|n| arena.put(&bytes(n))).collect();
        assert!(!arena.is_sparse());
        for (_, place) in places.iter_mut().enumerate().filter(|(n, _)| n % 3 > 0) {
            arena.remove(place.take().unwrap());
        }
        assert!(arena.is_sparse(), "two thirds of it are not used any more");
        for (n, place) in places.iter().enumerate() {
            if let Some(place) = place {
                assert_eq!(arena.get(*place), bytes(n));
            }
        }
        for place in places.into_iter().flatten() {
            arena.remove(place);
        }
        assert_eq!((arena.used, arena.chunks.iter().map(|it| it.bytes.capacity()).sum::<usize>()), (0, 0));
        let place = arena.put(b"again").unwrap();
        assert_eq!(arena.get(place), b"again");
        assert_eq!(arena.put(&vec![0; Arena::MAX + 1]), None);
    }
}
