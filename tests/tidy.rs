//! The house keeps its layers: a module uses only those that stand above it in the order of `src/lib.rs`.
//! Also: each file says at its top what it is for, and stays of a size that can be read.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order in which they may use each other; those in one row stand side by side and do not.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["platform"],
    &["condition"],
    &["rules", "learning"],
    &["store"],
    &["bus"],
    &["freeze", "journal", "kernels"],
    &["actions"],
    &["plugins"],
    &["playbook"],
    &["intents"],
    &["guard"],
    &["observability", "sources", "stress"],
    &["alerts"],
    &["tasks"],
    &["engine"],
    &["http", "dashboard"],
    &["cli"],
];

/// What only some rooms may know: a crate, and the rooms.
const KNOWN_ONLY_TO: &[(&str, &[&str])] = &[
    ("rhai", &["condition", "playbook"]),
    ("rusqlite", &["store"]),
    ("axum", &["http"]),
    ("clap", &["cli"]),
    ("libloading", &["plugins"]),
];

/// Where tasks and threads are started that are no `platform::Part`: what ends soon, is awaited by who started it, or
/// is looked after otherwise. Whatever serves for long is a `Part`, so that its end does not go unnoticed.
const STARTED_BARE: &[(&str, &str)] = &[
    ("platform/", "parts are made there, and the log's thread, which catches its own panics"),
    ("engine/rehearse", "a test of rules, whose end is its result"),
    ("engine/replay", "a replay, whose end is its result"),
    ("engine/reload.rs", "one reload, awaited; and what it tells"),
    ("engine/dry.rs", "a dry run, awaited"),
    ("engine/publish.rs", "events that are sent again once"),
    ("engine/ingest.rs", "the alert of a quarantined event is raised once"),
    (
        "engine/ingest/saving.rs",
        "one state is saved; an end without a result is noticed, and it is saved later",
    ),
    ("engine/ports.rs", "an event made inside, pushed once"),
    ("alerts/worker.rs", "what became of an alert is recorded once, and again at the next start if not"),
    ("engine/query.rs", "an alert that changed is told once"),
    ("engine.rs", "a question is taken back once"),
    ("http/starting.rs", "one connection of two seconds at most"),
    ("kernels/unit.rs", "one operation, awaited"),
    ("kernels/life.rs", "the copy of a process's output, awaited at its end"),
    (
        "kernels/providers/process/output.rs",
        "the output of a program, kept until its end, and read on for nobody",
    ),
    ("plugins/", "alerts about a plugin, processes that retire, output of a process, which is awaited"),
    ("rules/build.rs", "compiles in a scope"),
    ("stress/", "another process"),
    ("tasks.rs", "the work on one intent: its panics are counted, and a guard gives back what it held"),
    ("tasks/", "alerts, metrics and clean-ups that are done once"),
    (
        "http/server.rs",
        "one connection: how it ends is its client's affair, and a guard gives back its place",
    ),
    ("cli/stress.rs", "tells a running engine, awaited"),
];

/// A file longer than this needs walls.
const MAX_LINES: usize = 500;

#[test]
fn no_module_uses_one_that_stands_below_it() {
    let level: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(i, row)| row.iter().map(move |m| (*m, i))).collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = module(&path) else { continue };
        let Some(own_level) = level.get(own.as_str()) else {
            wrong.push(format!("{}: the module `{own}` has no place in LAYERS", path.display()));
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for used in used_modules(line) {
                let fine = used == own || level.get(used.as_str()).is_some_and(|l| l < own_level);
                if level.contains_key(used.as_str()) && !fine {
                    wrong.push(format!("{}:{}: {own} may not use {used}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these uses point up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn a_library_is_known_only_to_the_room_it_belongs_to() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(own) = module(&path) else { continue };
        for (name, rooms) in KNOWN_ONLY_TO {
            if rooms.contains(&own.as_str()) {
                continue;
            }
            let marks =
                [format!("use {name}::"), format!(" {name}::"), format!("({name}::"), format!("<{name}::")];
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                if marks.iter().any(|mark| code.contains(mark.as_str())) {
                    wrong.push(format!("{}:{}: only {rooms:?} know {name}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_file_says_what_it_is_for_and_can_be_read_at_a_sitting() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            wrong.push(format!("{}: open it with `//!` and what it does", path.display()));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{}: {lines} lines, over {MAX_LINES}", path.display()));
        }
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if ["mod.rs", "util.rs", "utils.rs", "common.rs", "helpers.rs", "misc.rs"].contains(&name) {
            wrong.push(format!("{}: name it after what is in it", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Who may end an intent such that an operator must have been alerted before: the room that alerts, the table itself, and
/// the board where an escalated intent recovers.
const ENDS_WITH_AN_ALERT: &[&str] =
    &["src/tasks/escalate", "src/intents/lifecycle.rs", "src/intents/board/batch.rs"];

#[test]
fn no_intent_ends_silently() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().into_owned();
        let path = path.trim_start_matches('/').to_owned();
        if ENDS_WITH_AN_ALERT.iter().any(|room| path.starts_with(room)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for end in ["Fail", "Escalate", "Expire", "Refuse"] {
                if line.contains(&format!("Transition::{end}")) {
                    wrong.push(format!("{path}:{}: only `tasks::escalate` may {end}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Where a timer may have a length that is not written beside it, and why.
const TIMERS: &[(&str, &str)] = &[
    ("platform/sleep.rs", "it looks at the clock every ten seconds"),
    ("actions/alert/retry.rs", "all tries together take twenty seconds"),
    ("plugins/runner.rs", "a pause ends with the call that waits"),
    ("kernels/ending.rs", "a pause there grows to a part of a second"),
    ("plugins/health.rs", "only its tests sleep"),
    ("engine/rehearse/", "the time is virtual"),
    ("playbook/", "it is the name of a function of playbooks"),
    ("stress", "a stress test lasts minutes, on a machine that is awake"),
    ("cli/", "a person waits for it"),
];

#[test]
fn no_timer_sleeps_through_a_suspension() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = path.to_string_lossy().replace('\\', "/");
        if name.contains("/tests") || TIMERS.iter().any(|(it, _)| name.contains(&format!("src/{it}"))) {
            continue;
        }
        let own = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in own.lines().enumerate() {
            if uncapped(line) {
                wrong.push(format!(
                    "{}:{}: a timer of the runtime stands still while the machine sleeps; use `platform::sleep`",
                    path.display(),
                    number + 1
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether `line` begins a sleep of a length that is neither a constant nor written there.
fn uncapped(line: &str) -> bool {
    let code = line.split("//").next().unwrap();
    ["tokio::time::sleep(", "tokio::time::sleep_until(", " sleep(", "time::interval("].iter().any(|call| {
        code.split(call).skip(1).any(|rest| {
            let is_constant = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_) *".contains(c);
            let constant = rest.split_inclusive(')').next().unwrap();
            let written = rest.trim_start_matches("std::time::").starts_with("Duration::from_");
            !written && !constant.chars().all(is_constant)
        })
    })
}

#[test]
fn whatever_serves_for_long_is_supervised() {
    let bare = [
        "tokio::spawn(",
        "tracker.spawn(",
        ".spawn_on(&",
        "thread::spawn(",
        "thread::Builder",
        "runtime.spawn(",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
        let inside = inside.to_string_lossy().into_owned();
        let is_test = inside.contains("tests");
        if is_test || STARTED_BARE.iter().any(|(place, _)| inside.starts_with(place)) {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_part = code.contains("Part::") || code.contains("part(") || code.contains("part.");
            if bare.iter().any(|mark| code.contains(mark)) && !is_part {
                wrong.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "start these with `platform::Part`, or say in STARTED_BARE why their end may go unnoticed:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_test_sees_what_it_is_to_see() {
    assert!(uncapped("() = tokio::time::sleep(pause) => {}") && uncapped("() = sleep(left.min(MAX)) => {}"));
    assert!(!uncapped("tokio::time::sleep(POLL).await;") && !uncapped("sleep::pause(&clock, left).await"));
    assert!(!uncapped("tokio::time::sleep(Duration::from_millis(5)).await;"));
    assert_eq!(used_modules("use crate::model::{Event, Time};"), ["model"]);
    assert_eq!(
        used_modules("use crate::{actions::{A, B}, kernels, tasks::lock};"),
        ["actions", "kernels", "tasks"]
    );
    assert_eq!(used_modules("// crate::http is not used"), Vec::<String>::new());
    assert_eq!(used_modules("let x: crate::store::Error = crate::bus::y();"), ["store", "bus"]);
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// `src/rules/index.rs` and `src/rules.rs` belong to `rules`.
fn module(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    let name = first.trim_end_matches(".rs");
    (name != "lib" && name != "main").then(|| name.to_string())
}

/// The modules named by `crate::x` or `crate::{x, y::z}` in a line.
fn used_modules(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = Vec::new();
    for (at, mark) in code.match_indices("crate::") {
        let rest = &code[at + mark.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            used.push(name(rest));
            continue;
        };
        let mut depth = 0;
        for part in list.split_inclusive([',', '{', '}']) {
            if depth == 0 {
                used.push(name(part.trim_start()));
            }
            depth += part.matches('{').count() as i32 - part.matches('}').count() as i32;
            if depth < 0 {
                break;
            }
        }
    }
    used.retain(|name| !name.is_empty() && name != "self");
    used
}
