//! Topics and patterns mean what NATS says of subjects: its own test vectors decide.
//!
//! The vectors lie beside the checkout, or where `PARAMEDIC_CASES` says; without them the test says so and passes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

use std::path::PathBuf;

use paramedic::model::{Pattern, Topic};

/// The rows of a vector file without its header, split at commas; none if the file is not there.
fn rows(file: &str) -> Option<Vec<Vec<String>>> {
    let cases = std::env::var_os("PARAMEDIC_CASES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/cases"), PathBuf::from);
    let path = cases.join("topics").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    };
    let rows: Vec<Vec<String>> =
        text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect();
    assert!(!rows.is_empty(), "{} has no vectors", path.display());
    Some(rows)
}

#[test]
fn a_pattern_matches_the_topics_that_nats_says() {
    for row in rows("nats_match.csv").unwrap_or_default() {
        let pattern = Pattern::try_new(&row[0]).unwrap();
        // What is no topic is refused on its way in, so no pattern ever matches it.
        let matches = Topic::try_new(&row[1]).is_ok_and(|topic| pattern.matches(topic.as_str()));
        assert_eq!(matches.to_string(), row[2], "{} on {}", row[0], row[1]);
    }
}

#[test]
fn a_pattern_contains_the_patterns_that_nats_says() {
    for row in rows("nats_subset.csv").unwrap_or_default() {
        let contained = match (Pattern::try_new(&row[0]), Pattern::try_new(&row[1])) {
            (Ok(inner), Ok(outer)) => outer.contains(&inner),
            _ => false,
        };
        assert_eq!(contained.to_string(), row[2], "{} in {}", row[0], row[1]);
    }
}

#[test]
fn patterns_overlap_where_nats_says() {
    for row in rows("nats_collide.csv").unwrap_or_default() {
        let (a, b) = (Pattern::try_new(&row[0]).unwrap(), Pattern::try_new(&row[1]).unwrap());
        assert_eq!(a.overlaps(&b).to_string(), row[2], "{} and {}", row[0], row[1]);
        assert_eq!(b.overlaps(&a).to_string(), row[2], "{} and {}", row[1], row[0]);
    }
}

#[test]
fn what_is_a_topic_or_a_pattern_is_what_nats_says() {
    for row in rows("nats_valid_subject.csv").unwrap_or_default() {
        let valid = match row[0].as_str() {
            "IsValidLiteralSubject" => Topic::try_new(&row[1]).is_ok(),
            "IsValidSubject" => Pattern::try_new(&row[1]).is_ok(),
            "subjectIsLiteral" => Pattern::try_new(&row[1]).unwrap().is_literal(),
            other => panic!("a vector of an unknown function {other}"),
        };
        assert_eq!(valid.to_string(), row[2], "{}({})", row[0], row[1]);
    }
}
