//! What is shown of a kernel.

use serde::Serialize;

use crate::model::Time;

/// What is known of a kernel now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Its name.
    pub name: String,
    /// 1, 2 or 3.
    pub layer: u8,
    /// Who starts and stops it.
    pub provider: super::spec::Provider,
    /// All replicas taken together.
    pub state: State,
    /// Processes that live, by replica.
    pub pids: Vec<u32>,
    /// Each of them.
    pub replicas: Vec<ReplicaView>,
    /// How many there should be.
    pub desired: u32,
    /// Least.
    pub min: u32,
    /// Most.
    pub max: u32,
    /// Counts every start and restart.
    pub generation: u64,
    /// Restarts since the engine began.
    pub restarts: u64,
    /// What the latest boot took, in milliseconds, where a probe measured it.
    pub boot_ms: Option<f64>,
    /// What it usually takes.
    pub baseline_ms: Option<f64>,
    /// When its state last changed.
    pub since: Option<Time>,
    /// What was last wrong, until it is healthy again.
    pub last_error: Option<String>,
    /// The group that blast radius counts.
    pub fleet: Option<String>,
    /// Kernels that boot first.
    pub depends_on: Vec<String>,
    /// Those of them that are not healthy, while it is down or was not started for that reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// What an operator or a playbook wished of it that a restart of the engine does not undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wish: Option<super::Wish>,
}

/// One process of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaView {
    /// From 0.
    pub replica: u32,
    /// Where it stands.
    pub state: State,
    /// Its process, while it lives.
    pub pid: Option<u32>,
    /// The port it was told to listen on.
    pub port: Option<u16>,
    /// When its state last changed.
    pub since: Time,
    /// What is wrong.
    pub error: Option<String>,
}

/// Where a kernel or a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not running, as wished.
    Stopped,
    /// Started, not yet healthy.
    Booting,
    /// Its probe says so.
    Healthy,
    /// Running, and its probe says no.
    Unhealthy,
    /// Was asked to end, or has ended and left processes behind; some of it still lives.
    Stopping,
    /// Not running, though it should be.
    Exited,
    /// Down, or never started, while something that it depends on is not healthy.
    Waiting,
}

/// The answer to `kernel.health`: what was found by looking now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// Which kernel.
    pub kernel: String,
    /// Whether every wished replica works.
    pub healthy: bool,
    /// All replicas taken together.
    pub state: State,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// Counts every start and restart.
    pub generation: u64,
    /// Kernels that it depends on and that are not healthy, while it is down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
}

impl State {
    /// The name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Booting => "booting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
            Self::Waiting => "waiting",
        }
    }

    /// All replicas taken together.
    pub(super) fn of_all(states: &[State]) -> State {
        let any = |state| states.contains(&state);
        match () {
            () if states.iter().all(|s| *s == State::Stopped) => State::Stopped,
            () if states.iter().all(|s| matches!(s, State::Stopping | State::Stopped)) => State::Stopping,
            () if states.iter().all(|s| matches!(s, State::Exited | State::Stopped)) => State::Exited,
            () if any(State::Unhealthy) || any(State::Exited) => State::Unhealthy,
            () if any(State::Stopping) => State::Stopping,
            () if any(State::Booting) => State::Booting,
            () => State::Healthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::State::{self, *};

    #[test]
    fn one_bad_replica_is_not_hidden_by_the_good_ones() {
        for (states, expected) in [
            (&[][..], Stopped),
            (&[Stopped, Stopped], Stopped),
            (&[Healthy, Healthy], Healthy),
            (&[Healthy, Exited], Unhealthy),
            (&[Healthy, Unhealthy, Booting], Unhealthy),
            (&[Healthy, Booting], Booting),
            (&[Exited, Exited], Exited),
            (&[Stopping, Stopped], Stopping),
            (&[Stopping, Healthy], Stopping),
            (&[Stopping, Exited], Unhealthy),
        ] {
            assert_eq!(State::of_all(states), expected, "{states:?}");
        }
    }
}
