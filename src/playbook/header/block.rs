//! Which lines of a file are its header, and where in the file each byte of its YAML stands.
//!
//! A line that breaks the header in two is found here, so that what follows it is not lost without a word.

use std::ops::Range;

/// The YAML of a header with the place of each of its lines in the file.
#[derive(Default)]
pub struct Block {
    /// The text above the YAML.
    pub doc: String,
    /// The YAML.
    pub yaml: String,
    /// For each line of the YAML: where it begins there, and in the file, past the comment's sign.
    lines: Vec<(usize, usize)>,
    /// Past the last line of the header.
    end: usize,
    /// Lines that are no comments of a header, between some that are.
    pub gaps: Vec<Range<usize>>,
    /// Whether a line of `---` ends the YAML.
    closed: bool,
}

/// The header of `text`, if there is one.
pub fn block(text: &str) -> Option<Block> {
    let mut block = Block::default();
    let (mut at, mut fences) = (0, 0);
    let mut gaps: Vec<Range<usize>> = Vec::new();
    for line in text.split_inclusive('\n') {
        let Some(rest) = line.strip_prefix("//!") else {
            if at == 0 || fences > 1 || !is_gap(line) {
                break;
            }
            gaps.push(at..at + line.trim_end().len().max(1));
            at += line.len();
            continue;
        };
        let inner = rest.strip_prefix(' ').unwrap_or(rest);
        let fence = inner.trim_end() == "---";
        block.gaps.append(&mut gaps);
        if fence {
            fences += 1;
        } else if fences == 1 {
            block.lines.push((block.yaml.len(), at + line.len() - inner.len()));
            block.yaml.push_str(inner.trim_end());
            block.yaml.push('\n');
        } else {
            block.doc.push_str(inner.trim_end());
            block.doc.push('\n');
        }
        at += line.len();
        block.end = at;
    }
    block.doc = block.doc.trim().into();
    block.closed = fences > 1;
    (fences > 0).then_some(block)
}

/// Whether `line` can stand between two lines of a header by mistake: it is blank, another comment, or a key that has
/// lost its `//!`.
fn is_gap(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with("//") || line.starts_with('#') || is_key(line)
}

/// Whether `line` sets one of the keys of a header.
pub fn is_key(line: &str) -> bool {
    line.split_once(':').is_some_and(|(key, _)| super::KEYS.contains(&key.trim()))
}

impl Block {
    /// Where bytes `at` of the YAML stand in the file.
    pub fn place(&self, at: &Range<usize>) -> Range<usize> {
        let one = |byte: usize| {
            let line = self.lines.partition_point(|(start, _)| *start <= byte).saturating_sub(1);
            self.lines.get(line).map_or(0, |(start, place)| place + byte.saturating_sub(*start))
        };
        let start = one(at.start.min(self.yaml.trim_end().len()));
        start..one(at.end).max(start + 1)
    }

    /// Where `word` stands in the header, at its beginning if it is not found.
    pub fn find(&self, text: &str, word: &str) -> Range<usize> {
        let is_word = |c: char| c.is_alphanumeric() || "_.-".contains(c);
        let start = self.lines.first().map_or(0, |(_, place)| *place);
        let found = text[start..self.end.max(start)].match_indices(word).map(|(i, _)| start + i).find(|at| {
            let before = text[..*at].chars().next_back();
            let after = text[at + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        });
        found.map_or(start..start, |at| at..at + word.len())
    }

    /// Plain comments right below the header that set one of its keys, in vain.
    pub fn missed(&self, text: &str) -> Vec<Range<usize>> {
        let mut at = self.end;
        let mut found = Vec::new();
        for line in text[self.end..].split_inclusive('\n') {
            if self.closed || !line.starts_with("//") && !line.trim().is_empty() {
                break;
            }
            if is_key(line.trim_start_matches(['/', '!', '*'])) {
                found.push(at..at + line.trim_end().len());
            }
            at += line.len();
        }
        found
    }
}
