//! How deep a JSON text is nested, without building anything of it.

/// Deepest payload. Whoever reads it later may do so by recursion.
pub(super) const MAX_DEPTH: usize = 64;

/// Whether valid JSON `text` is nested deeper than [`MAX_DEPTH`].
pub(super) fn is_too_deep(text: &str) -> bool {
    // Hardly any text has so many brackets at all, and counting them is much faster than looking where they are.
    let openers = text.bytes().filter(|byte| *byte == b'{' || *byte == b'[').count();
    openers > MAX_DEPTH && depth(text) > MAX_DEPTH
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nesting_counts_not_the_number_of_brackets_or_those_in_texts() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let cases = [
            (nested(64), false),
            (nested(65), true),
            (format!("[{}]", vec!["[[]]"; 500].join(",")), false),
            (format!("\"{}\"", "[".repeat(500)), false),
            (format!("[\"\\\"{}\\\\\"]", "[".repeat(500)), false),
            (format!("{}\"]\"{}", "{\"a\":".repeat(65), "}".repeat(65)), true),
        ];
        for (text, expected) in cases {
            assert_eq!(is_too_deep(&text), expected, "{text:.100}");
        }
    }
}
