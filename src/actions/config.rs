//! `actions:` in the configuration: what actions may touch, and whom they tell. Start with [`Config`].
//!
//! Nothing is allowed by default. Secrets never stand here, only where they are.

mod channels;
mod forms;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use channels::{AlertConfig, MailTls, PagerDutyConfig, SlackConfig, SmtpConfig, WebhookConfig};
pub use forms::{Many, Place};

use super::secret::SecretRef;

/// `actions:` in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For `exec.run`.
    pub exec: ExecConfig,
    /// For `http.request`.
    pub http: HttpConfig,
    /// For `alert.operator`.
    pub alert: AlertConfig,
    /// For `diagnostic.run`.
    pub diagnostic: DiagnosticConfig,
}

/// What `exec.run` may run; nothing if not said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecConfig {
    /// Programs, as absolute paths or as names looked up in the engine's `PATH`.
    pub allow: Vec<Program>,
}

/// A program that may be run: `df`, or `{ program: df, options: [-P, "--max=*"] }`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Program {
    /// As the first element of `argv` must be written.
    pub program: String,
    /// The only arguments that may begin with `-`; one that ends in `*` allows all that begin so. Not said: those that
    /// the playbook declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<String>>,
}

/// Where `http.request` may go besides public addresses, and which secrets it may send.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// `host:port`, each allowed also where it leads to this machine or a private network.
    pub allow: Vec<String>,
    /// By the name that a playbook uses: `{ from: { env: NAME }, to: [host:port] }`.
    pub secrets: BTreeMap<String, HttpSecret>,
}

/// A secret that `http.request` may send in a header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSecret {
    /// Where it is.
    pub from: SecretRef,
    /// Whom it may be sent to, each as `host:port`.
    pub to: Vec<String>,
}

/// What `diagnostic.run` may read besides what every process may see of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiagnosticConfig {
    /// Patterns of the log files whose last errors it may show.
    pub logs: Vec<String>,
}

/// Something that cannot work, and the keys that lead to it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("actions.{}: {message}", .at.join("."))]
pub struct Problem {
    /// Keys below `actions:`.
    pub at: Vec<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Default for DiagnosticConfig {
    fn default() -> Self {
        Self { logs: vec!["/var/log/**".into()] }
    }
}

impl Config {
    /// What is wrong with it that its reader could not see.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for program in &self.exec.allow {
            if program.program.contains('/') && !program.program.starts_with('/') {
                let message = format!(
                    "`{}` is a relative path: write an absolute path, or a bare name that is looked up in PATH",
                    program.program
                );
                found.push(problem(&["exec", "allow"], message));
            }
        }
        for host in &self.http.allow {
            found.extend(not_a_host(host).map(|message| problem(&["http", "allow"], message)));
        }
        for (name, secret) in &self.http.secrets {
            if secret.to.is_empty() {
                let message = format!("`{name}` names nobody it may be sent to: list them as host:port");
                found.push(problem(&["http", "secrets", name, "to"], message));
            }
            let wrong = secret.to.iter().filter_map(|host| not_a_host(host));
            found.extend(wrong.map(|message| problem(&["http", "secrets", name, "to"], message)));
        }
        for pattern in &self.diagnostic.logs {
            if let Err(error) = glob::Pattern::new(pattern) {
                found.push(problem(&["diagnostic", "logs"], format!("`{pattern}` is no pattern: {error}")));
            }
        }
        self.alert.problems(&mut found);
        found
    }

    /// Takes relative paths from `base`.
    pub fn rebase(&mut self, base: &Path) {
        self.http.secrets.values_mut().for_each(|secret| secret.from.rebase(base));
        self.alert.rebase(base);
    }
}

fn problem(at: &[&str], message: impl Into<String>) -> Problem {
    Problem { at: at.iter().map(|key| (*key).to_owned()).collect(), message: message.into() }
}

fn not_a_host(text: &str) -> Option<String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    match port.map(str::parse::<u16>) {
        Some(Ok(_)) if !text.contains('/') && !text.contains('@') => None,
        _ => Some(format!("`{text}` is not of the form host:port, such as status.example.com:443")),
    }
}

#[cfg(test)]
mod tests;
