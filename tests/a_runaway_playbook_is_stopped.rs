//! A playbook that would compute, grow or recurse for ever is stopped at its limit, whatever it catches, and the others
//! go on meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use engine::Home;
use serde_json::json;

/// What never ends, and a word of what is said of it.
const RUNAWAYS: &[(&str, &str)] = &[
    ("loop { }", "operations"),
    ("fn again() { again() } again()", ""),
    ("let s = \"x\"; loop { s += s; }", ""),
    ("let a = []; loop { a.push(a); }", ""),
    ("let m = #{}; let i = 0; loop { m[i.to_string()] = m; i += 1; }", ""),
    ("loop { try { loop { } } catch { } }", "operations"),
    ("[1, 2].map(|x| { loop { try { loop { } } catch { } } })", "operations"),
    ("[3, 1, 2].sort(|a, b| { loop { } 1 })", "operations"),
    ("try { sleep(\"1h\"); } catch { } loop { }", "time was up"),
    (
        "[1].filter(|x| { try { act(\"kernel.health\", #{ kernel: \"none\" }); } catch { } loop { } })",
        "operations",
    ),
    ("for i in 0..10_000_000 { let x = \"abc\".to_upper(); }", "operations"),
    ("loop { log(\"info\", \"again\"); }", ""),
];

/// The limit on a burst is 2 s of computing, or what is done before in operations, depth and sizes; and 1 s.
const LIMIT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_playbook_does_for_ever_ends_and_others_are_not_held_up() {
    let home = Home::new("limits: { concurrency: 32 }\n");
    let mut rules = String::from("rules:\n");
    let mut rule = |name: &str| {
        writeln!(
            rules,
            "  - name: {name}\n    on: {name}.fail\n    group_by: data.n\n    intent: {{ goal: Mend, target: \"{name}${{data.n}}\" }}\n    playbooks: [{name}]"
        )
        .unwrap();
    };
    rule("quick");
    let header =
        "//! Mend.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 10s\n//! actions: [kernel.health]\n";
    home.write(
        "playbooks/quick.rhai",
        &format!("{header}fn run(ctx) {{ log(\"info\", \"quick\"); 1 }}\nfn verify(ctx) {{ true }}\n"),
    );
    for (n, (body, _)) in RUNAWAYS.iter().enumerate() {
        rule(&format!("run{n}"));
        let (functions, body) = match body.strip_prefix("fn again() { again() } ") {
            Some(body) => ("fn again() { again() }\n", body),
            None => ("", *body),
        };
        home.write(
            &format!("playbooks/run{n}.rhai"),
            &format!("{header}{functions}fn run(ctx) {{ {body} }}\n"),
        );
    }
    home.write("rules/rules.yaml", &rules);
    let engine = home.start().await;
    let mut waits = Vec::new();
    for n in 0..RUNAWAYS.len() {
        engine.send(json!({"topic": format!("run{n}.fail"), "source": "test", "data": {"n": 1}})).await;
        let (begin, target) = (Instant::now(), format!("quick{n}"));
        engine.send(json!({"topic": "quick.fail", "source": "test", "data": {"n": n}})).await;
        let done = |a: &serde_json::Value| a["items"][0]["status"] == "succeeded";
        engine.until(&format!("/api/intents?target={target}"), Duration::from_secs(20), done).await;
        waits.push(begin.elapsed());
    }
    waits.sort();
    println!("others took {waits:?}");
    assert!(waits[waits.len() / 2] < LIMIT, "others were held up: {waits:?}");
    for (n, (body, word)) in RUNAWAYS.iter().enumerate() {
        let over = |a: &serde_json::Value| a["items"][0]["attempts"][0]["outcome"] == "failed";
        let intents = engine.until(&format!("/api/intents?rule=run{n}"), Duration::from_secs(60), over).await;
        let attempt = intents["items"][0]["attempts"][0].clone();
        let message = attempt["message"].as_str().unwrap();
        let placed = message.contains(&format!("run{n}.rhai")) || message.contains("time was up");
        assert!(message.contains(word) && placed, "{body}: {message}");
        println!("{body}\n    {message}");
    }
}
