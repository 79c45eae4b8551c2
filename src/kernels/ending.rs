//! How the processes of a replica end: asked first, then killed, again and again, until none of them is left.
//!
//! Nothing is given up: until the last one is gone, the replica is `stopping` with the number of one that lives, and
//! nothing is started in its place.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::life::Life;
use super::proc::{self, Stat};
use super::providers::process::Running;
use super::view::State;

/// How long a process may take to be gone after SIGKILL before an operator is told and callers stop waiting.
pub(super) const KILL_WAIT: Duration = Duration::from_secs(5);

/// How often SIGKILL is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// The first pause between two looks at who is left; each is twice as long as the one before, up to [`AGAIN`].
const LOOK: Duration = Duration::from_millis(10);

/// Until when a replica may end by itself. Whoever asks later may make it shorter, never longer.
pub(super) struct Grace {
    deadline: Instant,
    asked: watch::Receiver<Option<Duration>>,
    /// Whether nobody is left who could ask.
    closed: bool,
}

impl Grace {
    pub(super) fn new(grace: Duration, asked: watch::Receiver<Option<Duration>>) -> Self {
        Self { deadline: Instant::now() + grace, asked, closed: false }
    }

    /// Comes back when it is over, or has become shorter.
    async fn over_or_shorter(&mut self) {
        tokio::select! {
            () = sleep_until(self.deadline) => {}
            changed = self.asked.changed(), if !self.closed => {
                self.closed = changed.is_err();
                let shorter = (!self.closed).then(|| *self.asked.borrow_and_update()).flatten();
                self.deadline = self.deadline.min(Instant::now() + shorter.unwrap_or_default());
            }
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

impl Life {
    /// Asks all processes to end, and kills them after the grace; comes back when the first of them is gone.
    ///
    /// # Errors
    /// When the operating system does not tell how it ended.
    pub(super) async fn end(&self, running: &mut Running, grace: &mut Grace) -> io::Result<ExitStatus> {
        self.set_stopping(running.pid(), None);
        running.signal(Signal::TERM);
        // One that was stopped cannot hear that it is to end.
        running.signal(Signal::CONT);
        while !grace.is_over() {
            tokio::select! {
                status = running.wait() => return status,
                () = grace.over_or_shorter() => {}
            }
        }
        let killed = Instant::now();
        loop {
            running.signal(Signal::KILL);
            tokio::select! {
                status = running.wait() => return status,
                () = sleep(AGAIN) => self.remains(running.pid(), killed),
            }
        }
    }

    /// Comes back when nothing is left of what came from `running`, whose own process is gone. What left its group has
    /// until the grace is over.
    pub(super) async fn end_rest(&self, running: &mut Running, grace: &mut Grace) {
        let leader = running.pid();
        let (mut pause, mut killed, mut asked) = (LOOK, None, Vec::new());
        while !running.is_alone().await {
            let kill = grace.is_over();
            let left = if kill {
                running.signal_all(Signal::KILL, |_| true).await
            } else {
                // Each of those that left the group is asked once; the group was ended with its first process.
                let asked = asked.clone();
                let unasked = move |stat: &Stat| stat.group != leader && !asked.contains(&stat.pid);
                running.signal_all(Signal::TERM, unasked).await
            };
            let Some(one) = left.first() else { break };
            asked = left.iter().map(|stat| stat.pid).collect();
            match kill {
                true => self.remains(one.pid, *killed.get_or_insert_with(Instant::now)),
                false => self.set_stopping(one.pid, None),
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = grace.over_or_shorter(), if !kill => {}
            }
            pause = (pause * 2).min(AGAIN);
        }
        self.context.clear(&self.problem());
    }

    /// Notes that process `pid` is still there, and tells an operator once that has lasted.
    fn remains(&self, pid: u32, killed: Instant) {
        if killed.elapsed() < KILL_WAIT {
            return self.set_stopping(pid, None);
        }
        let why = match (proc::hindrance(pid), proc::user(pid)) {
            (Some(why), _) => format!(": it {why}"),
            (None, Some(user)) if user != rustix::process::geteuid().as_raw() => {
                format!(": it runs as user {user}, whom the engine may not signal; stop it by hand")
            }
            (None, _) => String::new(),
        };
        let text = format!(
            "replica {} of kernel `{}` was killed {} s ago, and {} has not ended{why}. It cannot be started before that",
            self.seat.index,
            self.spec.name,
            killed.elapsed().as_secs(),
            proc::describe(pid),
        );
        self.context.raise(&self.problem(), &text);
        self.set_stopping(pid, Some(text));
    }

    fn set_stopping(&self, pid: u32, error: Option<String>) {
        self.told.send_if_modified(|status| {
            let entered = status.state != State::Stopping;
            if entered {
                status.since = self.context.clock.now();
            }
            let changed = entered || status.pid != Some(pid) || error.is_some() && status.error != error;
            status.state = State::Stopping;
            status.pid = Some(pid);
            status.error = error.or(status.error.take());
            changed
        });
    }

    fn problem(&self) -> String {
        format!("kernel/{}/{}", self.spec.name, self.seat.index)
    }
}
