//! Who the engine is to a cluster: nobody, a token, a token in a file, or one that a program of the kubeconfig gives.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::kernels::providers::process::{Launch, Spawner};
use crate::kernels::providers::web;

/// How the engine proves itself.
pub(super) enum Login {
    None,
    Token(String),
    /// Read anew each time: Kubernetes replaces it.
    File(PathBuf),
    Exec {
        exec: Exec,
        kept: Mutex<Option<(String, i64)>>,
    },
}

/// `exec` of a user in a kubeconfig.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Exec {
    api_version: String,
    command: String,
    args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
}

#[derive(Clone, Deserialize)]
struct Variable {
    name: String,
    value: String,
}

/// A token is not longer than this.
const MOST: usize = 256 * 1024;

/// How long such a program may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a token without an end of its own is kept, and how long before its end one is replaced.
const KEPT: i64 = 300;
const EARLY: i64 = 60;

impl Login {
    pub(super) fn exec(exec: Exec) -> Self {
        Self::Exec { exec, kept: Mutex::default() }
    }

    /// The token to send, if there is one.
    pub(super) async fn token(&self, spawner: &Spawner) -> Result<Option<String>, String> {
        match self {
            Self::None => Ok(None),
            Self::Token(token) => Ok(Some(token.clone())),
            Self::File(path) => {
                let read = tokio::fs::read_to_string(path).await;
                let text =
                    read.map_err(|error| format!("cannot read the token in {}: {error}", path.display()))?;
                Ok(Some(text.trim().to_owned()))
            }
            Self::Exec { exec, kept } => {
                let mut kept = kept.lock().await;
                if let Some((token, _)) = kept.as_ref().filter(|(_, until)| web::now() < until - EARLY) {
                    return Ok(Some(token.clone()));
                }
                let (token, until) = ask(exec, spawner).await?;
                *kept = Some((token.clone(), until));
                Ok(Some(token))
            }
        }
    }

    /// The server did not take the token: the next one is asked for anew.
    pub(super) async fn forget(&self) {
        if let Self::Exec { kept, .. } = self {
            *kept.lock().await = None;
        }
    }
}

async fn ask(exec: &Exec, spawner: &Spawner) -> Result<(String, i64), String> {
    let wrong =
        |problem: String| format!("`{}`, which the kubeconfig has give a token, {problem}", exec.command);
    let mut argv = vec![exec.command.clone()];
    argv.extend(exec.args.iter().flatten().cloned());
    let mut env: std::collections::BTreeMap<String, String> =
        exec.env.iter().flatten().map(|it| (it.name.clone(), it.value.clone())).collect();
    let info = serde_json::json!({
        "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": { "interactive": false },
    });
    env.insert("KUBERNETES_EXEC_INFO".into(), info.to_string());
    let launch = Launch { argv, env, inherit_env: true, ..Launch::default() };
    let output = tokio::time::timeout(LIMIT, spawner.output(launch, MOST)).await;
    let output = output.map_err(|_| wrong(format!("does not end within {} s", LIMIT.as_secs())))?;
    let output = output.map_err(|error| wrong(format!("cannot be run: {error}")))?;
    let status = output.status;
    if !status.success() {
        return Err(wrong(format!("ended with {status}: {}", output.stderr.text.trim())));
    }
    let said: Value = serde_json::from_str(&output.stdout.text)
        .map_err(|_| wrong("gave something that is not JSON".into()))?;
    let token = said["status"]["token"].as_str().ok_or_else(|| wrong("gave no token".into()))?;
    let until = said["status"]["expirationTimestamp"].as_str();
    let until = until.and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok()).map(|at| at.timestamp());
    Ok((token.to_owned(), until.unwrap_or_else(|| web::now() + KEPT)))
}
