//! The playbooks and rules that come with Paramedic do what they say, against a world that is only played.

mod more;

use super::*;
use std::sync::Arc;

use crate::actions::BUILTIN;
use crate::model::{Event, StepKind, Topic};
use crate::playbook::request::ActRequest;
use crate::rules::{self, Firing, Known, RuleSet, Scratch, Windows};

fn read(dir: &str, extension: &str) -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join(dir)).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{dir}/{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() {
            files.extend(read(&name, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            files.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
    files.sort();
    files
}

fn playbooks(dir: &str) -> Library {
    let files: Vec<SourceFile> =
        read(dir, "rhai").into_iter().map(|(path, text)| SourceFile { path, text }).collect();
    let library = Library::load(dir, &files, &BUILTIN.map(String::from)).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    assert_eq!(library.warnings(), []);
    library
}

fn rule_set(dir: &str, names: &[String]) -> RuleSet {
    let files: Vec<rules::SourceFile> =
        read(dir, "yaml").into_iter().map(|(path, text)| rules::SourceFile { path, text }).collect();
    let compiled = rules::compile(&files, &Known { playbooks: names });
    let told: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    compiled.set.unwrap()
}

fn ctx(params: Value) -> Value {
    json!({
        "target": "k1", "rule": "kernel-crashed", "params": params, "attempt": 1, "confidence": 0.8,
        "event": {"topic": "telemetry.kernel.exited"},
        "intent": {
            "goal": "Restart k1", "count": 3,
            "attempts": [
                {"playbook": "restart_kernel", "outcome": "failed", "message": "no answer"},
                {"playbook": "investigate_failure", "outcome": null, "message": null},
            ],
        },
    })
}

/// Carries out one function; gives what it returned and the actions it called with their parameters.
fn carry_out(
    name: &str,
    phase: Phase,
    params: Value,
    journal: &mut Vec<Step>,
    world: &dyn Fn(&str, &Value) -> Result<Value, Failure>,
) -> (Result<Value, Failure>, Vec<Value>) {
    let library = playbooks("playbooks");
    let pb = library.get(name).unwrap();
    let params = pb.check_params(params.as_object().unwrap()).unwrap();
    let ctx = ctx(Value::Object(params));
    let mut calls = Vec::new();
    loop {
        match drive(&pb, phase, &ctx, journal, &env()) {
            Burst::Done { value, .. } => return (Ok(value), calls),
            Burst::Failed { failure, .. } => return (Err(failure), calls),
            Burst::Suspended { steps, mut step, request } => {
                journal.extend(steps);
                step.status = StepStatus::Finished;
                let mut one = |act: ActRequest| {
                    let params = Value::Object(act.params);
                    calls.push(json!([act.action, params]));
                    world(&act.action, &params)
                };
                let came = match request {
                    Request::Act(act) => one(act),
                    Request::All { actions: acts, partial: false } => acts
                        .into_iter()
                        .map(one)
                        .collect::<Vec<_>>()
                        .into_iter()
                        .collect::<Result<Vec<_>, _>>()
                        .map(Value::Array),
                    // Nobody is there to be heard, and time passes.
                    Request::Sleep(_) | Request::WaitFor { .. } => Ok(Value::Null),
                    Request::Emit { topic, data } => {
                        calls.push(json!([topic, data]));
                        Ok(Value::Null)
                    }
                    request => panic!("{name} wants {request:?}"),
                };
                match came {
                    Ok(value) => step.result = Some(value),
                    Err(failure) => step.error = Some(failure),
                }
                assert!(journal.len() < 1_000, "{name} waits without end");
                journal.push(*step);
            }
        }
    }
}

fn works(action: &str, params: &Value) -> Result<Value, Failure> {
    Ok(match action {
        "kernel.restart" => json!({"kernel": "k1", "state": "healthy", "boot_ms": 210.5}),
        "kernel.scale" => json!({"replicas": params["replicas"], "state": "healthy"}),
        "kernel.health" => json!({"healthy": true, "state": "healthy", "problems": []}),
        "kernel.logs" => json!({"lines": ["one", "two"]}),
        "diagnostic.run" => json!({
            "summary": "disk is full", "severity": "critical", "errors": ["ERROR disk"],
            "findings": [
                {"check": "disk", "severity": "critical", "summary": "disk is full", "data": {}, "advice": "make room"},
                {"check": "load", "severity": "info", "summary": "the load is 0.1", "data": {}, "advice": ""},
            ],
            "kernel": {"name": "k1", "desired": 1, "min": 1, "max": 3},
        }),
        "alert.operator" => json!({"alert": "01"}),
        other => panic!("{other}"),
    })
}

#[test]
fn restart_kernel_restarts_and_asks_whether_it_helped() {
    let mut journal = Vec::new();
    let (end, calls) = carry_out("restart_kernel", Phase::Run, json!({"grace": "2s"}), &mut journal, &works);
    assert_eq!(end.unwrap()["state"], "healthy");
    assert_eq!(calls, [json!(["kernel.restart", {"kernel": "k1", "grace": "2s"}])]);
    let (end, _) = carry_out("restart_kernel", Phase::Verify, json!({}), &mut journal, &works);
    assert_eq!(end, Ok(json!(true)));
    let hangs = |_: &str, _: &Value| Ok(json!({"healthy": false, "state": "unhealthy"}));
    let (end, _) = carry_out("restart_kernel", Phase::Verify, json!({}), &mut Vec::new(), &hangs);
    assert_eq!(end, Ok(json!(false)));
}

#[test]
fn scale_resources_stays_within_the_most_and_takes_back_only_what_it_did() {
    for (params, replicas) in [(json!({}), 2), (json!({"by": 9}), 3), (json!({"replicas": 3}), 3)] {
        let mut journal = Vec::new();
        let (end, _) = carry_out("scale_resources", Phase::Run, params, &mut journal, &works);
        assert_eq!(end, Ok(json!({"before": 1, "replicas": replicas})));
        let (_, calls) = carry_out("scale_resources", Phase::Rollback, json!({}), &mut journal, &works);
        assert_eq!(calls, [json!(["kernel.scale", {"kernel": "k1", "replicas": 1}])]);
    }
    for kernel in [json!(null), json!({"desired": 3, "max": 3})] {
        let full = |_: &str, _: &Value| Ok(json!({ "kernel": kernel }));
        let mut journal = Vec::new();
        let (end, calls) = carry_out("scale_resources", Phase::Run, json!({}), &mut journal, &full);
        assert_eq!((end.unwrap_err().kind.as_str(), calls.len()), ("failed", 1));
        let (end, calls) = carry_out("scale_resources", Phase::Rollback, json!({}), &mut journal, &full);
        assert_eq!((end, calls), (Ok(json!(null)), vec![]), "it scaled nothing, so it takes nothing back");
    }
}

#[test]
fn alert_operator_says_what_was_tried() {
    for (params, level) in [
        (json!({}), "warning"),
        (json!({"urgency": "high"}), "critical"),
        (json!({"urgency": "low"}), "info"),
        (json!({"urgency": "low", "level": "critical"}), "critical"),
    ] {
        let (_, calls) = carry_out("alert_operator", Phase::Run, params, &mut Vec::new(), &works);
        assert_eq!(
            calls,
            [json!(["alert.operator", {
                "title": "Needs a person: Restart k1", "level": level, "target": "k1",
                "message": "Rule kernel-crashed asks for a person.\n- restart_kernel: failed, no answer\nSeen 3 times.",
            }])]
        );
    }
}

#[test]
fn what_only_looks_changes_nothing_and_tells_what_it_found() {
    let (end, calls) = carry_out("run_diagnostic", Phase::Run, json!({}), &mut Vec::new(), &works);
    assert_eq!(end.unwrap()["findings"][0]["summary"], "disk is full");
    assert_eq!(calls, [json!(["diagnostic.run", {"target": "k1", "lines": 200}])]);

    let (end, calls) = carry_out("investigate_failure", Phase::Run, json!({}), &mut Vec::new(), &works);
    assert_eq!(end.unwrap()["lines"], json!(["one", "two"]));
    let names: Vec<&Value> = calls.iter().map(|call| &call[0]).collect();
    assert_eq!(names, ["diagnostic.run", "kernel.logs", "alert.operator"]);
    assert_eq!(
        calls[2][1]["message"],
        "Restart k1\nFound: disk is full\n- critical: disk is full; make room\nLast lines of its log:\n  one\n  two"
    );
    let no_log = |action: &str, params: &Value| match action {
        "kernel.logs" => Err(Failure::new("invalid", "no kernel `k1`")),
        _ => works(action, params),
    };
    let mut journal = Vec::new();
    let (end, calls) = carry_out("investigate_failure", Phase::Run, json!({}), &mut journal, &no_log);
    assert!(end.is_ok() && calls.len() == 3, "a kernel without a log is told of all the same");
    assert!(journal.iter().any(|step| step.kind == StepKind::Log));
}

#[test]
fn each_failure_is_met_by_exactly_one_shipped_rule() {
    let library = playbooks("playbooks");
    let set = rule_set("rules", &library.names());
    let exited = "telemetry.kernel.exited";
    let kernel = |more: Value| {
        let mut data =
            json!({"kernel": "k1", "layer": 1, "fleet": "f", "baseline_ms": 500.0, "message": "ended"});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    let cases = [
        (exited, json!({"reason": "crash", "expected": false}), Some(("kernel-crashed", "crash"))),
        (exited, json!({"reason": "signal", "expected": false}), Some(("kernel-crashed", "signal"))),
        (exited, json!({"reason": "exit", "expected": false}), Some(("kernel-crashed", "exit"))),
        (exited, json!({"reason": "signal", "expected": true}), None),
        (exited, json!({"reason": "boot_exit", "expected": true}), None),
        (
            exited,
            json!({"reason": "boot_exit", "expected": false}),
            Some(("kernel-boot-failed", "boot_exit")),
        ),
        (
            "telemetry.kernel.unhealthy",
            json!({"reason": "boot_timeout"}),
            Some(("kernel-boot-failed", "boot_timeout")),
        ),
        ("telemetry.kernel.unhealthy", json!({"reason": "hang"}), Some(("kernel-hangs", "hang"))),
        (
            "telemetry.stress.boot_failed",
            json!({"error": "panic", "boot_duration_ms": 1200}),
            Some(("kernel-boot-failed", "panic")),
        ),
        (
            "telemetry.stress.slow_boot",
            json!({"boot_duration_ms": 1200}),
            Some(("kernel-boots-slowly", "slow_boot")),
        ),
        (
            "telemetry.kernel.healthy",
            json!({"reason": "booted", "boot_duration_ms": 1200.0}),
            Some(("kernel-boots-slowly", "slow_boot")),
        ),
        ("telemetry.kernel.healthy", json!({"reason": "booted", "boot_duration_ms": 999.9}), None),
        (
            "telemetry.kernel.healthy",
            json!({"reason": "booted", "boot_duration_ms": 1200.0, "baseline_ms": null}),
            None,
        ),
        ("telemetry.kernel.healthy", json!({"reason": "recovered"}), None),
        ("telemetry.kernel.booting", json!({}), None),
        ("telemetry.kernel.overloaded", json!({}), Some(("kernel-overloaded", "overload"))),
    ];
    for (topic, data, expected) in cases {
        let topic = Topic::try_new(topic).unwrap();
        let event =
            Arc::new(Event::new("e1".to_string(), topic, "kernels", micros(0), kernel(data)).about("k1"));
        let hits = set.hits(&event, &mut Scratch::default());
        let mut firings = Vec::new();
        Windows::default().apply(&set, &event, &hits, &mut firings, &mut Vec::new());
        let fired: Vec<(String, String)> = firings
            .into_iter()
            .filter_map(|firing| match firing {
                Firing::Fire(fired) => {
                    assert_eq!(
                        (fired.target, fired.group.as_str(), fired.fleet.as_deref()),
                        (Ok("k1".into()), "k1", Some("f"))
                    );
                    Some((fired.rule.name.clone(), fired.class))
                }
                Firing::Resolved { .. } => None,
            })
            .collect();
        let expected: Vec<(String, String)> =
            expected.map(|(rule, class)| (rule.into(), class.into())).into_iter().collect();
        assert_eq!(fired, expected, "{}", event.data.text());
    }
}

#[test]
fn the_example_is_sound_and_takes_no_job_name_that_leads_elsewhere() {
    let library = playbooks("examples/shop/playbooks");
    assert_eq!(rule_set("examples/shop/rules", &library.names()).rules().len(), 2);
    let pb = library.get("set_job_aside").unwrap();
    let set_aside = |job: Value| {
        let ctx = json!({"target": "worker", "event": {"data": {"job": job}}});
        drive(&pb, Phase::Run, &ctx, &[], &env())
    };
    let Burst::Suspended { request: Request::Act(act), .. } = set_aside(json!("poison")) else { panic!() };
    assert_eq!(act.params["argv"], json!(["mv", "--", "run/queue/poison", "run/aside/poison"]));
    for job in [json!("../etc"), json!(""), json!(null), json!(".."), json!(["x"])] {
        assert!(matches!(set_aside(job.clone()), Burst::Failed { .. }), "{job}");
    }
}
