//! The library beside the first five: which actions each calls, in which order, and what it does when the world will
//! not have it. On real files and processes they are tried in `tests/the_playbook_library_works_on_real_things.rs`.

use std::cell::{Cell, RefCell};

use super::*;
use crate::model::Risk;

/// The actions called, and what each was about.
fn short(calls: &[Value]) -> Vec<String> {
    let about = |call: &Value| {
        let params = &call[1];
        let words = params["argv"]
            .as_array()
            .map(|argv| argv.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
        let one = |name: &str| params[name].as_str().map(str::to_owned);
        words
            .or_else(|| one("kernel"))
            .or_else(|| one("url"))
            .or_else(|| one("file"))
            .or_else(|| one("target"))
            .unwrap_or_default()
    };
    calls.iter().map(|call| format!("{} {}", call[0].as_str().unwrap(), about(call))).collect()
}

/// Carries out `run`, which must end well or with these words; gives the calls.
fn runs(
    name: &str,
    params: Value,
    world: &dyn Fn(&str, &Value) -> Result<Value, Failure>,
    fails: &str,
) -> Vec<String> {
    let (end, calls) = carry_out(name, Phase::Run, params, &mut Vec::new(), world);
    match end {
        Ok(_) => assert_eq!(fails, "", "{name} ends well"),
        Err(failure) => assert!(!fails.is_empty() && failure.message.contains(fails), "{name}: {failure:?}"),
    }
    short(&calls)
}

fn well(action: &str, _: &Value) -> Result<Value, Failure> {
    Ok(match action {
        "kernel.health" => json!({ "healthy": true, "state": "healthy", "problems": [] }),
        "kernel.logs" => json!({ "lines": ["one"] }),
        "diagnostic.run" => json!({ "summary": "fine", "severity": "info", "findings": [], "errors": [] }),
        "http.request" => json!({ "status": 200, "json": { "active": 0 } }),
        _ => json!({}),
    })
}

#[test]
fn each_says_truly_how_much_harm_it_can_do() {
    let library = playbooks("playbooks");
    for (name, risk, verify, rollback) in [
        ("clean_disk", Risk::Medium, true, false),
        ("rotate_logs", Risk::Medium, true, false),
        ("restart_with_dependants", Risk::Medium, true, true),
        ("drain_restart", Risk::Medium, true, true),
        ("rolling_restart", Risk::Medium, true, false),
        ("gather_evidence", Risk::Low, false, false),
        ("wait_and_see", Risk::Low, true, false),
    ] {
        let it = library.get(name).unwrap();
        assert_eq!((it.risk, it.has_verify, it.has_rollback), (risk, verify, rollback), "{name}");
        let changes = ["exec.run", "http.request", "kernel.restart", "kernel.stop", "kernel.scale"];
        let harmless = !it.actions.iter().any(|action| changes.contains(&action.as_str()));
        assert_eq!(risk == Risk::Low, harmless, "{name} calls {:?}", it.actions);
        assert!(
            it.params.values().all(|param| !param.doc.is_empty()),
            "{name}: every parameter is explained"
        );
    }
    let listed =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/playbooks/README.md")).unwrap();
    for name in library.names() {
        assert!(listed.contains(&format!("| `{name}` |")), "{name} is missing in playbooks/README.md");
    }
}

#[test]
fn clean_disk_goes_from_old_to_young_and_stops_as_soon_as_there_is_room() {
    let used = Cell::new(90);
    let frees = |action: &str, params: &Value| {
        assert_eq!(action, "exec.run");
        Ok(if params["argv"][0] == "df" {
            json!({ "stdout": format!("Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda 9 8 1 {}% /my disk\n", used.get()), "truncated": false })
        } else {
            used.set(used.get() - 10);
            json!({ "stdout": "/cache/app/a\n/cache/app/b\n", "truncated": false })
        })
    };
    let params = json!({ "path": "/cache/app", "below": 75, "older_than": "1w", "at_least": "12 hours" });
    let calls = runs("clean_disk", params.clone(), &frees, "");
    let find = |minutes: u64| {
        format!("exec.run find /cache/app -xdev -type f -name * -mmin +{minutes} -print -delete")
    };
    let df = "exec.run df -P -- /cache/app".to_string();
    assert_eq!(calls, [df.clone(), find(10_080), df.clone(), find(5_040), df.clone()]);
    assert_eq!(runs("clean_disk", params, &frees, ""), [df], "a second time there is room");
    for path in ["/", "/var", "/etc/app", "cache/app", "/cache/../etc", "/cache/app\n/etc"] {
        assert!(runs("clean_disk", json!({ "path": path }), &frees, "is no folder to clean").is_empty());
    }
    let params = json!({ "path": "/cache/app", "older_than": "1h", "at_least": "1d" });
    assert!(runs("clean_disk", params, &frees, "the first must be longer").is_empty());
}

#[test]
fn rotate_logs_goes_on_where_an_emptying_was_cut_off() {
    let cut = |action: &str, params: &Value| {
        assert_eq!(action, "exec.run");
        match params["argv"][0].as_str().unwrap() {
            "find" if params["argv"].to_string().contains(".gz") => Ok(
                json!({ "stdout": "/logs/app/a.log.1.gz\n/logs/app/a.log.3.gz\n/logs/app/a.log.2.gz\n", "truncated": false }),
            ),
            "find" => Ok(json!({ "stdout": "/logs/app/a.log\n", "truncated": false })),
            "truncate" => Err(Failure::new("interrupted", "the engine died")),
            _ => Ok(json!({ "stdout": "" })),
        }
    };
    let calls = runs("rotate_logs", json!({ "path": "/logs/app", "keep": 1 }), &cut, "");
    let programs: Vec<&str> = calls.iter().map(|call| call.split(' ').nth(1).unwrap()).collect();
    assert_eq!(programs, ["find", "cp", "truncate", "gzip", "rm", "find", "rm", "rm"]);
    assert_eq!(
        calls[6..],
        ["exec.run rm -f -- /logs/app/a.log.2.gz", "exec.run rm -f -- /logs/app/a.log.1.gz"]
    );
    let full = |action: &str, params: &Value| match params["argv"][0].as_str().unwrap() {
        "cp" => Err(Failure::new("failed", "no space left")),
        _ => cut(action, params),
    };
    let calls = runs("rotate_logs", json!({ "path": "/logs/app" }), &full, "no space left");
    assert!(!calls.iter().any(|call| call.contains("truncate")), "nothing is emptied that was not copied");
}

#[test]
fn restart_with_dependants_leaves_alone_what_was_stopped_and_brings_back_the_rest() {
    let world = |action: &str, params: &Value| match (action, params["kernel"].as_str().unwrap()) {
        ("kernel.health", "idle") => Ok(json!({ "healthy": false, "state": "stopped" })),
        ("kernel.restart", _) => Err(Failure::new("failed", "does not boot")),
        _ => well(action, params),
    };
    let params = json!({ "dependants": ["a", "idle", "k1", "b", "a"] });
    let mut journal = Vec::new();
    let (end, calls) = carry_out("restart_with_dependants", Phase::Run, params.clone(), &mut journal, &world);
    assert!(end.unwrap_err().message.contains("does not boot"));
    let acts: Vec<String> = short(&calls).into_iter().filter(|it| !it.starts_with("kernel.health")).collect();
    assert_eq!(acts, ["kernel.stop b", "kernel.stop a", "kernel.restart k1"]);
    let (_, calls) = carry_out("restart_with_dependants", Phase::Rollback, params, &mut journal, &world);
    assert_eq!(short(&calls), ["kernel.start k1", "kernel.start a", "kernel.start b"]);
}

#[test]
fn drain_restart_never_restarts_what_is_busy_unless_it_is_forced() {
    let busy = |action: &str, params: &Value| match action {
        "http.request" => Ok(json!({ "status": 200, "json": { "active": 3 } })),
        _ => well(action, params),
    };
    let params = |more: Value| {
        let mut params = json!({ "drain": "http://b/drain/{target}", "undrain": "http://b/undrain", "active": "http://b/active", "within": "6s", "every": "2s" });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        params
    };
    let asks = "http.request http://b/active".to_string();
    let drain = "http.request http://b/drain/k1".to_string();
    let calls = runs("drain_restart", params(json!({})), &busy, "still has 3 to do");
    assert_eq!(calls, [&drain, &asks, &asks, &asks].map(String::clone));
    let calls = runs("drain_restart", params(json!({ "force": true })), &busy, "");
    assert_eq!(calls[4..], ["kernel.restart k1", "kernel.health k1", "http.request http://b/undrain"]);
    let vague = |action: &str, params: &Value| match action {
        "http.request" => Ok(json!({ "status": 200, "json": null })),
        _ => well(action, params),
    };
    runs("drain_restart", params(json!({})), &vague, "does not tell a number as active");
    let seen = RefCell::new(Vec::new());
    let keeps = |action: &str, params: &Value| {
        seen.borrow_mut().push(params["headers"].clone());
        well(action, params)
    };
    runs("drain_restart", params(json!({ "secret": "lb" })), &keeps, "");
    assert_eq!(seen.borrow()[0]["Authorization"], json!({ "secret": "lb", "prefix": "Bearer " }));
    assert_ne!(seen.borrow()[0]["Idempotency-Key"], seen.borrow().last().unwrap()["Idempotency-Key"]);
}

#[test]
fn rolling_restart_stops_at_the_first_that_does_not_stay_well() {
    let params =
        json!({ "members": ["a", "b", "c", "d"], "batch": 2, "soak": "4s", "every": "2s", "within": "4s" });
    let restarts = |calls: Vec<String>| -> Vec<String> {
        calls.iter().filter_map(|call| call.strip_prefix("kernel.restart ").map(str::to_owned)).collect()
    };
    assert_eq!(restarts(runs("rolling_restart", params.clone(), &well, "")), ["a", "b", "c", "d"]);
    let looks = Cell::new(0);
    let falls = |action: &str, call: &Value| {
        looks.set(looks.get() + u32::from(action == "kernel.health"));
        match action {
            "kernel.health" if looks.get() > 1 => Ok(json!({ "healthy": false, "state": "unhealthy" })),
            _ => well(action, call),
        }
    };
    let calls = runs(
        "rolling_restart",
        params.clone(),
        &falls,
        "the canary a did not stay healthy for 4s: 3 others were left alone",
    );
    assert_eq!(restarts(calls), ["a"]);
    let breaks = |action: &str, call: &Value| match (action, call["kernel"].as_str().unwrap()) {
        ("kernel.restart", "c") => Err(Failure::new("failed", "no port")),
        _ => well(action, call),
    };
    assert_eq!(restarts(runs("rolling_restart", params, &breaks, "no port")), ["a", "b", "c"]);
    assert!(runs("rolling_restart", json!({ "members": [] }), &well, "nothing was restarted").is_empty());
}

#[test]
fn gather_evidence_attaches_what_there_is() {
    let world = |action: &str, params: &Value| match action {
        "kernel.health" | "kernel.logs" => Err(Failure::new("invalid", "no kernel")),
        "diagnostic.run" if params["file"] == "/var/log/b" => Err(Failure::new("refused", "may not look")),
        "diagnostic.run" if params["file"] != json!(null) => Ok(json!({ "errors": ["ERROR x"] })),
        "diagnostic.run" => Ok(json!({
            "summary": "the disk is full", "severity": "critical", "errors": [],
            "findings": [{ "check": "disk", "severity": "critical", "summary": "/ is full", "data": {}, "advice": "make room" }],
        })),
        _ => well(action, params),
    };
    let params = json!({ "files": ["/var/log/a", "/var/log/b"] });
    let (end, calls) = carry_out("gather_evidence", Phase::Run, params, &mut Vec::new(), &world);
    assert_eq!(
        end.unwrap()["files"],
        json!({ "/var/log/a": ["ERROR x"], "/var/log/b": ["could not be looked at: may not look"] })
    );
    let alert = &calls.last().unwrap()[1];
    assert_eq!(alert["title"], "Evidence about k1: the disk is full");
    let message = alert["message"].as_str().unwrap();
    assert!(
        message.contains("- disk: / is full (critical; make room)") && message.contains("  ERROR x"),
        "{message}"
    );
    assert!(calls.iter().any(|call| call[0] == "evidence.gathered"));
}

#[test]
fn wait_and_see_takes_nothing_for_granted() {
    let looks = Cell::new(0);
    let flaps = |action: &str, _: &Value| {
        assert_eq!(action, "kernel.health");
        looks.set(looks.get() + 1);
        Ok(json!({ "healthy": looks.get() % 3 != 0, "state": "healthy" }))
    };
    let params = json!({ "within": "1m", "every": "5s" });
    assert_eq!(
        runs("wait_and_see", params.clone(), &flaps, "has not recovered by itself within 1m").len(),
        12
    );
    assert_eq!(runs("wait_and_see", params.clone(), &well, "").len(), 3);
    let stranger = |_: &str, _: &Value| Err(Failure::new("invalid", "no kernel `k1`"));
    assert_eq!(runs("wait_and_see", params, &stranger, "give it as recovered").len(), 1);
    let params = json!({ "within": "10s", "every": "5s", "recovered": "disk.ok" });
    assert_eq!(runs("wait_and_see", params, &stranger, "has not recovered").len(), 2);
}
