//! What Rhai's functions of texts would build before they look how long it may be: here it is known before.

use rhai::{Engine, EvalAltResult, ImmutableString, Position};

use super::burst::Thrown;
use super::engine::MAX_TEXT;

/// Puts them in the place of Rhai's.
pub(super) fn replace(engine: &mut Engine) {
    engine
        .register_fn("replace", |text: &mut ImmutableString, part: &str, with: &str| change(text, part, with))
        .register_fn("replace", |text: &mut ImmutableString, part: &str, with: char| {
            change(text, part, with.encode_utf8(&mut [0; 4]))
        })
        .register_fn("replace", |text: &mut ImmutableString, part: char, with: &str| {
            change(text, part.encode_utf8(&mut [0; 4]), with)
        })
        .register_fn("replace", |text: &mut ImmutableString, part: char, with: char| {
            change(text, part.encode_utf8(&mut [0; 4]), with.encode_utf8(&mut [0; 4]))
        });
}

fn change(text: &mut ImmutableString, part: &str, with: &str) -> Result<(), Thrown> {
    let found = text.matches(part).count();
    let len = (text.len() - found * part.len()).saturating_add(found.saturating_mul(with.len()));
    if len > MAX_TEXT {
        let what = "Length of string".to_owned();
        return Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into());
    }
    // As Rhai does: in an empty text there is nothing to replace.
    if !text.is_empty() {
        *text = text.replace(part, with).into();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::engine::shared;

    #[test]
    fn a_text_that_would_be_too_long_is_never_built() {
        for script in [
            "let a = \"\"; a.pad(200000, 'a'); let b = a; b.replace(\"a\", a); b.len()",
            "let a = \"\"; a.pad(200000, 'a'); let b = a; b.replace('a', a); b.len()",
            "let a = \"\"; a.pad(200000, 'a'); let b = a; b.replace(\"\", a); b.len()",
        ] {
            let error = shared().eval::<i64>(script).unwrap_err().to_string();
            assert!(error.contains("Length of string"), "{script}: {error}");
        }
        for (script, expected) in [
            ("let a = \"hello\"; a.replace(\"l\", \"LL\"); a", "heLLLLo"),
            ("let a = \"hello\"; a.replace('l', \"\"); a", "heo"),
            ("let a = \"hello\"; a.replace('l', '-'); a", "he--o"),
            ("let a = \"hello\"; a.replace(\"he\", 'y'); a", "yllo"),
            ("let a = \"\"; a.replace(\"\", \"x\"); a", ""),
        ] {
            assert_eq!(shared().eval::<String>(script).unwrap(), expected, "{script}");
        }
    }
}
