//! What may not work on this machine, or had better be written otherwise: programs that are not there, secrets that are
//! not set, credentials that stand in the open. Looks at the environment and at files, never at what secrets say.

use super::{Config, Place, Problem, WebhookConfig, problem};
use crate::actions::exec;
use crate::actions::secret::SecretRef;

/// Parameters of addresses that are secrets, whatever they are called around this.
const TELLING: [&str; 7] = ["token", "secret", "password", "passwd", "apikey", "api_key", "signature"];

/// Hosts whose addresses are the secret themselves.
const WHOLE: [&str; 4] = ["hooks.slack.com", "discord.com", "discordapp.com", "webhook.office.com"];

impl Config {
    /// What had better be written otherwise.
    pub fn unwise(&self) -> Vec<Problem> {
        let plain = |(i, it): (usize, &WebhookConfig)| match &it.url {
            Place::Plain(url) => {
                in_the_open(url).map(|it| problem(&["alert", "webhook", &i.to_string(), "url"], it))
            }
            Place::Secret(_) => None,
        };
        self.alert.webhook.0.iter().enumerate().filter_map(plain).collect()
    }

    /// What is not there on this machine, so that what needs it will fail.
    pub fn absent(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        for (i, program) in self.exec.allow.iter().enumerate() {
            if let Some(message) = missing(&program.program) {
                found.push(problem(&["exec", "allow", &i.to_string()], message));
            }
        }
        if let Some(cwd) = self.exec.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
            found.push(problem(&["exec", "cwd"], format!("there is no folder {}", cwd.display())));
        }
        for (name, secret) in &self.http.secrets {
            found.extend(unset(&secret.from).map(|it| problem(&["http", "secrets", name, "from"], it)));
        }
        let mut add = |kind: &str, i: usize, keys: &[&str], secret: &SecretRef| {
            let at = i.to_string();
            let at = [&["alert", kind, &at], keys].concat();
            found.extend(unset(secret).map(|message| problem(&at, message)));
        };
        for (i, it) in self.alert.webhook.0.iter().enumerate() {
            if let Place::Secret(secret) = &it.url {
                add("webhook", i, &["url"], secret);
            }
            it.headers.iter().for_each(|(name, secret)| add("webhook", i, &["headers", name], secret));
        }
        let slack = self.alert.slack.0.iter().enumerate();
        slack.for_each(|(i, it)| add("slack", i, &["url"], &it.url));
        let pagerduty = self.alert.pagerduty.0.iter().enumerate();
        pagerduty.for_each(|(i, it)| add("pagerduty", i, &["routing_key"], &it.routing_key));
        for (i, it) in self.alert.smtp.0.iter().enumerate() {
            it.password.iter().for_each(|secret| add("smtp", i, &["password"], secret));
        }
        found
    }
}

/// Why a program cannot be started from here; relative paths are looked for elsewhere.
pub fn missing(program: &str) -> Option<String> {
    let relative = program.contains('/') && !program.starts_with('/');
    if program.is_empty() || relative || program.contains("${") || exec::found(program).is_some() {
        return None;
    }
    Some(match program.starts_with('/') {
        true => format!("there is no program `{program}` on this machine"),
        false => format!(
            "no program `{program}` is found in the PATH of this machine: install it, or write its whole path"
        ),
    })
}

fn unset(secret: &SecretRef) -> Option<String> {
    let why = match secret {
        SecretRef::Env(name) => match std::env::var_os(name) {
            Some(value) if !value.is_empty() => return None,
            Some(_) => format!("the environment variable {name} is empty here"),
            None => format!("the environment variable {name} is not set here"),
        },
        SecretRef::File(path) => match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() && meta.len() > 0 => return None,
            Ok(meta) if meta.is_file() => format!("{} is empty", path.display()),
            Ok(_) => format!("{} is no file", path.display()),
            Err(error) => format!("{} cannot be read: {error}", path.display()),
        },
    };
    Some(format!("{why}; the engine needs it when it is to be sent"))
}

/// What of an address had better not stand in a configuration. The words do not repeat it.
fn in_the_open(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let telling = |name: &str| {
        let name = name.to_ascii_lowercase();
        name == "key" || name == "sig" || TELLING.iter().any(|word| name.contains(word))
    };
    let host = url.host_str().unwrap_or_default();
    let what = if !url.username().is_empty() || url.password().is_some() {
        "holds credentials"
    } else if url.query_pairs().any(|(name, _)| telling(&name)) {
        "holds what looks like a secret in its parameters"
    } else if WHOLE
        .iter()
        .any(|it| host == *it || host.strip_suffix(it).is_some_and(|rest| rest.ends_with('.')))
    {
        "is a secret as a whole: who knows it may post there"
    } else {
        return None;
    };
    Some(format!(
        "the address {what}: keep it out of this file, by `url: {{ env: NAME }}` or `{{ file: PATH }}`"
    ))
}
