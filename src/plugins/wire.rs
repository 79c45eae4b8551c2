//! Frames between the engine and a plugin's process: length, kind, number of the call, then that many bytes.

use std::io::{self, Read, Write};

/// Bytes before the content.
pub(super) const HEAD: usize = 16;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To the child: what to load, as JSON.
    Load = 1,
    /// To the child: a request, as the plugin gets it.
    Call = 2,
    /// From the child: it is loaded; what it says of itself.
    Ready = 3,
    /// From the child: it cannot be loaded; why, in words.
    Refused = 4,
    /// From the child: what the plugin answered, as it did.
    Answer = 5,
    /// From the child: the plugin did not answer as it must; how, in words.
    Wrong = 6,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) call: u64,
}

impl Head {
    /// Reads a head; none if it is none.
    pub(super) fn read(bytes: [u8; HEAD]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, call @ ..] = bytes;
        let kind = match u32::from_le_bytes([e, f, g, h]) {
            1 => Kind::Load,
            2 => Kind::Call,
            3 => Kind::Ready,
            4 => Kind::Refused,
            5 => Kind::Answer,
            6 => Kind::Wrong,
            _ => return None,
        };
        let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        Some(Self { len, kind, call: u64::from_le_bytes(call) })
    }

    fn bytes(self) -> [u8; HEAD] {
        let mut out = [0; HEAD];
        out[..4].copy_from_slice(&u32::try_from(self.len).unwrap_or(u32::MAX).to_le_bytes());
        out[4..8].copy_from_slice(&(self.kind as u32).to_le_bytes());
        out[8..].copy_from_slice(&self.call.to_le_bytes());
        out
    }
}

/// Room for a head, to which the content is written; [`seal`] makes a frame of it.
pub(super) fn open(capacity: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD + capacity);
    frame.resize(HEAD, 0);
    frame
}

/// Writes the head of a frame that was begun with [`open`].
pub(super) fn seal(frame: &mut [u8], kind: Kind, call: u64) {
    let head = Head { len: frame.len() - HEAD, kind, call };
    frame[..HEAD].copy_from_slice(&head.bytes());
}

/// Writes a frame at once, so that the reader wakes once.
pub(super) fn write(to: &mut impl Write, kind: Kind, call: u64, content: &[u8]) -> io::Result<()> {
    let mut frame = open(content.len());
    frame.extend_from_slice(content);
    seal(&mut frame, kind, call);
    to.write_all(&frame)
}

/// Reads a frame into `content`; none at the end. Only for the side that trusts the other: it takes any length.
pub(super) fn read(from: &mut impl Read, content: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let mut head = [0; HEAD];
    match from.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let head = Head::read(head).ok_or_else(|| io::Error::other("this is no frame"))?;
    content.resize(head.len, 0);
    from.read_exact(content)?;
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_written_and_garbage_is_none() {
        let mut line = Vec::new();
        write(&mut line, Kind::Call, 7, b"abc").unwrap();
        write(&mut line, Kind::Answer, u64::MAX, b"").unwrap();
        let mut from = line.as_slice();
        let mut content = Vec::new();
        assert_eq!(read(&mut from, &mut content).unwrap(), Some(Head { len: 3, kind: Kind::Call, call: 7 }));
        assert_eq!(content, b"abc");
        let last = Head { len: 0, kind: Kind::Answer, call: u64::MAX };
        assert_eq!(read(&mut from, &mut content).unwrap(), Some(last));
        assert_eq!(read(&mut from, &mut content).unwrap(), None);
        assert_eq!(Head::read(*b"Hello, I am text"), None);
        assert!(read(&mut b"\x05\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0abc".as_slice(), &mut content).is_err());
    }

    proptest::proptest! {
        /// Whatever comes down the line, a reader says what it is or that it is none; nothing is made up.
        #[test]
        fn any_bytes_are_frames_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), kind in 0_u8..9) {
            let mut line = bytes;
            if let Some(first) = line.get_mut(4..8) {
                // Otherwise hardly any would get beyond its kind.
                first.copy_from_slice(&[kind, 0, 0, 0]);
            }
            if let Some(length) = line.get_mut(1..4) {
                length.fill(0);
            }
            let (mut from, mut content) = (line.as_slice(), Vec::new());
            while let Ok(Some(head)) = read(&mut from, &mut content) {
                proptest::prop_assert_eq!(content.len(), head.len);
                let mut again = Vec::new();
                write(&mut again, head.kind, head.call, &content).unwrap();
                let end = line.len() - from.len();
                proptest::prop_assert_eq!(&again, &line[end - again.len()..end]);
            }
        }
    }
}
