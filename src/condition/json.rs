//! Reads JSON text from front to back: values that are wanted are taken, all others are checked and passed over.
//!
//! The grammar is RFC 8259's, and what is accepted is exactly what serde_json accepts; a test holds it to that. It
//! builds nothing, does not recurse into what it passes over, and looks at eight bytes of a text at a time. Where
//! something is rare (escapes, fractions, large numbers), serde_json reads it.

use std::borrow::Cow;

use super::scalar::Scalar;

/// The text is not JSON; serde_json says where and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A place in a JSON text.
pub struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
}

/// What a value begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// `{`, which has been passed.
    Map,
    /// `[`, which has been passed.
    List,
    /// Anything else, which has not.
    Single,
}

impl<'t> Reader<'t> {
    /// At the beginning of `text`.
    pub fn new(text: &'t str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0 }
    }

    /// What the next value begins as.
    #[inline]
    pub fn start(&mut self) -> Result<Start, Broken> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Ok(Start::Map)
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Start::List)
            }
            Some(_) => Ok(Start::Single),
            None => Err(Broken),
        }
    }

    /// The next key of a map, up to its value; none at its end. `first` before the first.
    #[inline]
    pub fn key(&mut self, first: bool) -> Result<Option<Cow<'t, [u8]>>, Broken> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.peek();
            }
            Some(_) if first => {}
            _ => return Err(Broken),
        }
        let start = self.at;
        let key = if self.skip_plain_string()? {
            Cow::Borrowed(&self.bytes[start + 1..self.at - 1])
        } else {
            Cow::Owned(self.decoded(start)?.into_bytes())
        };
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Whether a list has another element, up to it. `first` before the first.
    #[inline]
    pub fn element(&mut self, first: bool) -> Result<bool, Broken> {
        match self.peek() {
            Some(b']') => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => Err(Broken),
        }
    }

    /// A value that is neither map nor list.
    #[inline]
    pub fn single(&mut self) -> Result<Scalar<'t>, Broken> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::Str),
            Some(b't') => self.word("true").map(|()| Scalar::Bool(true)),
            Some(b'f') => self.word("false").map(|()| Scalar::Bool(false)),
            Some(b'n') => self.word("null").map(|()| Scalar::Missing),
            _ => self.number(),
        }
    }

    /// Passes over a value, however deep.
    #[inline]
    pub fn skip(&mut self) -> Result<(), Broken> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            _ => self.skip_any(),
        }
    }

    fn skip_any(&mut self) -> Result<(), Broken> {
        // Of the maps and lists that are open: whether each is a map, 64 to a word.
        let (mut open, mut more, mut depth) = (0_u64, Vec::new(), 0_usize);
        loop {
            match self.start()? {
                Start::Single => self.skip_single()?,
                start => {
                    if depth.is_multiple_of(64) && depth > 0 {
                        more.push(std::mem::take(&mut open));
                    }
                    open = open << 1 | u64::from(start == Start::Map);
                    depth += 1;
                    let empty = match start {
                        Start::Map => self.skip_key(true)?,
                        _ => !self.element(true)?,
                    };
                    if !empty {
                        continue;
                    }
                    (open, depth) = closed(open, depth, &mut more);
                }
            }
            // A value has ended: what it lies in goes on or ends too.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let ended = if open & 1 == 1 { self.skip_key(false)? } else { !self.element(false)? };
                if !ended {
                    break;
                }
                (open, depth) = closed(open, depth, &mut more);
            }
        }
    }

    /// That nothing but white space follows.
    pub fn end(&mut self) -> Result<(), Broken> {
        if self.peek().is_none() { Ok(()) } else { Err(Broken) }
    }

    /// The next byte that is not white space, which is then the next.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Broken)
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Broken> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Broken)
        }
    }

    /// Passes over the next key of a map; true at its end.
    #[inline]
    fn skip_key(&mut self, first: bool) -> Result<bool, Broken> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(true);
            }
            Some(b',') if !first => {
                self.at += 1;
                self.peek();
            }
            Some(_) if first => {}
            _ => return Err(Broken),
        }
        self.skip_string()?;
        self.expect(b':')?;
        Ok(false)
    }

    fn skip_single(&mut self) -> Result<(), Broken> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.digits().map(drop),
        }
    }

    #[inline]
    fn string(&mut self) -> Result<Cow<'t, str>, Broken> {
        let start = self.at;
        if self.skip_plain_string()? {
            // Both ends are ASCII, so they lie between characters.
            return Ok(Cow::Borrowed(&self.text[start + 1..self.at - 1]));
        }
        self.decoded(start).map(Cow::Owned)
    }

    #[inline]
    fn skip_string(&mut self) -> Result<(), Broken> {
        if self.skip_plain_string()? { Ok(()) } else { self.rest_of_string() }
    }

    /// Passes over a text without escapes; false at the first.
    #[inline]
    fn skip_plain_string(&mut self) -> Result<bool, Broken> {
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(Broken);
        }
        self.at += 1;
        self.plain();
        let ends = self.bytes.get(self.at) == Some(&b'"');
        self.at += usize::from(ends);
        Ok(ends)
    }

    /// The text that begins at `start` and has an escape where the reader stands.
    #[cold]
    fn decoded(&mut self, start: usize) -> Result<String, Broken> {
        self.rest_of_string()?;
        serde_json::from_str(&self.text[start..self.at]).map_err(|_| Broken)
    }

    /// From an escape, or something that may not stand there, to the end of the text that it stands in.
    #[cold]
    fn rest_of_string(&mut self) -> Result<(), Broken> {
        loop {
            self.plain();
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let more = match self.bytes.get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') => 6,
                        _ => return Err(Broken),
                    };
                    let digits = self.bytes.get(self.at + 2..self.at + more).ok_or(Broken)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return Err(Broken);
                    }
                    self.at += more;
                }
                _ => return Err(Broken),
            }
        }
    }

    /// To the next quote, backslash or control character.
    #[inline]
    fn plain(&mut self) {
        while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            let special = special(u64::from_le_bytes(*eight));
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        while self.bytes.get(self.at).is_some_and(|byte| !ends(byte)) {
            self.at += 1;
        }
    }

    #[inline]
    fn number(&mut self) -> Result<Scalar<'t>, Broken> {
        let start = self.at;
        let whole = self.digits()?;
        let text = &self.text[start..self.at];
        // Up to 18 digits fit for sure.
        if whole && text.len() <= 18 && text != "-0" {
            let (negative, digits) = match text.as_bytes() {
                [b'-', digits @ ..] => (true, digits),
                digits => (false, digits),
            };
            let n = digits.iter().fold(0_i64, |n, digit| n * 10 + i64::from(digit - b'0'));
            return Ok(Scalar::Int(if negative { -n } else { n }));
        }
        let number: serde_json::Number = serde_json::from_str(text).map_err(|_| Broken)?;
        Ok(number.as_i64().map_or_else(|| Scalar::Float(number.as_f64().unwrap_or(f64::NAN)), Scalar::Int))
    }

    /// Passes over a number; whether it is a whole one.
    #[inline]
    fn digits(&mut self) -> Result<bool, Broken> {
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.run(),
            _ => return Err(Broken),
        }
        let mut whole = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            whole = false;
            self.at += 1;
            self.some()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.some()?;
        }
        Ok(whole)
    }

    /// Passes over digits.
    #[inline]
    fn run(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// Passes over at least one digit.
    fn some(&mut self) -> Result<(), Broken> {
        let before = self.at;
        self.run();
        if self.at > before { Ok(()) } else { Err(Broken) }
    }
}

/// The stack without its top.
fn closed(open: u64, depth: usize, more: &mut Vec<u64>) -> (u64, usize) {
    let depth = depth - 1;
    if depth.is_multiple_of(64) && depth > 0 { (more.pop().unwrap_or(0), depth) } else { (open >> 1, depth) }
}

/// The top bits of those of eight bytes that are a quote, a backslash or a control character: of these and perhaps of
/// some after the first, but never of one before it.
#[inline]
fn special(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let quote = zero(eight ^ (ONES * u64::from(b'"')));
    let backslash = zero(eight ^ (ONES * u64::from(b'\\')));
    let control = eight.wrapping_sub(ONES * 0x20) & !eight;
    (quote | backslash | control) & TOPS
}
