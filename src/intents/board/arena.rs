//! Many small byte strings in few allocations: what is packed lies close together, and is moved together when a third
//! of the room is no longer used. What is soon taken out again lies apart from what stays, so that it leaves no holes.

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
    /// The chunks that are being filled: with what stays, and with what is soon taken out again.
    current: [Option<u32>; 2],
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

    /// Keeps `bytes`, at most [`Arena::MAX`] of them, for long or only until `soon`.
    pub(super) fn put(&mut self, bytes: &[u8], soon: bool) -> Option<Place> {
        let len = u16::try_from(bytes.len()).ok().filter(|_| bytes.len() <= Self::MAX)?;
        let current = &mut self.current[usize::from(soon)];
        let room = |at: &u32| self.chunks[*at as usize].bytes.len() + bytes.len() <= CHUNK;
        let number = match current.filter(room) {
            Some(number) => number,
            None => match self.free.pop() {
                Some(free) => free,
                None => {
                    self.chunks.push(Chunk::default());
                    u32::try_from(self.chunks.len() - 1).ok()?
                }
            },
        };
        *current = Some(number);
        let chunk = &mut self.chunks[number as usize];
        if chunk.bytes.capacity() == 0 {
            chunk.bytes = Vec::with_capacity(CHUNK);
        }
        let at = u16::try_from(chunk.bytes.len()).ok()?;
        chunk.bytes.extend_from_slice(bytes);
        chunk.live += bytes.len();
        self.used += bytes.len();
        Some(Place { chunk: number, at, len })
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
            for current in self.current.iter_mut().filter(|it| **it == Some(place.chunk)) {
                *current = None;
            }
            self.free.push(place.chunk);
        }
    }

    /// Whether so much of the room is unused that everything should be put into a new arena.
    pub(super) fn is_sparse(&self) -> bool {
        let room = (self.chunks.len() - self.free.len()) * CHUNK;
        room > SMALL && self.used < room / 3 * 2
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn what_is_soon_taken_out_leaves_no_holes() {
        let mut arena = Arena::default();
        let mut soon = VecDeque::new();
        for n in 0..20_000 {
            arena.put(&[7; 200], false).unwrap();
            soon.push_back(arena.put(&[8; 200], true).unwrap());
            if n > 2_000 {
                arena.remove(soon.pop_front().unwrap());
            }
        }
        let room: usize = arena.chunks.iter().map(|it| it.bytes.capacity()).sum();
        assert!(room < 20_000 * 200 + 2_000 * 200 + 4 * CHUNK, "{room}");
    }

    #[test]
    fn what_is_kept_stays_and_room_is_given_back() {
        let mut arena = Arena::default();
        let bytes = |n: usize| vec![n as u8; 10 + n % 300];
        let mut places: Vec<Option<Place>> = (0..20_000).map(|n| arena.put(&bytes(n), false)).collect();
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
        let place = arena.put(b"again", true).unwrap();
        assert_eq!(arena.get(place), b"again");
        assert_eq!(arena.put(&vec![0; Arena::MAX + 1], false), None);
    }
}
