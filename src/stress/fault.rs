//! How a kernel is broken on purpose.

use std::str::FromStr;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::sleep;

use crate::kernels::{Registry, State};

/// Which kernel is broken, and how. Read from `NAME=crash|hang|slow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Which.
    pub kernel: String,
    /// How.
    pub fault: Fault,
}

/// How a kernel is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Killed as soon as it has booted.
    Crash,
    /// Stopped while it boots, for good.
    Hang,
    /// Stopped while it boots, for twice its baseline or a second.
    Slow,
}

/// Fast enough to meet a process before it has booted.
const LOOK: Duration = Duration::from_millis(2);

/// How long a boot is held up where no baseline is known.
const HOLD_UP: Duration = Duration::from_secs(1);

impl Break {
    /// Breaks it once it boots. Gives its name if it was made to crash after its boot.
    pub(super) async fn inflict(&self, registry: &Registry) -> Option<&str> {
        let groups = self.wait_for(registry, |state| state != State::Stopped).await?;
        match self.fault {
            Fault::Hang => signal(&groups, Signal::STOP),
            Fault::Slow => {
                signal(&groups, Signal::STOP);
                let usual = registry.get(&self.kernel).and_then(|view| view.baseline_ms);
                sleep(usual.map_or(HOLD_UP, |ms| Duration::from_secs_f64(ms * 2.0 / 1_000.0))).await;
                signal(&groups, Signal::CONT);
            }
            Fault::Crash => {
                let groups = self.wait_for(registry, |state| state != State::Booting).await?;
                signal(&groups, Signal::KILL);
                self.wait_for(registry, |state| state == State::Exited).await;
                return Some(&self.kernel);
            }
        }
        None
    }

    /// The process groups of the kernel once it is in such a state; none when that cannot come any more.
    async fn wait_for(&self, registry: &Registry, is: impl Fn(State) -> bool) -> Option<Vec<Pid>> {
        loop {
            let view = registry.get(&self.kernel)?;
            let groups: Vec<Pid> =
                view.pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)).collect();
            match view.state {
                State::Exited | State::Waiting => return None,
                state if is(state) && !groups.is_empty() => return Some(groups),
                _ => sleep(LOOK).await,
            }
        }
    }
}

fn signal(groups: &[Pid], signal: Signal) {
    for group in groups {
        // It may have ended this moment.
        kill_process_group(*group, signal).ok();
    }
}

impl FromStr for Break {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not NAME=crash, NAME=hang or NAME=slow");
        let (kernel, fault) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        let fault = match fault {
            "crash" => Fault::Crash,
            "hang" => Fault::Hang,
            "slow" => Fault::Slow,
            _ => return Err(wrong()),
        };
        Ok(Self { kernel: kernel.into(), fault })
    }
}
