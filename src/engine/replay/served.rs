//! Replays of the log that a running engine is asked for: one at a time, of bounded length, beside its work.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{Error, Options, Report, source};
use crate::engine::Engine;
use crate::model::diagnostic::Severity;
use crate::model::{Diagnostic, Span, Time};
use crate::rules::{self, RuleSet, SourceFile};

/// Longest time that is played.
pub const LONGEST: Span = Span::secs(31 * 86_400);
/// Intents and changes that are told unless the question says otherwise, and most of them.
pub const LIMIT: usize = 1_000;
/// Most intents and changes that are told.
pub const MOST: usize = 10_000;

/// What is asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// From when on: a time (RFC 3339), or how long ago (`24h`).
    pub since: String,
    /// Until when; otherwise to the end of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The rules; otherwise those that are live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<File>>,
    /// Other rules to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Vec<File>>,
    /// Only rules whose name holds this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// At most so many intents and changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A file of rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, for messages.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A field is not what it should be.
    #[error("{why}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The rules that were handed in have mistakes.
    #[error("{}", summary(.diagnostics))]
    Invalid {
        /// In which field.
        field: &'static str,
        /// All of them.
        diagnostics: Vec<Diagnostic>,
    },
    /// Another replay runs.
    #[error("another replay runs: ask again when it is done")]
    Busy,
    /// It failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// The right to replay; there is one.
#[derive(Debug)]
pub struct Turn(Arc<Semaphore>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Engine {
    /// What rules would have done with what is in the log. Takes seconds, on threads of its own.
    ///
    /// # Errors
    /// When the question is wrong, another replay runs, or the log cannot be read.
    pub async fn replay(&self, question: Question) -> Result<Report, Refused> {
        let now = self.0.clock.now();
        let since = time("since", &question.since, now)?;
        let until = question.until.as_deref().map(|text| time("until", text, now)).transpose()?;
        if now - since > LONGEST.delta() {
            let why = format!("more than {LONGEST} ago, which is the limit: name a later time");
            return Err(Refused::Field { field: "since", why });
        }
        if until.is_some_and(|until| until <= since) {
            return Err(Refused::Field { field: "until", why: "not after `since`".into() });
        }
        let limit = question.limit.unwrap_or(LIMIT);
        if limit > MOST {
            return Err(Refused::Field { field: "limit", why: format!("more than {MOST}") });
        }
        let turn = self.0.replays.0.clone().try_acquire_owned().map_err(|_| Refused::Busy)?;
        let options = Options {
            since: Some(since),
            // What is to come is not in the log.
            until: until.filter(|until| *until < now),
            only: question.rule,
            gives_way: true,
            ..Options::default()
        };
        let engine = self.clone();
        // A task of its own: who asked may have gone, and the turn is over only when the threads are.
        let work = tokio::spawn(async move {
            let _turn = turn;
            let compiling = engine.clone();
            let sets = tokio::task::spawn_blocking(move || {
                let mut sets = vec![compiling.set_of("rules", question.rules)?];
                if question.against.is_some() {
                    sets.push(compiling.set_of("against", question.against)?);
                }
                Ok::<_, Refused>(sets)
            });
            let sets = sets.await.map_err(|_| Error::Broke)??;
            let mut report = source::log(&sets, &options, &*engine.0.store).await?;
            report.shorten(limit);
            Ok(report)
        });
        work.await.map_err(|_| Error::Broke)?
    }

    fn set_of(&self, field: &'static str, files: Option<Vec<File>>) -> Result<RuleSet, Refused> {
        let Some(files) = files else { return Ok(self.rule_set().as_ref().clone()) };
        let files: Vec<SourceFile> =
            files.into_iter().map(|File { path, text }| SourceFile { path, text }).collect();
        let names = self.0.parts.library().names();
        let compiled = rules::compile(&files, &rules::Known { playbooks: &names });
        compiled.set.ok_or(Refused::Invalid { field, diagnostics: compiled.diagnostics })
    }
}

/// The time that `text` names: RFC 3339, or how long before `now`.
///
/// # Errors
/// In words, when it is neither.
pub fn moment(text: &str, now: Time) -> Result<Time, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = Span::parse(text).map_err(|_| {
        format!(
            "`{text}` is no time: write RFC 3339 such as 2026-01-31T12:00:00Z, or how long ago such as 24h"
        )
    })?;
    now.checked_sub_signed(ago.delta()).ok_or_else(|| format!("`{text}` is too long ago"))
}

fn time(field: &'static str, text: &str, now: Time) -> Result<Time, Refused> {
    moment(text, now).map_err(|why| Refused::Field { field, why })
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors: Vec<String> =
        diagnostics.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string).collect();
    let s = if errors.len() == 1 { "" } else { "s" };
    format!("the rules have {} mistake{s}, so nothing was played\n\n{}", errors.len(), errors.join("\n\n"))
}
