//! The examples of the CloudEvents specification and of its conformance suite arrive with all they say.
//!
//! They are not ours and not in this repository: the folder is `$PARAMEDIC_CASES`, or `../shared/cases` beside the
//! checkout. Without it this test says that it was skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]
#![expect(clippy::print_stderr, reason = "a test that did not run must say so")]

use std::path::PathBuf;

use paramedic::model::Event;
use paramedic::model::clock::micros;
use paramedic::sources::cloudevents::{DecodeError, decode};
use serde_json::Value;

fn cases() -> Option<PathBuf> {
    let folder = std::env::var_os("PARAMEDIC_CASES")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/cases"))
        .join("cloudevents");
    let there = folder.join("index.json").is_file();
    if !there {
        eprintln!("skipped: no {} (set PARAMEDIC_CASES)", folder.display());
    }
    there.then_some(folder)
}

fn read(content_type: &str, headers: &[(String, String)], body: &[u8]) -> Result<Vec<Event>, DecodeError> {
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    decode(Some(content_type), headers, body, micros(0), "http", &mut || "fresh".into())
}

/// What `event` says under the name of CloudEvents attribute `name`.
fn said(event: &Event, name: &str) -> Value {
    let text = |text: &Option<String>| text.clone().map(Value::from).unwrap_or_default();
    match name {
        "id" => event.id.clone().into(),
        "type" => event.topic.as_str().into(),
        "source" => event.source.clone().into(),
        "subject" => text(&event.subject),
        "traceparent" => text(&event.traceparent),
        "correlationid" => text(&event.correlationid),
        "causationid" => text(&event.causationid),
        "time" => event.time.timestamp_micros().into(),
        name => event.extensions.get(name).cloned().unwrap_or_default(),
    }
}

fn assert_whole(event: &Event, attributes: &serde_json::Map<String, Value>, case: &str) {
    for (name, value) in attributes {
        match name.as_str() {
            "specversion" => {}
            "data" => assert_eq!(&event.data.value(), value, "{case}: data"),
            "data_base64" if value.is_null() => {}
            "data_base64" => assert_eq!(&event.data.value(), value, "{case}: data_base64"),
            "time" => {
                let time = value.as_str().expect("times are texts").replacen(' ', "T", 1);
                let time = chrono::DateTime::parse_from_rfc3339(&time).expect("the cases are right");
                assert_eq!(said(event, "time"), time.timestamp_micros(), "{case}: time");
            }
            name => assert_eq!(&said(event, name), value, "{case}: {name}"),
        }
    }
}

#[test]
fn the_specifications_examples_are_taken_or_refused_as_its_schema_says() {
    let Some(folder) = cases() else { return };
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_str(&index).unwrap();
    let mut taken = 0;
    for case in index {
        let (file, kind) = (case["file"].as_str().unwrap(), case["kind"].as_str().unwrap());
        let content_type = match kind {
            "structured" => "application/cloudevents+json; charset=utf-8",
            "batch" => "application/cloudevents-batch+json",
            _ => continue,
        };
        let body = std::fs::read(folder.join(file)).unwrap();
        let events = read(content_type, &[], &body);
        if case["schema_valid"] == false {
            assert!(events.is_err(), "{file} is not valid");
            continue;
        }
        let events = events.unwrap_or_else(|error| panic!("{file}: {error}"));
        let sent: Value = serde_json::from_slice(&body).unwrap();
        let sent = match sent {
            Value::Array(list) => list,
            one => vec![one],
        };
        assert_eq!(events.len(), sent.len(), "{file}");
        for (event, sent) in events.iter().zip(&sent) {
            assert_whole(event, sent.as_object().unwrap(), file);
        }
        taken += 1;
    }
    assert!(taken >= 20, "only {taken} examples were found");
}

#[test]
fn the_conformance_suites_events_mean_the_same_in_binary_and_structured_mode() {
    let Some(folder) = cases() else { return };
    let rows = std::fs::read_to_string(folder.join("conformance/events.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
    assert!(rows.len() >= 10);
    for row in rows {
        let mut attributes = row["ContextAttributes"].as_object().unwrap().clone();
        let case = format!("{} {}", row["source"], attributes["id"]);
        if let Some(Value::Object(extensions)) = attributes.remove("Extensions") {
            attributes.extend(extensions);
        }
        if let Some(Value::String(time)) = attributes.get_mut("time") {
            *time = time.replacen(' ', "T", 1);
        }
        let version = attributes["specversion"].to_string();
        attributes.insert("specversion".into(), version.into());
        let content_type =
            attributes.get("datacontenttype").and_then(Value::as_str).unwrap_or("application/json");
        let data = row["Data"].as_str().unwrap();
        let headers: Vec<(String, String)> = attributes
            .iter()
            .filter(|(name, _)| *name != "datacontenttype")
            .map(|(name, value)| {
                let value = value.as_str().unwrap().replace('%', "%25").replace('\n', "%0A");
                (format!("ce-{name}"), value)
            })
            .collect();
        let binary =
            read(content_type, &headers, data.as_bytes()).unwrap_or_else(|error| panic!("{case}: {error}"));
        let json = content_type.starts_with("application/json");
        let data = if json { serde_json::from_str(data).unwrap() } else { Value::from(data) };
        let mut object = attributes.clone();
        object.insert("data".into(), data);
        let body = Value::Object(object.clone()).to_string();
        let structured = read("application/cloudevents+json", &[], body.as_bytes())
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_whole(&binary[0], &object, &case);
        assert_whole(&structured[0], &object, &case);
    }
}
