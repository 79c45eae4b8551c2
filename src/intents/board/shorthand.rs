//! JSON in which times and ids stand as numbers: in packed intents these are what differs, and as text they are long.
//!
//! Two bytes that JSON cannot hold mark them. Nothing is lost: what would not read back to the very same text stays text.

use ulid::Ulid;

use crate::model::Time;
use crate::model::clock::micros;

/// Before the microseconds of a time, in 8 bytes.
const TIME: u8 = 1;
/// Before an id, in 16 bytes.
const ID: u8 = 2;
/// Letters of an id.
const ID_LETTERS: usize = 26;
/// Letters of a time, from whole seconds to nanoseconds.
const TIME_LETTERS: std::ops::RangeInclusive<usize> = 20..=30;

/// `json`, shorter.
pub(super) fn write(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((&first, after)) = rest.split_first() {
        let short = (first == b'"').then(|| shortened(after)).flatten();
        match short {
            Some((bytes, letters)) => {
                out.extend(bytes);
                rest = &after[letters + 1..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// The JSON that was written as `short`; none if that is damaged.
pub(super) fn read(short: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(short.len() * 2);
    let mut rest = short;
    while let Some((&first, after)) = rest.split_first() {
        rest = match first {
            TIME => {
                let (bytes, after) = after.split_first_chunk()?;
                serde_json::to_writer(&mut out, &micros(i64::from_be_bytes(*bytes))).ok()?;
                after
            }
            ID => {
                let (bytes, after) = after.split_first_chunk()?;
                serde_json::to_writer(&mut out, &Ulid::from_bytes(*bytes)).ok()?;
                after
            }
            other => {
                out.push(other);
                after
            }
        };
    }
    Some(out)
}

/// The short form of the text that begins `after` a quotation mark, and how many letters it has.
fn shortened(after: &[u8]) -> Option<(Vec<u8>, usize)> {
    let letters = after.iter().take(*TIME_LETTERS.end() + 1).position(|byte| *byte == b'"')?;
    let text = std::str::from_utf8(&after[..letters]).ok()?;
    if letters == ID_LETTERS
        && let Ok(id) = Ulid::from_string(text)
        && id.to_string() == text
    {
        return Some(([&[ID][..], &id.to_bytes()].concat(), letters));
    }
    if !TIME_LETTERS.contains(&letters) || text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let time: Time = text.parse().ok()?;
    let same = serde_json::to_string(&micros(time.timestamp_micros())).ok()? == format!("\"{text}\"");
    same.then(|| ([&[TIME][..], &time.timestamp_micros().to_be_bytes()].concat(), letters))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_and_ids_are_short_and_everything_else_stays() {
        let json = r#"{"id":"01M876MKKTZYJN546SNM6BDAAF","at":"2026-11-24T16:36:17.657518Z","on":"2026-11-24T16:36:17Z"}"#;
        let short = write(json.as_bytes());
        assert_eq!(short.len(), r#"{"id":,"at":,"on":}"#.len() + 17 + 9 + 9);
        assert_eq!(read(&short).unwrap(), json.as_bytes());
        for stays in [
            r#""2026-11-24T16:36:17.1Z""#,
            r#""2026-11-24T16:36:17.123456789Z""#,
            r#""2026-11-24T16:36:17+01:00""#,
            r#""01m876mkktzyjn546snm6bdaaf""#,
            r#""2026-13-24T16:36:17Z""#,
            "\"",
            "",
            "\"é",
        ] {
            assert_eq!(write(stays.as_bytes()), stays.as_bytes(), "{stays}");
        }
        assert_eq!(read(&[TIME, 1, 2]), None);
    }

    proptest! {
        #[test]
        fn every_json_reads_back_to_the_same_bytes(
            text in ".*", micros_of in any::<i64>(), random in any::<u128>(), list in prop::collection::vec(any::<u32>(), 0..4)
        ) {
            let time = micros(micros_of % 253_402_300_800_000_000);
            let json = serde_json::json!({
                "a": text, "t": time, "id": Ulid::from_bytes(random.to_be_bytes()), "n": list,
                "both": format!("{time} \"{text}\""), "quoted": format!("\\\"{}\"", Ulid::from_bytes(random.to_be_bytes())),
            });
            let json = json.to_string();
            prop_assert_eq!(read(&write(json.as_bytes())).unwrap(), json.as_bytes());
        }
    }
}
