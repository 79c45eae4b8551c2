//! How a deployment stands, read from what the API server tells of it and of its pods. Pure.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kernels::providers::Sight;
use crate::kernels::view::State;

/// What the deployment alone tells.
pub(super) fn read(deployment: &Value) -> Sight {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let status = |name: &str| number(&format!("/status/{name}"));
    let wished = deployment.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let (there, updated, available) =
        (status("replicas"), status("updatedReplicas"), status("availableReplicas"));
    let observed = status("observedGeneration") >= number("/metadata/generation");
    let condition = |kind: &str, value: &str| {
        let all = deployment.pointer("/status/conditions").and_then(Value::as_array);
        let found = all.into_iter().flatten().find(|it| it["type"] == kind && it["status"] == value);
        found
            .map(|it| (it["reason"].as_str().unwrap_or_default(), it["message"].as_str().unwrap_or_default()))
    };
    let mut certain = false;
    let (state, problem) = if !observed {
        (State::Booting, None)
    } else if wished == 0 {
        match there {
            0 => (State::Stopped, Some("is scaled to 0 replicas".to_owned())),
            n => (State::Unhealthy, Some(format!("is going down: {n} pods are left"))),
        }
    } else if updated >= wished && there <= updated && available >= wished {
        (State::Healthy, None)
    } else if let Some((reason, message)) = condition("ReplicaFailure", "True").or_else(|| {
        // Whether it comes up in time is the kernel's own question while it boots; this is the cluster giving up.
        condition("Progressing", "False")
    }) {
        certain = true;
        (State::Unhealthy, Some(format!("does not come up: {message} ({reason})")))
    } else if updated < wished || there > updated {
        (State::Booting, Some(format!("is rolling out: {updated} of {wished} pods are of the new kind")))
    } else {
        (State::Unhealthy, Some(format!("has {available} of {wished} replicas available")))
    };
    let template = deployment.pointer("/spec/template").map(Value::to_string).unwrap_or_default();
    let digest = Sha256::digest(template.as_bytes());
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Sight {
        problem,
        certain,
        instance: Some(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()),
        replicas: Some((narrow(wished), narrow(available))),
        ..Sight::of(state)
    }
}

/// Why pods do not run, as their containers tell: the most frequent reasons first.
pub(super) fn reasons(pods: &Value) -> Vec<String> {
    let mut found: Vec<(String, usize)> = Vec::new();
    let mut note = |reason: String| match found.iter_mut().find(|(known, _)| *known == reason) {
        Some((_, n)) => *n += 1,
        None => found.push((reason, 1)),
    };
    for pod in pods["items"].as_array().into_iter().flatten() {
        let containers = ["initContainerStatuses", "containerStatuses"]
            .into_iter()
            .filter_map(|kind| pod["status"][kind].as_array())
            .flatten();
        for container in containers {
            let waiting = &container["state"]["waiting"];
            let Some(reason) = waiting["reason"].as_str().filter(|reason| !ORDINARY.contains(reason)) else {
                continue;
            };
            let ended = &container["lastState"]["terminated"];
            let code = ended["exitCode"].as_i64().map(|code| {
                let why = ended["reason"].as_str().filter(|why| *why != "Error");
                format!(
                    ", last ended with exit code {code}{}",
                    why.map(|why| format!(", {why}")).unwrap_or_default()
                )
            });
            note(format!("{reason}{}", code.unwrap_or_default()));
        }
        let conditions = pod["status"]["conditions"].as_array();
        if let Some(it) = conditions
            .into_iter()
            .flatten()
            .find(|it| it["type"] == "PodScheduled" && it["status"] == "False")
        {
            note(format!(
                "{}: {}",
                it["reason"].as_str().unwrap_or("not placed"),
                it["message"].as_str().unwrap_or("")
            ));
        }
    }
    found.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    found.into_iter().map(|(reason, n)| if n > 1 { format!("{reason} ({n} pods)") } else { reason }).collect()
}

/// What every pod says while it starts.
const ORDINARY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// The labels by which a deployment finds its pods, as a query has them; nothing if it names none.
pub(super) fn selector(deployment: &Value) -> Option<String> {
    let selector = &deployment["spec"]["selector"];
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        labels.filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?))).collect();
    for it in selector["matchExpressions"].as_array().into_iter().flatten() {
        let name = it["key"].as_str()?;
        let values: Vec<&str> =
            it["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        parts.push(match it["operator"].as_str()? {
            "In" => format!("{name} in ({})", values.join(",")),
            "NotIn" => format!("{name} notin ({})", values.join(",")),
            "Exists" => name.to_owned(),
            "DoesNotExist" => format!("!{name}"),
            _ => return None,
        });
    }
    // No labels would mean every pod of the namespace.
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_stands_as_kubectl_rollout_status_says() {
        let condition = |kind: &str, status: &str| json!([{ "type": kind, "status": status, "reason": "R", "message": "m" }]);
        for (generation, wished, status, state, certain) in [
            (
                1,
                2,
                json!({ "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
                State::Healthy,
                false,
            ),
            (
                2,
                2,
                json!({ "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
                State::Booting,
                false,
            ),
            (
                2,
                2,
                json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2 }),
                State::Booting,
                false,
            ),
            (
                2,
                2,
                json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2 }),
                State::Booting,
                false,
            ),
            (
                1,
                2,
                json!({ "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1 }),
                State::Unhealthy,
                false,
            ),
            (
                1,
                2,
                json!({ "observedGeneration": 1, "replicas": 2, "updatedReplicas": 1, "conditions": condition("Progressing", "False") }),
                State::Unhealthy,
                true,
            ),
            (
                1,
                2,
                json!({ "observedGeneration": 1, "conditions": condition("ReplicaFailure", "True") }),
                State::Unhealthy,
                true,
            ),
            (1, 0, json!({ "observedGeneration": 1 }), State::Stopped, false),
            (1, 0, json!({ "observedGeneration": 1, "replicas": 1 }), State::Unhealthy, false),
            (1, 2, json!({}), State::Booting, false),
        ] {
            let it = json!({ "metadata": { "generation": generation }, "spec": { "replicas": wished, "template": {} }, "status": status });
            let sight = read(&it);
            assert_eq!((sight.state, sight.certain), (state, certain), "{it}");
        }
    }

    #[test]
    fn pods_that_do_not_run_say_why() {
        let crash = json!({ "status": { "containerStatuses": [{ "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } }] } });
        let place = json!({ "status": { "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room" }] } });
        let fine = json!({ "status": { "containerStatuses": [{ "state": { "waiting": { "reason": "ContainerCreating" } } }] } });
        assert_eq!(
            reasons(&json!({ "items": [place, crash, crash, fine] })),
            ["CrashLoopBackOff, last ended with exit code 137, OOMKilled (2 pods)", "Unschedulable: no room"]
        );
    }

    #[test]
    fn a_deployment_without_labels_never_means_all_pods() {
        assert_eq!(selector(&json!({ "spec": { "selector": {} } })), None);
        let it = json!({ "spec": { "selector": { "matchLabels": { "app": "web" }, "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] }, { "key": "old", "operator": "DoesNotExist" }] } } });
        assert_eq!(selector(&it).as_deref(), Some("app=web,tier in (a,b),!old"));
    }
}
