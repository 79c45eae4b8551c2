//! Calls of actions by real runs: an intent by hand, a playbook that makes one call and tells what came of it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::engine::{Engine, Home};

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Writes a playbook for each of `actions`, named as the action with `_` for the dot.
pub fn playbooks(home: &Home, actions: &[&str]) {
    for action in actions {
        let name = action.replace(['.', '-'], "_");
        let text = format!(
            "//! Call it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [{action}]\n\
             //! params: {{ args: {{ type: map, default: {{}} }} }}\n\n\
             fn run(ctx) {{\n    try {{ return #{{ ok: act(\"{action}\", ctx.params.args) }}; }}\n    \
             catch (e) {{ return #{{ error: e }}; }}\n}}\n"
        );
        home.write(&format!("playbooks/{name}.rhai"), &text);
    }
}

/// Calls `action` and gives `{"ok": …}` or `{"error": …}`.
pub async fn call(engine: &Engine, action: &str, with: Value) -> Value {
    let id = begin(engine, action, with).await;
    end(engine, &id).await
}

/// Begins a call; gives the intent.
pub async fn begin(engine: &Engine, action: &str, with: Value) -> String {
    let n = NEXT.fetch_add(1, Ordering::SeqCst);
    let wish = json!({
        "goal": "Call it", "target": format!("t{n}"), "playbooks": [action.replace(['.', '-'], "_")],
        "params": { "args": with },
    });
    let (status, answer) = engine.post("/api/intents", "application/json", wish.to_string()).await.unwrap();
    assert!((200..300).contains(&status), "{status} {answer}");
    answer["id"].as_str().unwrap().to_owned()
}

/// Waits for the end of a call.
pub async fn end(engine: &Engine, id: &str) -> Value {
    let path = format!("/api/intents/{id}");
    let done = |intent: &Value| intent["attempts"][0]["ended_at"].is_string();
    let intent = engine.until(&path, Duration::from_secs(30), done).await;
    let run = intent["attempts"][0]["run"].as_str().unwrap_or_else(|| panic!("{intent:#}")).to_owned();
    let run = engine.get(&format!("/api/runs/{run}")).await;
    assert!(run["result"].is_object(), "{run:#}\n{intent:#}");
    run["result"].clone()
}
