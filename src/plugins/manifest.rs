//! What a plugin says of itself, checked before anything of it is believed.

use std::time::Duration;

use paramedic_plugin::message::{ActionSpec, Manifest, Risk as Theirs};
use serde_json::Value;

use super::spec::is_name;
use crate::actions::Spec;
use crate::model::{Risk, Span};

/// Longest manifest that is read.
const MOST: usize = 1 << 20;

/// More actions than this are a mistake.
const ACTIONS: usize = 256;

/// A manifest that was checked.
#[derive(Clone, Debug)]
pub struct Said {
    /// What the plugin calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line.
    pub doc: String,
    /// Its actions.
    pub actions: Vec<Known>,
    /// As it was said.
    pub text: String,
}

/// An action of a plugin.
#[derive(Clone, Debug)]
pub struct Known {
    /// As the registry shows it.
    pub spec: Spec,
    /// Whether it can say what a call has done.
    pub probe: bool,
    /// Whether it can say what a call would do.
    pub dry_run: bool,
}

/// Reads and checks a manifest; no call of it may take longer than `most`.
///
/// # Errors
/// In words: what is wrong, and where.
pub(super) fn read(text: &str, most: Option<Span>) -> Result<Said, String> {
    if text.len() > MOST {
        return Err(format!("its manifest is {} bytes long, over {MOST}", text.len()));
    }
    let manifest: Manifest =
        serde_json::from_str(text).map_err(|error| format!("its manifest cannot be read: {error}"))?;
    if !is_name(&manifest.name) {
        return Err(format!("its manifest names it `{}`: use a-z, 0-9, `_` and `-`", brief(&manifest.name)));
    }
    if manifest.actions.is_empty() || manifest.actions.len() > ACTIONS {
        return Err(format!(
            "its manifest has {} actions: 1 to {ACTIONS} are possible",
            manifest.actions.len()
        ));
    }
    let mut actions: Vec<Known> = Vec::new();
    for action in &manifest.actions {
        if actions.iter().any(|known| known.spec.name == action.name) {
            return Err(format!("its manifest has two actions `{}`", brief(&action.name)));
        }
        actions
            .push(known(action, most).map_err(|why| format!("its action `{}` {why}", brief(&action.name)))?);
    }
    Ok(Said {
        name: manifest.name,
        version: line(&manifest.version),
        doc: line(&manifest.doc),
        actions,
        text: text.into(),
    })
}

fn known(action: &ActionSpec, most: Option<Span>) -> Result<Known, String> {
    let parts: Vec<&str> = action.name.split('.').collect();
    if parts.len() < 2 || !parts.iter().all(|part| is_name(part)) {
        return Err("has no good name: write one such as `disk.clean`, of a-z, 0-9, `_` and `-`".into());
    }
    if action.doc.trim().is_empty() {
        return Err("has no `doc`: say in one line what it does".into());
    }
    if !action.params.is_object() || action.params.get("type") != Some(&Value::from("object")) {
        return Err(
            "has `params` that are no JSON Schema of an object: begin with \"type\": \"object\"".into()
        );
    }
    if !action.result.is_object() {
        return Err("has a `result` that is no JSON Schema".into());
    }
    if action.timeout_ms == 0 {
        return Err("has a `timeout_ms` of 0, in which nothing can be done".into());
    }
    let timeout = Span(Duration::from_millis(action.timeout_ms));
    let risk = match action.risk {
        Theirs::Low => Risk::Low,
        Theirs::Medium => Risk::Medium,
        Theirs::High => Risk::High,
    };
    let spec = Spec {
        name: action.name.clone(),
        doc: line(&action.doc),
        params: action.params.clone(),
        result: action.result.clone(),
        idempotent: action.idempotent,
        acts: true,
        risk,
        timeout: most.map_or(timeout, |most| Span(most.0.min(timeout.0))),
    };
    Ok(Known { spec, probe: action.probe && !action.idempotent, dry_run: action.dry_run })
}

fn line(text: &str) -> String {
    super::output::clean(text.lines().next().unwrap_or_default()).chars().take(500).collect()
}

fn brief(text: &str) -> String {
    super::output::clean(text).chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_manifest_is_believed_only_if_all_of_it_makes_sense() {
        let good = json!({ "name": "disk", "version": "1.0.0", "actions": [{
            "name": "disk.clean", "doc": "Cleans.\nMore.", "params": { "type": "object" }, "result": {},
            "risk": "medium", "timeout_ms": 60_000, "probe": true,
        }] });
        let said = read(&good.to_string(), Some(Span::secs(5))).unwrap();
        let action = &said.actions[0];
        assert!(action.probe && !action.dry_run && action.spec.risk == Risk::Medium);
        assert_eq!((action.spec.doc.as_str(), action.spec.timeout), ("Cleans.", Span::secs(5)));
        for (path, value, word) in [
            ("/name", json!("../x"), "names it"),
            ("/actions", json!([]), "0 actions"),
            ("/actions/0/name", json!("clean"), "no good name"),
            ("/actions/0/name", json!("disk.\u{1b}[2J"), "no good name"),
            ("/actions/0/doc", json!(" "), "one line"),
            ("/actions/0/params", json!(true), "no JSON Schema of an object"),
            ("/actions/0/result", json!(1), "no JSON Schema"),
            ("/actions/0/timeout_ms", json!(0), "timeout_ms"),
            ("/actions/0/risk", json!("none"), "cannot be read"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = value;
            let error = read(&bad.to_string(), None).unwrap_err();
            assert!(error.contains(word), "{path}: {error}");
        }
        let mut twice = good.clone();
        twice["actions"] = json!([good["actions"][0], good["actions"][0]]);
        assert!(read(&twice.to_string(), None).unwrap_err().contains("two actions"));
        assert!(read("{", None).unwrap_err().contains("cannot be read"));
    }
}
