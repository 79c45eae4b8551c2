//! The smallest plugin: one action that greets, one that counts words.

use paramedic_plugin::schema::{integer, optional, required, string};
use paramedic_plugin::{Action, Context, Failure, Plugin, export};
use serde::{Deserialize, Serialize};

/// What `hello.greet` takes.
#[derive(Deserialize)]
struct Greet {
    name: String,
    #[serde(default = "once")]
    times: usize,
}

/// What `hello.greet` gives.
#[derive(Serialize)]
struct Greeting {
    text: String,
}

/// What `hello.count` takes.
#[derive(Deserialize)]
struct Count {
    text: String,
}

/// What `hello.count` gives.
#[derive(Serialize)]
struct Counted {
    words: usize,
    target: String,
}

fn once() -> usize {
    1
}

fn greet(params: Greet) -> Result<Greeting, Failure> {
    if params.name.chars().any(char::is_control) {
        return Err(Failure::invalid("`name` holds a control character, which nobody's name does"));
    }
    let text = vec![format!("Hello, {}!", params.name); params.times].join(" ");
    Ok(Greeting { text })
}

fn would_greet(params: Greet) -> Result<String, Failure> {
    Ok(format!("would greet {}", params.name))
}

/// An action that wants to know for what it is called takes the context too.
fn count(params: Count, context: &Context) -> Result<Counted, Failure> {
    Ok(Counted { words: params.text.split_whitespace().count(), target: context.target.clone() })
}

fn plugin() -> Plugin {
    Plugin::new("hello", env!("CARGO_PKG_VERSION"))
        .doc("Greets, as an example.")
        .action(
            Action::new("hello.greet", "Greets somebody.", greet)
                .takes([
                    required("name", string("Whom to greet.").at_least(1)),
                    optional("times", integer("How often.").between(1, 10)),
                ])
                .gives([required("text", string("The greeting."))])
                .dry_run(would_greet)
                .idempotent(),
        )
        .action(
            Action::new("hello.count", "Counts the words of a text.", count)
                .takes([required("text", string("The text."))])
                .gives([
                    required("words", integer("How many there are.")),
                    required("target", string("What the intent is about.")),
                ])
                .idempotent(),
        )
}

export!(plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use paramedic_plugin::testing::Harness;
    use serde_json::json;

    #[test]
    fn somebody_is_greeted_as_often_as_asked() {
        let hello = Harness::start(plugin());
        assert_eq!(
            hello.call("hello.greet", json!({ "name": "Ada", "times": 2 })).unwrap(),
            json!({ "text": "Hello, Ada! Hello, Ada!" })
        );
        assert_eq!(hello.dry_run("hello.greet", json!({ "name": "Ada" })).unwrap(), "would greet Ada");
    }

    #[test]
    fn a_wrong_parameter_is_refused_before_anything_is_done() {
        let hello = Harness::start(plugin());
        for (params, word) in [
            (json!({}), "`name` is missing"),
            (json!({ "name": "" }), "at least 1"),
            (json!({ "name": "Ada", "times": 11 }), "at most 10"),
            (json!({ "name": "a\u{7}" }), "control character"),
        ] {
            let failure = hello.call("hello.greet", params).unwrap_err();
            assert!(failure.kind == "invalid" && failure.message.contains(word), "{failure}");
        }
    }

    #[test]
    fn words_are_counted_for_the_target_of_the_intent() {
        let hello = Harness::start(plugin());
        let context = Context { target: "k1".into(), ..Context::default() };
        let counted = hello.call_as("hello.count", json!({ "text": "a b  c" }), &context).unwrap();
        assert_eq!(counted, json!({ "words": 3, "target": "k1" }));
    }
}
