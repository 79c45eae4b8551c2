//! What senders write, and what they are told.

use serde_json::{Value, json};

use super::*;
use crate::model::Priority;
use crate::model::clock::micros;

const CLOUD: &str = "application/cloudevents+json; charset=utf-8";
const BATCH: &str = "application/cloudevents-batch+json";
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

fn read(content_type: &str, headers: &[(&str, &str)], body: &str) -> Result<Vec<Event>, DecodeError> {
    let mut n = 0;
    let mut fresh = || {
        n += 1;
        format!("fresh-{n}")
    };
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    decode(Some(content_type), headers, body.as_bytes(), micros(7_000_000), "http", &mut fresh)
}

fn one(content_type: &str, headers: &[(&str, &str)], body: &str) -> Event {
    let mut events = read(content_type, headers, body).unwrap();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

/// An event as JSON with the defaults of these tests filled in.
fn event(mut fields: Value) -> Event {
    for (name, value) in [("id", "1"), ("topic", "a.b"), ("source", "s"), ("time", "1970-01-01T00:00:07Z")] {
        if fields.get(name).is_none() {
            fields[name] = json!(value);
        }
    }
    serde_json::from_value(fields).unwrap()
}

#[test]
fn plain_json_needs_a_topic_and_the_rest_is_filled_in() {
    for (body, expected) in [
        (r#"{"topic":"a.b"}"#, json!({ "id": "fresh-1", "source": "http" })),
        (r#"{"type":"a.b","payload":[1, 2],"id":7,"source":"s"}"#, json!({ "id": "7", "data": [1, 2] })),
        (
            r#" {"topic":"a.b","id":"1","source":"s","subject":"k\"1","priority":"high","time":"2026-01-01T01:00:00.5+01:00",
                "data":{"text":"ü\u00fc"},"level":3,"on":true,"specversion":"1.0","note":null,"correlationid":"c"} "#,
            json!({ "subject": "k\"1", "priority": "high", "time": "2026-01-01T00:00:00.5Z", "correlationid": "c",
                "data": { "text": "üü" }, "extensions": { "level": 3, "on": true } }),
        ),
        (r#"{"topic":"a.b","id":"1","source":"s","subject":"","data":null}"#, json!({})),
    ] {
        assert_eq!(one(JSON, &[], body), event(expected), "{body}");
    }
    let many = read(JSON, &[], r#"[{"topic":"a"},{"topic":"b","data":1}]"#).unwrap();
    let ids: Vec<_> = many.iter().map(|event| (event.id.as_str(), event.topic.as_str())).collect();
    assert_eq!(ids, [("fresh-1", "a"), ("fresh-2", "b")]);
    assert_eq!(read(JSON, &[], "[]").unwrap(), []);
}

#[test]
fn json_lines_are_one_event_each_whatever_ends_the_line() {
    let body = "\u{feff}{\"topic\":\"a\",\"id\":\"1\"}\r\n\n  {\"topic\":\"b\",\"id\":\"2\",\"data\":\"x\"}  \n{\"topic\":\"b\",\"id\":\"3\"}";
    for content_type in [LINES, "application/jsonl", "Application/X-NDJSON; charset=UTF-8"] {
        let events = read(content_type, &[], body).unwrap();
        let ids: Vec<_> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3"]);
    }
    assert_eq!(read(LINES, &[], "\n\n").unwrap(), []);
}

#[test]
fn cloudevents_mean_the_same_in_every_mode() {
    let expected = event(json!({ "subject": "k1", "priority": "critical", "traceparent": "00-ab-cd-01",
        "extensions": { "comexample": "v", "datacontenttype": "application/json" }, "data": { "n": 1 } }));
    let structured = r#"{"specversion":"1.0","type":"a.b","id":"1","source":"s","subject":"k1","priority":"critical",
        "traceparent":"00-ab-cd-01","comexample":"v","datacontenttype":"application/json","data":{"n":1}}"#;
    assert_eq!(one(CLOUD, &[], structured), expected);
    assert_eq!(one(BATCH, &[], &format!("[{structured}]")), expected);
    let headers = [
        ("Ce-Specversion", "1.0"),
        ("ce-type", "a.b"),
        ("ce-id", "1"),
        ("CE-SOURCE", "s"),
        ("ce-subject", "k%31"),
        ("ce-priority", "critical"),
        ("ce-traceparent", "00-ab-cd-01"),
        ("ce-comexample", "v"),
        ("x-other", "ignored"),
    ];
    assert_eq!(one(JSON, &headers, "{\"n\":1}\n"), expected);
    assert_eq!(expected.priority, Priority::Critical);
}

#[test]
fn payloads_that_are_not_json_are_kept() {
    let headers = [("ce-specversion", "1.0"), ("ce-type", "a.b"), ("ce-id", "1"), ("ce-source", "s")];
    for (content_type, body, data, encoding) in [
        ("text/plain; charset=utf-8", "Hello, 🌎!\n", json!("Hello, 🌎!\n"), None),
        ("application/xml", "<a/>", json!("<a/>"), None),
        ("application/vnd.x+json", "[1]", json!([1]), None),
        ("application/octet-stream", "foob", json!("Zm9vYg=="), Some("base64")),
        ("image/png", "", json!(null), None),
    ] {
        let event = one(content_type, &headers, body);
        assert_eq!(event.data.value(), data, "{content_type}");
        assert_eq!(event.extensions.get("datacontentencoding").and_then(Value::as_str), encoding);
        assert_eq!(event.extensions["datacontenttype"], content_type);
    }
    let structured = r#"{"specversion":"1.0","type":"a","id":"1","source":"s","data_base64":"Zm9vYg=="}"#;
    let event = one(CLOUD, &[], structured);
    assert_eq!(
        (event.data.value(), &event.extensions["datacontentencoding"]),
        (json!("Zm9vYg=="), &json!("base64"))
    );
    let latin = decode(
        Some("text/plain"),
        headers.map(|(name, value)| (name, value.as_bytes())),
        b"\xe9",
        micros(0),
        "http",
        &mut String::new,
    );
    assert_eq!(latin.unwrap()[0].data.value(), json!("6Q=="), "text in another encoding is kept as bytes");
}

#[test]
fn a_refusal_says_which_event_which_field_and_why() {
    let cloud = |change: &str| {
        let base = json!({ "specversion": "1.0", "type": "a.b", "id": "1", "source": "s" });
        let change: Value = serde_json::from_str(change).unwrap();
        let merged = base.as_object().unwrap().clone().into_iter().chain(change.as_object().unwrap().clone());
        Value::Object(merged.collect()).to_string()
    };
    let deep = format!(r#"{{"topic":"a","data":{}1{}}}"#, "[".repeat(65), "]".repeat(65));
    let deeper = format!(r#"{{"topic":"a","data":{}"#, "[".repeat(500_000));
    let many = format!("{{\"topic\":\"a\"{}}}", (0..200).map(|n| format!(",\"x{n}\":1")).collect::<String>());
    let cases = [
        (JSON, "".to_owned(), "not a JSON object"),
        (JSON, "7".into(), "not a JSON object"),
        (JSON, "{\"topic\":".into(), "not JSON: EOF while parsing a value at line 1 column 9"),
        (JSON, "{\"topic\":\"a\"} x".into(), "not JSON: trailing characters"),
        (JSON, "{}".into(), "`topic`: missing"),
        (JSON, r#"{"topic":"a..b"}"#.into(), "`topic`: `a..b` has an empty token"),
        (JSON, r#"{"topic":"a","type":"b"}"#.into(), "`type`: given twice"),
        (JSON, r#"{"topic":"a","x":1,"x":2}"#.into(), "`x`: given twice"),
        (JSON, r#"{"topic":"a","data":1,"payload":2}"#.into(), "`payload`: the payload is given twice"),
        (JSON, r#"{"topic":["a"]}"#.into(), "`topic`: must be a text, not [\"a\"]"),
        (JSON, r#"{"topic":"a","id":""}"#.into(), "`id`: empty"),
        (JSON, r#"{"topic":"a","source":"a\u0000"}"#.into(), "`source`: holds a NUL"),
        (JSON, r#"{"topic":"a","time":"yesterday"}"#.into(), "`time`: `yesterday` is not an RFC 3339 time"),
        (JSON, r#"{"topic":"a","priority":"P1"}"#.into(), "`priority`: `P1` is not a priority"),
        (JSON, r#"{"topic":"a","tags":{"x":1}}"#.into(), "`tags`: only a text, a number or a boolean"),
        (JSON, r#"{"topic":"a","data":"\ud800"}"#.into(), "`data`: "),
        (JSON, r#"{"topic":"a","data":{"v":1e400}}"#.into(), "`data`: number out of range"),
        (JSON, format!(r#"{{"topic":"a","data":[-1{}]}}"#, "0".repeat(400)), "`data`: number out of range"),
        (JSON, deep, "`data`: nested deeper than 64"),
        (JSON, deeper, "not JSON: "),
        (JSON, many, "not JSON: more than 128 members"),
        (JSON, r#"[{"topic":"a"},{"topic":"b","id":[]}]"#.into(), "item 1: `id`: must be a text"),
        (JSON, r#"[{"topic":"a"},7]"#.into(), "item 1: not a JSON object"),
        (JSON, r#"[{"topic":"a"},"#.into(), "not a list of events: "),
        (LINES, "{\"topic\":\"a\"}\n\n{\"topic\":1}\n".into(), "line 3: `topic`: must be a text"),
        (LINES, "{\"topic\":\"a\"}\nrubbish".into(), "line 2: not a JSON object"),
        (LINES, "{\"topic\":\"a\",\n\"data\":1}".into(), "line 1: not JSON: EOF"),
        (CLOUD, "[]".into(), "not a JSON object"),
        (BATCH, "{}".into(), "not a list of events"),
        (CLOUD, r#"{"type":"a","id":"1","source":"s"}"#.into(), "`specversion`: missing"),
        (CLOUD, cloud(r#"{"specversion":"2.0"}"#), "`specversion`: `2.0` is not read here"),
        (CLOUD, r#"{"specversion":"1.0","type":"a","source":"s"}"#.into(), "`id`: missing"),
        (CLOUD, cloud(r#"{"source":null}"#), "`source`: missing"),
        (CLOUD, cloud(r#"{"type":null,"topic":"a"}"#), "`type`: missing"),
        (CLOUD, cloud(r#"{"id":7}"#), "`id`: must be a text, not 7"),
        (CLOUD, cloud(r#"{"subject":""}"#), "`subject`: empty"),
        (CLOUD, cloud(r#"{"Level":"x"}"#), "`Level`: names of CloudEvents attributes"),
        (CLOUD, cloud(r#"{"level":1.5}"#), "`level`: CloudEvents attributes have no fractions"),
        (CLOUD, cloud(r#"{"level":[1]}"#), "`level`: only a text"),
        (CLOUD, cloud(r#"{"data_base64":7}"#), "`data_base64`: must be a text"),
        (BATCH, format!("[{},{}]", cloud("{}"), cloud(r#"{"id":""}"#)), "item 1: `id`: empty"),
    ];
    for (content_type, body, words) in cases {
        let error = read(content_type, &[], &body).unwrap_err();
        assert!(error.to_string().starts_with(words), "{body:.80}\n{error}");
        assert_eq!(error.kind, Kind::BadRequest);
    }
    let headers = [("ce-type", "a.b"), ("ce-id", "1")];
    assert!(read(JSON, &headers, "1").unwrap_err().to_string().starts_with("`specversion`: missing"));
    let broken = [("ce-specversion", "1.0"), ("ce-type", "a"), ("ce-id", "1"), ("ce-source", "s")];
    assert!(read(JSON, &broken, "{").unwrap_err().to_string().starts_with("`data`: the body is not JSON"));
}

#[test]
fn what_is_too_large_or_of_another_type_is_told_apart_from_what_is_wrong() {
    let large = format!(r#"{{"topic":"a","data":"{}"}}"#, "x".repeat(MAX_EVENT));
    let error = read(LINES, &[], &format!("{{\"topic\":\"a\"}}\n{large}")).unwrap_err();
    assert_eq!((error.kind, error.place), (Kind::TooLarge, Some(Place::Line(2))));
    let error = read(LINES, &[], &"{\"topic\":\"a\"}\n".repeat(MAX_EVENTS + 1)).unwrap_err();
    assert_eq!(error.kind, Kind::TooLarge);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/cloudevents+xml", ""]
    {
        let error = read(content_type, &[], "{\"topic\":\"a\"}").unwrap_err();
        assert_eq!(error.kind, Kind::UnsupportedMediaType, "{content_type}");
        assert!(error.to_string().contains("application/json"), "{error}");
    }
    let none = decode(None, [], b"{}", micros(0), "http", &mut String::new).unwrap_err();
    assert_eq!(none.kind, Kind::UnsupportedMediaType);
}
