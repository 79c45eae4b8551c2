//! The JSON Schema of tests, which editors read.

use serde_json::{Map, Value, json};

/// Describes one test: an item of a rule's `tests:`, or of a file of tests.
pub fn schema() -> Value {
    let named = one_or(
        json!({ "type": "string" }),
        "step",
        &[
            ("action", text("the action that is called")),
            ("params", json!({ "type": "object", "description": "of its parameters, those that matter" })),
            (
                "fails",
                json!({ "type": ["boolean", "string"], "description": "whether it fails, or the kind of failure" }),
            ),
            ("message", text("part of what a failure says")),
            ("phase", json!({ "enum": ["run", "verify", "rollback"], "description": "in which function" })),
            ("at", time()),
        ],
    );
    let attempt = one_or(
        json!({ "type": "string" }),
        "attempt",
        &[
            ("playbook", text("which playbook")),
            ("outcome", text("fixed, not_fixed, failed, relapsed, interrupted or unverified")),
            ("message", text("part of the reason")),
            ("steps", list(named.clone())),
        ],
    );
    let intent = object(&[
        ("rule", text("the rule that fired")),
        ("target", text("what is acted on")),
        ("group", text("the failing thing that the rule grouped by")),
        ("class", text("what learning tells apart")),
        ("status", text("how it ended: succeeded, escalated, failed, stale, denied, …")),
        ("reason", text("part of why it stands there")),
        ("count", json!({ "type": "integer", "description": "matches, the first included" })),
        ("goal", text("what is wanted, in words")),
        ("domain", text("infrastructure, performance, …")),
        ("priority", text("low, normal, high or critical")),
        ("fleet", json!({ "type": ["string", "null"] })),
        (
            "playbook",
            json!({ "type": ["string", "null"], "description": "the playbook that was tried last" }),
        ),
        ("outcome", json!({ "type": ["string", "null"], "description": "what came of it" })),
        ("attempts", list(attempt)),
        ("escalation", list(text("a playbook that told somebody"))),
        ("steps", list(named.clone())),
        ("at", time()),
    ]);
    let alert = one_or(
        text("part of the title"),
        "alert",
        &[
            ("title", text("part of it")),
            ("message", text("part of it")),
            ("level", json!({ "enum": ["info", "warning", "critical"] })),
            ("target", text("what it is about")),
            ("status", text("active, acked or resolved")),
            ("count", json!({ "type": "integer", "description": "how often it was raised" })),
            ("key", text("what makes two alerts one")),
            ("at", time()),
        ],
    );
    let seen = one_or(
        text("its topic, or a pattern"),
        "event",
        &[
            ("topic", text("its topic, or a pattern")),
            ("subject", text("what it is about")),
            ("source", text("who says so")),
            ("id", text("its id")),
            ("priority", text("low, normal, high or critical")),
            ("data", json!({ "description": "of its payload, what matters" })),
            ("at", time()),
        ],
    );
    let expect = object(&[
        ("intents", described(list(intent), "exactly these, in the order in which they are opened")),
        ("steps", described(list(named), "exactly these actions of all runs, in order")),
        ("alerts", described(list(alert), "exactly these, in the order in which they are raised first")),
        (
            "events",
            described(list(seen), "these in this order, among all that the test does not send itself"),
        ),
        ("outcome", text("of a playbook alone: fixed, not_fixed, failed, interrupted or unverified")),
        ("result", json!({ "description": "of a playbook alone: what `run` returns, of it what matters" })),
        ("failure", failure()),
        (
            "verify",
            json!({ "type": ["boolean", "null"], "description": "of a playbook alone: what `verify` answers" }),
        ),
        (
            "rollback",
            json!({ "type": "boolean", "description": "of a playbook alone: whether it is rolled back" }),
        ),
    ]);
    let mut test = object(&[
        ("name", text("says in a sentence what the test shows")),
        ("start", text("when it begins, such as 2026-03-29T02:30:00+01:00")),
        ("events", described(list(happening()), "what happens")),
        (
            "actions",
            json!({
                "type": "object", "additionalProperties": answers(),
                "description": "how actions answer, one call after another; the last answer stays",
            }),
        ),
        ("people", described(list(person()), "what people do, each once there is something to say")),
        (
            "learned",
            json!({
                "type": "object", "additionalProperties": { "type": ["number", "string"] },
                "description": "how often playbooks have helped so far: a share or a percentage each",
            }),
        ),
        (
            "playbook",
            text("with `target`, the playbook that is tested alone; else the candidate that is tried first"),
        ),
        ("target", text("makes it a test of `playbook` alone: what that acts on")),
        ("params", json!({ "type": "object", "description": "of a playbook alone: what it is given" })),
        ("event", described(happening(), "of a playbook alone: what it sees as `ctx.event`")),
        ("until", described(time(), "how long it is watched; if not said, until nothing is under way")),
        ("expect", described(expect, "what is to come of it; each item names only what matters")),
    ]);
    test["required"] = json!(["name", "expect"]);
    test
}

fn failure() -> Value {
    let keys = object(&[
        ("kind", text("timeout, refused, invalid, failed, …")),
        ("action", text("the action that failed")),
        ("message", text("part of what it says")),
        ("retryable", json!({ "type": "boolean" })),
    ]);
    json!({
        "description": "of a playbook alone: why it fails, or its kind; null if it does not",
        "anyOf": [{ "type": ["string", "null"] }, keys],
    })
}

fn happening() -> Value {
    let mut event = object(&[
        ("topic", text("what kind of thing happened")),
        ("at", time()),
        ("data", json!({ "description": "the payload" })),
        ("subject", text("what it is about")),
        ("source", text("who says so; test if not said")),
        ("id", text("with source, what makes two events one")),
        ("priority", text("low, normal, high or critical")),
        ("time", text("when it happened, if not when it arrives: a moment, or time from the start")),
        ("correlationid", text("what it belongs to")),
        ("causationid", text("what caused it")),
    ]);
    event["required"] = json!(["topic"]);
    event
}

fn answers() -> Value {
    let mut then = object(&[
        ("topic", text("what kind of thing happened")),
        ("after", described(time(), "how long after the action has ended")),
        ("data", json!({ "description": "the payload" })),
        ("subject", text("what it is about; the target if not said")),
        ("source", text("who says so")),
    ]);
    then["required"] = json!(["topic"]);
    let answer = object(&[
        ("result", json!({ "description": "what it gives; what is left out is as usual" })),
        ("fails", text("what it says when it fails")),
        ("kind", text("the kind of failure; failed if not said")),
        ("retryable", json!({ "type": "boolean" })),
        ("takes", described(time(), "how long it takes")),
        (
            "then",
            json!({ "anyOf": [list(then.clone()), then], "description": "what happens in the world then" }),
        ),
    ]);
    json!({ "anyOf": [list(answer.clone()), answer] })
}

fn person() -> Value {
    object(&[
        ("at", time()),
        ("approve", json!({ "type": "boolean" })),
        ("deny", json!({ "type": "boolean" })),
        ("cancel", json!({ "type": "boolean" })),
        ("answer", json!({ "description": "what is said to a playbook that asks" })),
        ("rule", text("only about an intent of this rule")),
        ("target", text("only about an intent with this target")),
    ])
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn time() -> Value {
    json!({ "type": ["string", "number"], "description": "time from the start, such as 30s or 1h30m" })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

/// A map of these keys, or one thing in its place.
fn one_or(one: Value, title: &str, keys: &[(&str, Value)]) -> Value {
    json!({ "title": title, "anyOf": [one, object(keys)] })
}

fn object(keys: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|(key, it)| ((*key).into(), it.clone())).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rehearse::{read, wanted};

    #[test]
    fn editors_are_told_of_every_key_that_is_read_and_of_no_other() {
        let schema = schema();
        let at = |path: &str| schema.pointer(path).unwrap_or_else(|| panic!("{path}"));
        let keys = |path: &str| {
            let mut keys: Vec<&str> =
                at(&format!("{path}/properties")).as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            keys
        };
        let expect = "/properties/expect/properties";
        let answer = "/properties/actions/additionalProperties/anyOf/1";
        for (path, known) in [
            (String::new(), read::TEST),
            ("/properties/events/items".into(), read::EVENT),
            (answer.into(), read::ANSWER),
            (format!("{answer}/properties/then/anyOf/1"), read::THEN),
            ("/properties/people/items".into(), read::PERSON),
            ("/properties/expect".into(), wanted::EXPECT),
            (format!("{expect}/intents/items"), wanted::INTENT),
            (format!("{expect}/intents/items/properties/attempts/items/anyOf/1"), wanted::ATTEMPT),
            (format!("{expect}/steps/items/anyOf/1"), wanted::STEP),
            (format!("{expect}/alerts/items/anyOf/1"), wanted::ALERT),
            (format!("{expect}/events/items/anyOf/1"), wanted::EVENT),
        ] {
            let mut known = known.to_vec();
            known.sort_unstable();
            assert_eq!(keys(&path), known, "{path}");
        }
    }
}
