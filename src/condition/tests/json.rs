//! What is accepted as JSON, and what is read of it, is what serde_json accepts and reads.

use proptest::prelude::*;
use serde_json::Value;

use crate::condition::json::{Broken, Reader};
use crate::condition::{Fields, Path, Scalar, compile};

fn skips(text: &str) -> bool {
    let mut json = Reader::new(text);
    json.skip().and_then(|()| json.end()).is_ok()
}

/// serde_json without its bound on depth, which passing over does not need.
fn accepts(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[test]
fn what_serde_json_accepts_is_accepted_and_nothing_else() {
    for text in [
        "",
        " ",
        "null",
        "nul",
        "nulll",
        "true",
        "tru",
        "false",
        "falsee",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "-1",
        "1.",
        "1.0",
        ".5",
        "1e",
        "1e5",
        "1E+5",
        "1e-",
        "1.5e-7x",
        "123456789012345678",
        "1234567890123456789012",
        "1e400",
        "--1",
        "+1",
        "\"\"",
        "\"a",
        "\"a\"b",
        "\"\\\"\"",
        "\"\\x\"",
        "\"\\u00\"",
        "\"\\u00g0\"",
        "\"\\u0041\"",
        "\"\\ud800\"",
        "\"\n\"",
        "\"\u{1}\"",
        "\"äöü🐞 and more than eight bytes\"",
        "\"\\",
        "[]",
        "[",
        "[,]",
        "[1,]",
        "[1 2]",
        "[1,2]",
        "[[[]]]",
        "[[]",
        "{}",
        "{",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"b\":{}}",
        "{a:1}",
        "{\"a\" : [ { } , 1 ] }",
        "[}",
        "{]",
        "[{\"a\":[}]",
        "1 1",
        "{} x",
        "\u{feff}1",
        "[1]\u{a0}",
    ] {
        assert_eq!(skips(text), accepts(text), "{text:?}");
    }
    for depth in [1, 63, 64, 65, 127, 128, 129, 300, 100_000] {
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let mixed = format!("{}1{}", "[{\"a\":".repeat(depth), "}]".repeat(depth));
        assert!(skips(&lists) && skips(&mixed), "{depth}");
        for broken in [
            &lists[1..],
            &lists[..lists.len() - 1],
            &mixed[..mixed.len() - 1],
            &mixed.replacen("}]", "]}", 1),
        ] {
            assert!(!skips(broken), "{depth}");
        }
    }
}

/// JSON, mostly; texts and numbers of every kind.
fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[ -~äß🐞]{0,24}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"\\u0061\\n\\\"\\ud83d\\udc1e\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        (-1000_i64..1000).prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(|n| format!("{n:?}")),
        "-?[0-9]{1,25}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?",
    ];
    let leaf = prop_oneof![
        3 => text.clone(), 3 => number, 1 => Just("true".to_owned()), 1 => Just("false".into()), 1 => Just("null".into())
    ];
    let space = || prop::sample::select(vec!["", "", "", " ", "\n\t "]);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let key = prop::sample::select(vec!["\"a\"", "\"b\"", "\"\\u0061\"", "\"kernel-name\"", "\"\""]);
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), space()).prop_map(|(items, space)| format!(
                "[{space}{}{space}]",
                items.join(&format!("{space},{space}"))
            )),
            (prop::collection::vec((key, inner), 0..5), space()).prop_map(|(entries, space)| {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}{space}:{space}{value}")).collect();
                format!("{{{space}{}{space}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_json_is_read_as_serde_json_reads_it(text in json(), cut in any::<prop::sample::Index>(), put in any::<u8>()) {
        prop_assert_eq!(skips(&text), accepts(&text), "{}", text);
        // And the same with one character changed, which mostly breaks it.
        let mut broken: Vec<char> = text.chars().collect();
        if !broken.is_empty() {
            let place = cut.index(broken.len());
            broken[place] = char::from(put);
            let broken: String = broken.into_iter().collect();
            prop_assert_eq!(skips(&broken), accepts(&broken), "{}", broken);
        }
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            // The value itself, and everything below it that can be asked for.
            let wanted = ["data", "data.a", "data.b", "data.a.b", "data.b[0]", "data[1]", "data[1].a", "data[\"kernel-name\"]"];
            let paths: Vec<Path> =
                wanted.iter().flat_map(|text| compile(text, &[]).unwrap().paths().to_vec()).collect();
            let fields = Fields::new(paths.iter().cloned());
            let line = format!("{{\"topic\":\"t\",\"data\":{text}}}");
            let mut slots = Vec::new();
            fields.read_json(&line, &mut slots).unwrap();
            for path in &paths {
                let read = &slots[fields.slot(path).unwrap() as usize];
                let expected = path.read(&value);
                prop_assert!(same(read, &expected), "{:?} of {}: {:?}, not {:?}", path, text, read, expected);
            }
        }
    }
}

/// A value below something that is neither map nor list is unknown, where the trie knows no better.
fn same(read: &Scalar<'_>, expected: &Scalar<'_>) -> bool {
    match (read, expected) {
        (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

#[test]
fn a_text_that_is_no_json_says_where() {
    let fields = Fields::new(compile("data.a", &[]).unwrap().paths().iter().cloned());
    let error = fields.read_json("{\"topic\":\"t\",\"data\":{\"a\":01}}", &mut Vec::new()).unwrap_err();
    assert_eq!((error.line(), error.column()), (1, 27), "{error}");
    assert_eq!(Reader::new("{").skip(), Err(Broken));
}
