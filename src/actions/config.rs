//! `actions:` in the configuration: what actions may touch, and whom they tell. Start with [`Config`].
//!
//! Nothing is allowed by default. Secrets never stand here, only where they are.

mod channels;
mod forms;
mod warnings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use channels::{AlertConfig, MailTls, PagerDutyConfig, SlackConfig, SmtpConfig, WebhookConfig};
pub use forms::{Many, Place};
pub use warnings::missing as missing_program;

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
    /// Where they run if the call does not say; a folder of their own below the data directory if this does not either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// That folder of their own, made when it is needed.
    #[serde(skip)]
    pub own: Option<PathBuf>,
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
    /// Keys below `actions:`, and places in lists, from 0.
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
        let index = |i: usize| i.to_string();
        for (i, program) in self.exec.allow.iter().enumerate() {
            let name = &program.program;
            let at = ["exec", "allow", &index(i)];
            if name.trim().is_empty() {
                found.push(problem(&at, "names no program: write one, or take the line out"));
            } else if name.contains('/') && !name.starts_with('/') {
                let message = format!(
                    "`{name}` is a relative path: write an absolute path, or a bare name that is looked up in PATH"
                );
                found.push(problem(&at, message));
            } else if name.contains(char::is_whitespace) && !Path::new(name).exists() {
                let message = format!(
                    "`{name}` has white space in it: name only the program here, what follows it comes from the playbook"
                );
                found.push(problem(&at, message));
            } else if self.exec.allow[..i].iter().any(|other| other.program == *name) {
                found.push(problem(&at, format!("`{name}` stands here twice: keep one of them")));
            }
        }
        for (i, host) in self.http.allow.iter().enumerate() {
            found.extend(not_a_host(host).map(|message| problem(&["http", "allow", &index(i)], message)));
        }
        for (name, secret) in &self.http.secrets {
            if secret.to.is_empty() {
                let message = format!("`{name}` names nobody it may be sent to: list them as host:port");
                found.push(problem(&["http", "secrets", name, "to"], message));
            }
            for (i, host) in secret.to.iter().enumerate() {
                let at = ["http", "secrets", name, "to", &index(i)];
                found.extend(not_a_host(host).map(|message| problem(&at, message)));
            }
        }
        for (i, pattern) in self.diagnostic.logs.iter().enumerate() {
            if let Err(error) = glob::Pattern::new(pattern) {
                let message = format!("`{pattern}` is no pattern: {error}");
                found.push(problem(&["diagnostic", "logs", &index(i)], message));
            }
        }
        self.alert.problems(&mut found);
        found
    }

    /// Takes relative paths from `base`.
    pub fn rebase(&mut self, base: &Path) {
        self.exec.cwd.iter_mut().for_each(|cwd| *cwd = base.join(&*cwd));
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
