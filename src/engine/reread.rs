//! `paramedic.yaml` read again while the engine runs: its `plugins:` take effect, and what else has changed is named, as
//! it takes a restart.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::{Config, Engine};
use crate::plugins;

/// Where a configuration was read from, and what stood there.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub tree: Value,
}

/// What a second look at the configuration came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reread {
    /// What became of `plugins:`.
    #[serde(flatten)]
    pub plugins: plugins::Changes,
    /// Keys that say something else than at the start, which takes a restart.
    pub restart: Vec<String>,
}

impl Engine {
    /// Reads the configuration's file again and takes over its `plugins:`. Without a file there is nothing to read.
    ///
    /// # Errors
    /// In words, when the file has a mistake; then nothing has changed.
    pub async fn reread(&self) -> Result<Reread, String> {
        let Some(origin) = &self.0.config.origin else { return Ok(Reread::default()) };
        let path = origin.path.clone();
        let loaded = tokio::task::spawn_blocking(move || Config::load(&path)).await;
        let config = loaded.map_err(|_| "reading the configuration ended badly".to_string())?;
        let config = config.map_err(|error| error.to_string())?;
        let wrong: Vec<String> =
            plugins::spec::check_all(&config.plugins).iter().map(ToString::to_string).collect();
        if !wrong.is_empty() {
            return Err(format!("{}: {}", origin.path.display(), wrong.join("; ")));
        }
        let restart = config.origin.map(|now| other_keys(&origin.tree, &now.tree)).unwrap_or_default();
        let plugins = self.0.plugins.configure(config.plugins).await;
        if plugins.actions {
            let engine = self.clone();
            let reloaded = tokio::task::spawn_blocking(move || engine.reload()).await;
            reloaded.map_err(|_| "the reload of rules and playbooks ended badly".to_string())?;
        }
        Ok(Reread { plugins, restart })
    }
}

/// The keys below which two configurations differ, but `plugins`.
fn other_keys(before: &Value, now: &Value) -> Vec<String> {
    let keys = |tree: &Value| tree.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    let (mut all, more): (Vec<String>, Vec<String>) = (keys(before), keys(now));
    all.extend(more);
    all.sort();
    all.dedup();
    all.retain(|key| key != "plugins" && before.get(key) != now.get(key));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_takes_a_restart_is_named_by_its_key() {
        let before = json!({ "listen": "a", "plugins": [1], "limits": { "inbox": 5 }, "data": "d" });
        let now = json!({ "listen": "a", "plugins": [], "limits": { "inbox": 6 }, "kernels": [] });
        assert_eq!(other_keys(&before, &now), ["data", "kernels", "limits"]);
        assert_eq!(other_keys(&Value::Null, &json!({ "plugins": [] })), [""; 0]);
    }
}
