//! What looks at a kernel outside mean over time: pure, the time is an argument.
//!
//! ```text
//! (first look) → as it is found: adopted
//! booting → healthy ⇄ unhealthy → exited | stopped
//!         ↘ unhealthy (boot_timeout) → healthy, should it come up after all
//! ```

use std::time::Duration;

use tokio::time::Instant;

use crate::kernels::providers::Sight;
use crate::kernels::view::State;
use crate::model::{Failure, Span};

/// Where a kernel stands, and what led there.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) state: State,
    pub(super) instance: Option<String>,
    /// When what runs now was first seen, or was asked for.
    pub(super) begun: Instant,
    pub(super) boot: Option<Duration>,
    pub(super) error: Option<String>,
    seen: bool,
    /// Somebody waits for this boot; else it was only seen to boot.
    measured: bool,
    given_up: bool,
    /// Found unhealthy at first sight, and not yet often enough to be told.
    untold: bool,
    failures: u32,
    /// An end that comes now was asked for.
    asked: bool,
    /// What ran before a restart; seen again, the restart has not happened yet.
    before: Option<String>,
}

/// How patient one is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) failures: u32,
    pub(super) start_timeout: Span,
}

/// One look: what the provider says, and what the probe says where there is one.
pub(super) struct Look {
    pub(super) sight: Result<Sight, Failure>,
    pub(super) probe: Option<Result<(), String>>,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tale {
    Booting { reason: &'static str },
    Healthy { reason: &'static str, boot: Option<Duration> },
    Unhealthy { reason: &'static str, message: String, failures: u32 },
    Exited { reason: &'static str, message: String, expected: bool, exit_code: Option<i64> },
}

impl Look {
    /// What is wrong; nothing if all is well.
    pub(super) fn problem(&self) -> Option<String> {
        let sight = match &self.sight {
            Err(failure) => return Some(failure.message.clone()),
            Ok(sight) => sight,
        };
        match sight.state {
            State::Healthy => self.probe.as_ref().and_then(|probe| probe.as_ref().err().cloned()),
            state => Some(sight.problem.clone().unwrap_or_else(|| match state {
                State::Booting => "is still booting".into(),
                State::Stopped | State::Waiting => "is stopped".into(),
                State::Stopping => "is stopping".into(),
                State::Exited => "has ended".into(),
                State::Unhealthy | State::Healthy => "does not work".into(),
            })),
        }
    }

    /// What the two say together.
    fn state(&self, sight: &Sight) -> State {
        match (sight.state, &self.probe) {
            (State::Healthy, Some(Err(_))) => State::Unhealthy,
            (state, _) => state,
        }
    }
}

impl Track {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Stopped,
            instance: None,
            begun: now,
            boot: None,
            error: None,
            seen: false,
            measured: false,
            given_up: false,
            untold: false,
            failures: 0,
            asked: false,
            before: None,
        }
    }

    /// A start or restart was asked for and taken.
    pub(super) fn begin(&mut self, now: Instant, before: Option<String>) -> Tale {
        let reason = if before.is_some() { "restarted" } else { "started" };
        *self = Self { state: State::Booting, measured: true, seen: true, before, ..Self::new(now) };
        Tale::Booting { reason }
    }

    /// A stop was asked for; the end that comes is expected.
    pub(super) fn ask_to_end(&mut self) {
        self.asked = true;
    }

    /// It was seen to be stopped, or may as well be.
    pub(super) fn end(&mut self, message: &str) -> Option<Tale> {
        let sight = Sight { problem: Some(message.into()), ..Sight::of(State::Stopped) };
        self.ended(&sight, State::Stopped)
    }

    /// Takes a look in; gives what is to be told of it.
    pub(super) fn see(&mut self, look: &Look, now: Instant, patience: Patience) -> Vec<Tale> {
        let first = !std::mem::replace(&mut self.seen, true);
        self.untold |= first;
        let sight = match &look.sight {
            Ok(sight) => sight,
            Err(failure) => {
                let reason = match failure.kind.as_str() {
                    "invalid" => "missing",
                    "refused" => "denied",
                    _ => "unreachable",
                };
                // What is not there, or not allowed, is not so by chance.
                let certain = !failure.retryable;
                return self.bad(reason, &failure.message, certain, patience).into_iter().collect();
            }
        };
        let mut tales = Vec::new();
        let mut state = look.state(sight);
        if self.state == State::Stopped && !self.untold && sight.vague && state == State::Unhealthy {
            return tales;
        }
        if self.before.is_some() && sight.instance == self.before {
            // Still the old one.
            state = State::Booting;
        } else {
            let others = matches!((&self.instance, &sight.instance), (Some(a), Some(b)) if a != b);
            if others && self.state != State::Booting {
                self.see_boot(now);
                tales.push(Tale::Booting { reason: "restarted_outside" });
            }
            self.instance = sight.instance.clone().or(self.instance.take());
            self.before = None;
        }
        match state {
            State::Healthy => tales.extend(self.well(first, now)),
            State::Booting => tales.extend(self.booting(now, patience)),
            State::Exited | State::Stopped | State::Stopping | State::Waiting => {
                tales.extend(self.ended(sight, state))
            }
            State::Unhealthy if self.state == State::Booting && !sight.certain => {
                tales.extend(self.booting(now, patience));
            }
            State::Unhealthy => {
                let problem = look.problem().unwrap_or_default();
                tales.extend(self.bad("hang", &problem, sight.certain, patience));
            }
        }
        tales
    }

    fn see_boot(&mut self, now: Instant) {
        self.state = State::Booting;
        self.begun = now;
        self.measured = false;
        self.given_up = false;
        self.failures = 0;
        self.asked = false;
    }

    fn well(&mut self, first: bool, now: Instant) -> Option<Tale> {
        self.failures = 0;
        self.error = None;
        self.asked = false;
        if self.state == State::Healthy {
            return None;
        }
        let (reason, boot) = match self.state {
            _ if first || self.untold => ("adopted", None),
            State::Booting => ("booted", self.measured.then(|| now - self.begun)),
            State::Unhealthy if self.given_up => ("booted", self.measured.then(|| now - self.begun)),
            State::Unhealthy => ("recovered", None),
            _ => {
                self.begun = now;
                ("started_outside", None)
            }
        };
        self.state = State::Healthy;
        self.untold = false;
        self.measured = false;
        self.given_up = false;
        self.boot = boot.or(self.boot);
        Some(Tale::Healthy { reason, boot })
    }

    fn booting(&mut self, now: Instant, patience: Patience) -> Option<Tale> {
        if self.given_up {
            return None;
        }
        self.untold = false;
        if self.state != State::Booting {
            self.see_boot(now);
            return Some(Tale::Booting { reason: "started_outside" });
        }
        if now - self.begun < patience.start_timeout.0 {
            return None;
        }
        let message = format!("was not healthy within {}", patience.start_timeout);
        self.given_up = true;
        self.state = State::Unhealthy;
        self.error = Some(message.clone());
        Some(Tale::Unhealthy { reason: "boot_timeout", message, failures: 0 })
    }

    fn bad(
        &mut self,
        reason: &'static str,
        message: &str,
        certain: bool,
        patience: Patience,
    ) -> Option<Tale> {
        self.failures = self.failures.saturating_add(1);
        if self.state == State::Unhealthy && !self.untold {
            self.error = Some(message.into());
            return None;
        }
        let told = certain || self.failures >= patience.failures;
        if told || self.untold {
            self.state = State::Unhealthy;
            self.error = Some(message.into());
        }
        if !told {
            return None;
        }
        self.untold = false;
        Some(Tale::Unhealthy { reason, message: message.into(), failures: self.failures })
    }

    fn ended(&mut self, sight: &Sight, state: State) -> Option<Tale> {
        let expected = self.asked || state == State::Stopped;
        let was = self.state;
        let untold = !matches!(was, State::Stopped | State::Exited) || (was == State::Stopped && !expected);
        let state = if expected { State::Stopped } else { State::Exited };
        let message = sight.problem.clone().unwrap_or_else(|| "has ended".into());
        self.state = state;
        self.untold = false;
        self.error = (!expected).then(|| message.clone());
        self.failures = 0;
        if !untold {
            return None;
        }
        let reason = match (expected, was, sight.exit_code) {
            (false, State::Booting, _) => "boot_exit",
            (true, ..) | (_, _, Some(0)) => "exit",
            _ => "crash",
        };
        // What was asked for holds until it runs again: it may be seen ended more than once.
        Some(Tale::Exited { reason, message, expected, exit_code: sight.exit_code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { failures: 2, start_timeout: Span(Duration::from_secs(5)) };

    fn sight(words: &str) -> Look {
        let mut words = words.split(' ');
        let mut sight = Sight::of(match words.next().unwrap() {
            "up" => State::Healthy,
            "booting" => State::Booting,
            "sick" => State::Unhealthy,
            "ended" => State::Exited,
            "stopped" => State::Stopped,
            "gone" => {
                return Look { sight: Err(Failure::retryable("failed", "nobody answers")), probe: None };
            }
            "missing" => return Look { sight: Err(Failure::new("invalid", "no such")), probe: None },
            other => panic!("{other}"),
        });
        let mut probe = None;
        for word in words {
            match word {
                "certain" => sight.certain = true,
                "vague" => sight.vague = true,
                "fails" => probe = Some(Err("no answer".into())),
                "passes" => probe = Some(Ok(())),
                instance => sight.instance = Some(instance.into()),
            }
        }
        Look { sight: Ok(sight), probe }
    }

    fn told(tales: &[Tale]) -> Vec<String> {
        let tell = |tale: &Tale| match tale {
            Tale::Booting { reason } => format!("booting {reason}"),
            Tale::Healthy { reason, boot } => {
                format!(
                    "healthy {reason}{}",
                    boot.map_or(String::new(), |took| format!(" {}", took.as_secs()))
                )
            }
            Tale::Unhealthy { reason, .. } => format!("unhealthy {reason}"),
            Tale::Exited { reason, expected, .. } => format!("exited {reason} {expected}"),
        };
        tales.iter().map(tell).collect()
    }

    #[test]
    fn looks_become_events_once_each_and_in_order() {
        for (looks, expected) in [
            (&["up a", "up a"][..], &["healthy adopted"][..]),
            (&["stopped"], &[]),
            (&["ended", "ended"], &["exited crash false"]),
            (
                &["up a", "ended a", "ended a", "up b"],
                &["healthy adopted", "exited crash false", "booting restarted_outside", "healthy booted"],
            ),
            (
                &["up a", "stopped a", "up b"],
                &["healthy adopted", "exited exit true", "booting restarted_outside", "healthy booted"],
            ),
            (&["up a", "up b"], &["healthy adopted", "booting restarted_outside", "healthy booted"]),
            (&["up a fails", "up a passes"], &["healthy adopted"]),
            (&["up a fails", "up a fails", "up a fails"], &["unhealthy hang"]),
            (&["gone", "up a"], &["healthy adopted"]),
            (&["up a", "up a fails", "up a passes", "up a fails"], &["healthy adopted"]),
            (
                &["up a", "up a fails", "up a fails", "up a fails", "up a passes"],
                &["healthy adopted", "unhealthy hang", "healthy recovered"],
            ),
            (&["up a", "sick a certain"], &["healthy adopted", "unhealthy hang"]),
            (
                &["up a", "gone", "gone", "gone", "up a"],
                &["healthy adopted", "unhealthy unreachable", "healthy recovered"],
            ),
            (&["up a", "missing", "missing"], &["healthy adopted", "unhealthy missing"]),
            (&["booting a", "up a"], &["booting started_outside", "healthy booted"]),
            (
                &["booting a", "wait", "booting a", "booting a", "up a"],
                &["booting started_outside", "unhealthy boot_timeout", "healthy booted"],
            ),
            (
                &["up a", "begin a", "up a", "up b"],
                &["healthy adopted", "booting restarted", "healthy booted 0"],
            ),
            (
                &["up a", "begin a", "wait", "up b"],
                &["healthy adopted", "booting restarted", "healthy booted 6"],
            ),
            (
                &["up a", "begin a", "ended b"],
                &["healthy adopted", "booting restarted", "exited boot_exit false"],
            ),
            (&["up a", "ask", "ended a", "ended a"], &["healthy adopted", "exited exit true"]),
            (
                &["up vague", "ask", "end", "sick vague", "sick vague", "sick vague", "up vague"],
                &["healthy adopted", "exited exit true", "healthy started_outside"],
            ),
        ] {
            let mut now = Instant::now();
            let mut track = Track::new(now);
            let mut tales = Vec::new();
            for look in looks {
                match *look {
                    "wait" => now += Duration::from_secs(6),
                    "ask" => track.ask_to_end(),
                    "end" => tales.extend(track.end("is stopped")),
                    "begin a" => tales.push(track.begin(now, Some("a".into()))),
                    look => tales.extend(track.see(&sight(look), now, PATIENCE)),
                }
            }
            assert_eq!(told(&tales), expected, "{looks:?}");
        }
    }
}
