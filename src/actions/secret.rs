//! Secrets: named in the configuration, read from the environment or a file when they are needed, shown nowhere.
//!
//! Start with [`SecretRef`], which only says where a secret is and may be shown. A [`Secret`] has no `Debug`, no
//! `Display` and no `Serialize`, so that it reaches a log, a journal or an answer only by a deliberate `expose`; what
//! comes back from outside is freed of it by [`Secret::redacted`].

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Where a secret is: `{ env: NAME }` or `{ file: PATH }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// A variable of the engine's environment.
    Env(String),
    /// A file, whose content it is without the line break at its end. Read anew each time, so it may be replaced.
    File(PathBuf),
}

/// A secret itself.
pub struct Secret(String);

/// A longer file is not a secret but a mistake.
const MAX_BYTES: usize = 64 * 1024;

/// What stands where a secret stood.
const REDACTED: &str = "[secret]";

impl SecretRef {
    /// Reads it.
    ///
    /// # Errors
    /// In words, when it is not there, empty, or no text.
    pub async fn read(&self) -> Result<Secret, String> {
        let text = match self {
            Self::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set, or is no text"))?,
            Self::File(path) => {
                let shown = path.display();
                let bytes = tokio::fs::read(path)
                    .await
                    .map_err(|error| format!("cannot read the secret in {shown}: {error}"))?;
                if bytes.len() > MAX_BYTES {
                    return Err(format!("{shown} is too long for a secret: {MAX_BYTES} bytes at most"));
                }
                String::from_utf8(bytes).map_err(|_| format!("the secret in {shown} is no UTF-8 text"))?
            }
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(format!("the secret in {self} is empty"));
        }
        Ok(Secret(text.to_owned()))
    }

    /// Takes a relative path from `base`.
    pub(super) fn rebase(&mut self, base: &Path) {
        if let Self::File(path) = self {
            *path = base.join(&*path);
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Secret {
    /// The secret, to be sent to whom it is meant for and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` without the secret, as it is and as it stands in an address or in JSON.
    pub fn redacted(&self, text: &str) -> String {
        let mut text = text.replace(&self.0, REDACTED);
        // The part of an address that is the secret.
        if let Some((_, path)) = self.0.split_once("://")
            && let Some((_, path)) = path.split_once('/')
            && path.len() >= 8
        {
            text = text.replace(path, REDACTED);
        }
        let quoted = serde_json::Value::from(self.0.as_str()).to_string();
        text.replace(quoted.trim_matches('"'), REDACTED)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// What is wrong is said without what was written: it may be the secret.
const FORM: &str = "a secret is not written here: say where it is, by `{ env: NAME }` or `{ file: PATH }`";

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`{ env: NAME }` or `{ file: PATH }`")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretRef, E> {
        Err(E::custom(FORM))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
        let wrong = || de::Error::custom(FORM);
        let (key, value) = map.next_entry::<String, String>()?.ok_or_else(wrong)?;
        if map.next_key::<String>()?.is_some() {
            return Err(wrong());
        }
        match key.as_str() {
            "env" if is_variable(&value) => Ok(SecretRef::Env(value)),
            "env" => Err(de::Error::custom("`env` is the name of a variable: letters, digits and `_`")),
            "file" if !value.is_empty() => Ok(SecretRef::File(value.into())),
            _ => Err(wrong()),
        }
    }
}

fn is_variable(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.is_empty() && name.bytes().all(word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn only_the_place_of_a_secret_is_written_and_a_mistake_does_not_show_it() {
        let read = |value: Value| serde_json::from_value::<SecretRef>(value).map_err(|e| e.to_string());
        assert_eq!(read(json!({ "env": "A_1" })), Ok(SecretRef::Env("A_1".into())));
        assert_eq!(read(json!({ "file": "/run/x" })), Ok(SecretRef::File("/run/x".into())));
        for wrong in [
            json!("hunter2"),
            json!({ "env": "https://hunter2" }),
            json!({ "evn": "hunter2" }),
            json!({ "env": "A", "file": "hunter2" }),
            json!({}),
        ] {
            let error = read(wrong.clone()).unwrap_err();
            assert!(!error.contains("hunter2") && error.contains("env"), "{wrong}: {error}");
        }
    }

    #[tokio::test]
    async fn a_secret_is_read_from_its_file_and_taken_out_of_what_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let at = SecretRef::File(path.clone());
        assert!(at.read().await.err().unwrap().contains("cannot read the secret in"));
        std::fs::write(&path, "\n").unwrap();
        assert!(at.read().await.err().unwrap().ends_with("is empty"));
        std::fs::write(&path, "s\"3cret\n").unwrap();
        let secret = at.read().await.ok().unwrap();
        assert_eq!(secret.expose(), "s\"3cret");
        assert_eq!(secret.redacted("a s\"3cret, {\"b\":\"s\\\"3cret\"}"), "a [secret], {\"b\":\"[secret]\"}");
        let address = Secret("https://hooks.example.com/T0/B0/abcdef".into());
        assert_eq!(address.redacted("no route /T0/B0/abcdef"), "no route /[secret]");
        assert!(SecretRef::Env("PARAMEDIC_NOT_SET".into()).read().await.is_err());
    }
}
