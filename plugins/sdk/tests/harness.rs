//! What an author may rely on: each form of function, a state, probes, dry runs; and no panic gets out.

use std::collections::BTreeSet;
use std::sync::Mutex;

use paramedic_plugin::schema::{integer, object, optional, required, string};
use paramedic_plugin::testing::Harness;
use paramedic_plugin::{Action, Context, Failure, Plugin};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Config {
    limit: u32,
}

/// Remembers the keys of the calls that were made.
struct Ledger {
    limit: u32,
    done: Mutex<BTreeSet<String>>,
}

#[derive(Deserialize)]
struct Add {
    n: u32,
}

#[derive(Debug, PartialEq, Serialize)]
struct Added {
    n: u32,
}

impl Ledger {
    fn start(config: Config) -> Result<Self, Failure> {
        if config.limit == 0 {
            return Err(Failure::invalid("`limit` is 0: nothing could be added"));
        }
        Ok(Self { limit: config.limit, done: Mutex::default() })
    }

    fn add(&self, params: Add, context: &Context) -> Result<Added, Failure> {
        if params.n > self.limit {
            return Err(Failure::refused(format!("{} is over {}", params.n, self.limit)).retryable());
        }
        self.done.lock().map_err(|error| error.to_string())?.insert(context.key.clone());
        Ok(Added { n: params.n })
    }

    fn was_added(&self, params: Add, context: &Context) -> Result<Option<Added>, Failure> {
        let done = self.done.lock().map_err(|error| error.to_string())?.contains(&context.key);
        Ok(done.then_some(Added { n: params.n }))
    }

    fn would_add(&self, params: Add) -> Result<Value, Failure> {
        Ok(json!({ "allowed": params.n <= self.limit }))
    }
}

fn fail(_: Value) -> Result<(), Failure> {
    panic!("out of {}", "cheese")
}

fn lie(_: Value) -> Result<Value, Failure> {
    Ok(json!({ "n": "many" }))
}

fn plugin() -> Plugin<Ledger> {
    Plugin::with_state("ledger", "1.0.0", Ledger::start)
        .action(
            Action::new("ledger.add", "Adds.", Ledger::add)
                .takes([required("n", integer("How many."))])
                .gives([required("n", integer("How many."))])
                .probe(Ledger::was_added)
                .dry_run(Ledger::would_add),
        )
        .action(Action::new("ledger.fail", "Panics.", fail))
        .action(Action::new("ledger.lie", "Lies.", lie).gives([required("n", integer("A number."))]))
}

#[test]
fn a_state_is_made_of_the_configuration_and_given_to_each_call() {
    let ledger = Harness::start_with(plugin(), json!({ "limit": 5 })).unwrap();
    assert_eq!(ledger.call("ledger.add", json!({ "n": 3 })), Ok(json!({ "n": 3 })));
    let refused = ledger.call("ledger.add", json!({ "n": 6 })).unwrap_err();
    assert!(refused.kind == "refused" && refused.retryable, "{refused}");
    assert_eq!(ledger.dry_run("ledger.add", json!({ "n": 6 })), Ok(json!({ "allowed": false })));
    for (config, words) in
        [(json!({ "limit": 0 }), "nothing could be added"), (json!({}), "cannot be read"), (Value::Null, "")]
    {
        let failure = Harness::start_with(plugin(), config).err().unwrap();
        assert!(failure.kind == "invalid" && failure.message.contains(words), "{failure}");
    }
}

#[test]
fn a_probe_tells_what_was_done_by_the_key_of_the_call() {
    let ledger = Harness::start_with(plugin(), json!({ "limit": 5 })).unwrap();
    let context = Context { key: "run/1/0".into(), ..Context::default() };
    assert_eq!(ledger.probe("ledger.add", json!({ "n": 2 }), &context), Ok(None));
    ledger.call_as("ledger.add", json!({ "n": 2 }), &context).unwrap();
    assert_eq!(ledger.probe("ledger.add", json!({ "n": 2 }), &context), Ok(Some(json!({ "n": 2 }))));
    assert!(ledger.manifest().actions[0].probe && ledger.manifest().actions[0].dry_run);
    assert_eq!(ledger.probe("ledger.fail", json!({}), &context).unwrap_err().kind, "invalid");
}

#[test]
fn a_panic_is_a_failure_of_that_call_and_a_wrong_result_of_the_test() {
    let ledger = Harness::start_with(plugin(), json!({ "limit": 5 })).unwrap();
    let failure = ledger.call("ledger.fail", json!({})).unwrap_err();
    assert_eq!(
        (failure.kind.as_str(), failure.message.as_str()),
        ("panic", "the action panicked: out of cheese")
    );
    assert_eq!(ledger.call("ledger.lie", json!({})).unwrap_err().kind, "result");
    assert!(ledger.call("ledger.add", json!({ "n": 1 })).is_ok());
    assert_eq!(ledger.call("ledger.none", json!({})).unwrap_err().kind, "invalid");
}

#[test]
fn schemas_say_what_is_missing_unknown_and_out_of_bounds() {
    let schema = object([required("a", string("A.").between(1, 3)), optional("b", integer("B.").at_most(9))]);
    for (value, words) in [
        (json!({ "a": "x" }), ""),
        (json!({ "a": "x", "b": null }), ""),
        (json!({}), "`a` is missing"),
        (json!({ "a": "" }), "at least 1"),
        (json!({ "a": "four" }), "at most 3"),
        (json!({ "a": "x", "b": 10 }), "at most 9"),
        (json!({ "a": "x", "b": 1.5 }), "expected integer"),
        (json!({ "a": "x", "c": 1 }), "`c` is not known"),
        (json!([]), "expected object"),
    ] {
        match paramedic_plugin::schema::check(&schema, &value) {
            Ok(()) => assert!(words.is_empty(), "{value} should be {words}"),
            Err(problem) => assert!(!words.is_empty() && problem.contains(words), "{value}: {problem}"),
        }
    }
}
