//! Requests as a plugin gets them, and what its answers mean. Nothing of an answer is believed unread.

use paramedic_plugin::message::{Answer, Op};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::output::clean;
use super::wire;
use crate::actions::Call;
use crate::model::{Failure, Span};

/// Longest message of a failure that is passed on.
const LONGEST: usize = 2_000;

#[derive(Serialize)]
struct Request<'a> {
    op: Op,
    action: &'a str,
    params: &'a Map<String, Value>,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    key: &'a str,
    target: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    step: u32,
    rule: &'a str,
    timeout_ms: u64,
}

/// A request with room before it for the head of a frame.
///
/// # Errors
/// When the parameters cannot be written.
pub(super) fn request(op: Op, call: &Call, limit: Span) -> Result<Vec<u8>, Failure> {
    let mut frame = wire::open(256);
    let request = Request {
        op,
        action: &call.name,
        params: &call.params,
        context: Context {
            key: &call.key,
            target: &call.target,
            intent: call.intent.map(|id| id.to_string()),
            run: call.run.map(|id| id.to_string()),
            step: call.step,
            rule: &call.rule,
            timeout_ms: u64::try_from(limit.0.as_millis()).unwrap_or(u64::MAX),
        },
    };
    serde_json::to_writer(&mut frame, &request)
        .map_err(|error| Failure::new("invalid", format!("the parameters cannot be written: {error}")))?;
    Ok(frame)
}

/// What `plugin` answered.
///
/// # Errors
/// The failure that it told; `plugin` if it is no answer.
pub(super) fn read(plugin: &str, answer: &[u8]) -> Result<Value, Failure> {
    match serde_json::from_slice(answer) {
        Ok(Answer::Ok(value)) => Ok(value),
        Ok(Answer::Error(failure)) => Err(Failure {
            kind: if is_kind(&failure.kind) { failure.kind } else { "failed".into() },
            action: String::new(),
            message: failure.message.chars().take(LONGEST).collect(),
            retryable: failure.retryable,
        }),
        Err(error) => {
            let why = match std::str::from_utf8(answer) {
                Err(error) => format!("what is not UTF-8 (from byte {})", error.valid_up_to()),
                Ok("") => "nothing".into(),
                Ok(_) if serde_json::from_slice::<IgnoredAny>(answer).is_ok() => {
                    format!("JSON that is no answer ({error}): it must be {{\"ok\": …}} or {{\"error\": …}}")
                }
                Ok(_) => format!("what is not JSON ({error})"),
            };
            let shown: String = clean(&String::from_utf8_lossy(answer)).chars().take(80).collect();
            let shown = if shown.is_empty() { shown } else { format!(": {shown}") };
            Err(wrong(plugin, &format!("it answered {why}{shown}")))
        }
    }
}

/// A failure of `plugin` to answer as it must.
pub(super) fn wrong(plugin: &str, how: &str) -> Failure {
    Failure::new("plugin", format!("plugin `{plugin}` did not answer as it must: {how}"))
}

/// Kinds are short words, as scripts compare them.
fn is_kind(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_what_the_plugin_said_or_says_what_is_wrong_with_it() {
        assert_eq!(read("p", br#"{"ok":{"n":1}}"#), Ok(json!({ "n": 1 })));
        assert_eq!(read("p", br#"{"ok":null}"#), Ok(Value::Null));
        let told = read("p", br#"{"error":{"kind":"busy","message":"later","retryable":true}}"#);
        assert_eq!(told, Err(Failure::retryable("busy", "later")));
        let odd = read("p", br#"{"error":{"kind":"A kind\n","message":"x"}}"#).unwrap_err();
        assert_eq!(odd.kind, "failed");
        for (bytes, words) in [
            (&b""[..], "it answered nothing"),
            (b"hello", "what is not JSON"),
            (br#"{"ok":1"#, "what is not JSON"),
            (br#"{"ok":1}{"ok":2}"#, "what is not JSON"),
            (br#"{"fine":1}"#, "JSON that is no answer"),
            (br#"{"ok":1,"error":{"kind":"a","message":"b"}}"#, "answer"),
            (br#"[1]"#, "JSON that is no answer"),
            (b"{\"ok\":\"\xff\xfe\"}", "what is not UTF-8 (from byte 7)"),
        ] {
            let failure = read("p", bytes).unwrap_err();
            assert!(failure.kind == "plugin" && failure.message.contains(words), "{failure:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(read("p", deep.as_bytes()).is_err(), "depth is bounded");
    }

    #[test]
    fn a_request_holds_what_the_sdk_reads() {
        let call =
            Call { name: "a.b".into(), key: "k".into(), target: "t\"".into(), step: 3, ..Call::default() };
        let frame = request(Op::DryRun, &call, Span::secs(2)).unwrap();
        let value: Value = serde_json::from_slice(&frame[wire::HEAD..]).unwrap();
        assert_eq!(value["context"]["timeout_ms"], 2_000);
        let read: paramedic_plugin::message::Request<'_> =
            serde_json::from_slice(&frame[wire::HEAD..]).unwrap();
        assert_eq!((read.op, read.action.as_ref(), read.context.target.as_str()), (Op::DryRun, "a.b", "t\""));
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_plugin_answers_is_a_value_or_a_failure_of_bounded_length(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4_000),
            kind in ".{0,60}", message in ".{0,4000}", retryable in proptest::bool::ANY,
        ) {
            let told = json!({ "error": { "kind": kind, "message": message, "retryable": retryable } }).to_string();
            let mut changed = told.clone().into_bytes();
            for (at, byte) in bytes.iter().take(3).enumerate() {
                let at = (at * 37 + usize::from(*byte)) % changed.len();
                changed[at] = *byte;
            }
            for answer in [bytes.as_slice(), told.as_bytes(), &changed] {
                if let Err(failure) = read("p", answer) {
                    proptest::prop_assert!(failure.message.chars().count() <= LONGEST, "{}", failure.message);
                    proptest::prop_assert!(is_kind(&failure.kind), "{}", failure.kind);
                }
            }
        }
    }
}
