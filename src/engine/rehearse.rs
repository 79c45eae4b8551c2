//! Rehearsals: tests of rules and playbooks, played by the engine's own parts in virtual time with played actions.
//!
//! Nothing of the loop is written a second time: events go through the same intake, rules, windows, board, guards,
//! learning, task manager, playbooks, checks and escalation as live ones. Only the edges differ: a store in memory, a
//! clock that jumps, actions that answer what the test says. Start with [`Suite::find`] and [`rehearse`].

mod alone;
pub mod case;
mod cover;
mod judge;
pub(in crate::engine) mod mock;
mod people;
pub(in crate::engine) mod play;
mod prior;
mod read;
mod schema;
mod seen;
mod suite;
#[cfg(test)]
mod tests;
mod wanted;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::actions;
use crate::model::Diagnostic;
use crate::playbook::{self, Library};
use crate::rules::{RuleSet, SourceFile};

pub use case::Case;
pub use cover::{Unreached, unreached};
pub use judge::{Line, Mark};
pub use read::{Names, cases};
pub use schema::schema;
pub use seen::Seen;
pub use suite::{Suite, SuiteError};

/// The rules and playbooks that tests are played with.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The rules, all of them as in production.
    pub rules: RuleSet,
    /// The playbooks.
    pub library: Library,
    /// Actions that plugins add; here they are played.
    pub plugins: Vec<actions::Spec>,
}

/// What came of one test.
#[derive(Clone, Debug)]
pub struct Report {
    /// The test.
    pub case: Arc<Case>,
    /// How what was seen differs from what was expected; empty if it does not.
    pub differences: Vec<Line>,
    /// What was seen.
    pub seen: Seen,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether everything came as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Plays every case of every group in order, on a thread of its own, and tells `each` what came of it.
///
/// # Errors
/// When the system gives no thread or no runtime.
pub fn rehearse(groups: &[(Stage, Vec<Case>)], each: &mut (dyn FnMut(Report) + Send)) -> std::io::Result<()> {
    let play_all = move || {
        for (stage, cases) in groups {
            for case in cases {
                each(rehearse_one(stage, case)?);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("rehearsal".into())
            // Scripts compute on it, whatever their depth.
            .stack_size(playbook::STACK)
            .spawn_scoped(scope, play_all)?;
        thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the rehearsal broke off")))
    })
}

fn rehearse_one(stage: &Stage, case: &Case) -> std::io::Result<Report> {
    let began = Instant::now();
    let (seen, mut differences) = match in_virtual_time(play::play(stage, case, None))? {
        Some((seen, _)) => {
            let differences = judge::judge(&case.expect, &seen);
            (seen, differences)
        }
        None => (Seen::default(), vec![Line::note("the engine broke while it played this test".into())]),
    };
    for rule in judge::silent(&case.expect, &seen) {
        // The same test takes the same course, so the question can be asked afterwards.
        let Some((_, reasons)) = in_virtual_time(play::play(stage, case, Some(&rule)))? else { continue };
        let again = if seen.intents.iter().any(|it| it["rule"] == *rule) { " more often" } else { "" };
        differences.push(Line::note(format!("why `{rule}` did not fire{again}:")));
        for (n, it) in reasons {
            let topic = case.events.get(n).map(|it| it.event.topic.to_string()).unwrap_or_default();
            let fired = if it.fired { "it fired: " } else { "" };
            differences.push(Line::note(format!("  event {} ({topic}): {fired}{}", n + 1, it.reason)));
        }
    }
    Ok(Report { case: Arc::new(case.clone()), differences, seen, took: began.elapsed() })
}

/// What is wrong with the tests in `files` of rules, which are themselves good.
pub fn mistakes(
    files: &[SourceFile],
    rules: &RuleSet,
    library: &Library,
    plugins: &[actions::Spec],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Most files of a large set have none, and reading them again takes as long as the first time.
    let tested: Vec<&SourceFile> = files.iter().filter(|file| file.text.contains("tests:")).collect();
    if let (false, Ok(specs)) = (tested.is_empty(), specs()) {
        let names = Names::of(rules, library, &[&specs, plugins].concat());
        for file in tested {
            drop(cases(file, &names, &mut found));
        }
    }
    found
}

/// The actions that tests may play: all that are built in.
///
/// # Errors
/// When the system gives no runtime.
pub fn specs() -> std::io::Result<Vec<actions::Spec>> {
    let broke = || std::io::Error::other("the actions could not be listed");
    in_virtual_time(async { play::specs() })?.ok_or_else(broke)
}

/// Carries out `work` on a runtime of its own whose time stands still while it computes; none if it panicked.
pub(in crate::engine) fn in_virtual_time<T>(work: impl Future<Output = T>) -> std::io::Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(AssertUnwindSafe(work).catch_unwind()).ok())
}
