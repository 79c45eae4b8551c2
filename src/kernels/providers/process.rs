//! Child processes that never outlive the engine: each in its own process group, ended as a group.
//!
//! Start with [`Spawner`]. Two nets lie under each child: the shim binds it to the life of the one thread that spawns
//! (parent-death signals go by thread), and the guardian, which ends whole groups when the engine is gone, and all that
//! carries the engine's mark in its environment, also what left its group (`setsid`). With [`Shim::none`] there is no net.

mod output;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use output::{EACH, Kept, Output, SoFar};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::kernels::family::{Family, MARK};
use crate::kernels::guardian::Guardian;
use crate::kernels::proc::Stat;
use crate::kernels::{orphans, proc, shim};
use crate::platform::{Part, beginning, descriptors, supervisor};

/// Which program serves as shim and guardian.
#[derive(Clone, Debug)]
pub struct Shim {
    program: Option<PathBuf>,
}

impl Shim {
    /// The running program itself, which must lead `__exec` and `__guardian` to this room.
    pub fn own() -> Self {
        // By this name the image that runs now is meant, even after the file was replaced.
        Self { program: Some("/proc/self/exe".into()) }
    }

    /// Another program that knows `__exec` and `__guardian`; for tests, whose own program is the test.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: Some(program.into()) }
    }

    /// None: children may outlive an engine that is killed. For unit tests.
    pub fn none() -> Self {
        Self { program: None }
    }
}

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Program and arguments, no shell.
    pub argv: Vec<String>,
    /// Variables to set.
    pub env: BTreeMap<String, String>,
    /// Whether it gets the engine's own variables too.
    pub inherit_env: bool,
    /// Where it runs.
    pub cwd: Option<PathBuf>,
    /// Whether its output comes through pipes; else it is thrown away.
    pub capture: bool,
    /// Its standard input, if it is to have one.
    pub channel: Option<Arc<Channel>>,
    /// Whether what leaves its process group on purpose may outlive it and the engine, as the daemon that an init script
    /// starts; else that is ended too.
    pub lasting: bool,
}

/// A pair of sockets between the engine and a process that it starts.
#[derive(Debug)]
pub struct Channel {
    /// Becomes the process's standard input.
    theirs: UnixStream,
    /// The engine's own end.
    ours: UnixStream,
}

impl Channel {
    /// A new pair, and the engine's end of it.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn new() -> io::Result<(Arc<Self>, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let kept = ours.try_clone()?;
        Ok((Arc::new(Self { theirs, ours }), kept))
    }
}

/// Starts processes; cheap to clone. When the last clone and the last [`Running`] are gone, so is its thread.
#[derive(Clone, Debug)]
pub struct Spawner {
    jobs: SyncSender<Job>,
    /// Variables of the engine that no process gets.
    hidden: Arc<BTreeSet<String>>,
}

/// A process that was started. Dropping it ends its whole group at once.
#[derive(Debug)]
pub struct Running {
    child: Child,
    group: Pid,
    family: Family,
    begun: Instant,
    ended: Option<ExitStatus>,
    /// Whether what left its group may outlive it.
    lasting: bool,
    gone: Arc<Gone>,
    /// A file that, while it exists, keeps signals from the process, as if it hung in the system.
    #[cfg(test)]
    deaf: Option<PathBuf>,
    /// Keeps the thread, and with it the process, alive.
    spawner: Option<Spawner>,
}

/// Groups that have ended since the guardian was last told, each with the family that is still to be ended, if any, and
/// whether that can only be orphans.
type Gone = Mutex<Vec<(Pid, Option<(Family, bool)>)>>;

#[derive(Debug)]
enum Job {
    Start(Box<Launch>, Arc<BTreeSet<String>>, oneshot::Sender<io::Result<Running>>),
    Wake,
}

/// Starts under way at once; each waits a few milliseconds at most, so more than this is a runaway.
const QUEUE: usize = 1_024;

/// How often the guardian is looked after when nothing else happens.
const TEND: Duration = Duration::from_secs(1);

/// Never passed on: what opens the engine's own doors.
const SECRETS: [&str; 1] = ["PARAMEDIC_TOKEN"];

impl Spawner {
    /// Starts the thread that spawns. Must be called within a tokio runtime, which reaps the children.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn new(shim: Shim) -> io::Result<Self> {
        let (jobs, inbox) = sync_channel(QUEUE);
        let runtime = Handle::current();
        orphans::adopt();
        Part::new("spawner").thread(None, move || serve(&inbox, &shim, &runtime))?;
        Ok(Self { jobs, hidden: Arc::default() })
    }

    /// One that starts nothing and has no thread: every start fails.
    pub fn none() -> Self {
        let (jobs, _) = sync_channel(0);
        Self { jobs, hidden: Arc::default() }
    }

    /// The same, which keeps these variables of the engine's environment from every process that it starts, unless the
    /// launch itself sets one.
    #[must_use]
    pub fn hiding(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.hidden = Arc::new(self.hidden.iter().cloned().chain(names).collect());
        self
    }

    /// Starts a process.
    ///
    /// # Errors
    /// When the operating system refuses. With a shim, a program that does not exist shows as exit code 127.
    pub async fn start(&self, launch: Launch) -> io::Result<Running> {
        // An effect of a playbook begins where the process does.
        let _begins = beginning::hold();
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.jobs.try_send(Job::Start(launch.into(), Arc::clone(&self.hidden), reply)).map_err(|error| {
            match error {
                TrySendError::Full(_) => io::Error::other("too many processes are being started at once"),
                TrySendError::Disconnected(_) => gone(),
            }
        })?;
        let mut running = answer.await.map_err(|_| gone())??;
        running.spawner = Some(self.clone());
        Ok(running)
    }
}

impl Running {
    /// The process's number, which is its group's too.
    pub fn pid(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    /// When its program began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The pipes, once, if it was started with `capture`.
    pub fn output(&mut self) -> Option<(ChildStdout, ChildStderr)> {
        self.child.stdout.take().zip(self.child.stderr.take())
    }

    /// Sends `signal` to the whole group.
    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none() && self.hears() {
            // It may have ended this moment.
            kill_process_group(self.group, signal).ok();
        }
    }

    /// Waits until the process ends; what is left of its group is ended too. May be dropped and called again.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        let status = self.child.wait().await?;
        if self.hears() {
            kill_process_group(self.group, Signal::KILL).ok();
        }
        self.ended = Some(status);
        Ok(status)
    }

    /// The processes that come from this start and live, also those that left its group.
    pub(in crate::kernels) fn family(&self) -> &Family {
        &self.family
    }

    /// Whether nothing is left of what came from this start, whose own process is gone. Cheap, and no is no promise.
    pub(in crate::kernels) async fn is_alone(&self) -> bool {
        if test_kill_process_group(self.group).is_ok() {
            return false;
        }
        let family = self.family.clone();
        let has_orphans = tokio::task::spawn_blocking(move || family.has_orphans());
        !has_orphans.await.unwrap_or_default()
    }

    /// Sends `signal` to those processes that come from this start and that `which` picks; gives all that live.
    pub(in crate::kernels) async fn signal_all(
        &mut self,
        signal: Signal,
        which: impl Fn(&Stat) -> bool + Send + 'static,
    ) -> Vec<Stat> {
        let (mut family, hears) = (self.family.clone(), self.hears());
        let look = tokio::task::spawn_blocking(move || {
            let members = family.signal(signal, |stat| hears && which(stat));
            (family, members)
        });
        // The runtime ends.
        let Ok((family, members)) = look.await else { return Vec::new() };
        self.family = family;
        members
    }

    /// The processes that left its group and live on after its end, in words.
    pub async fn left_behind(&mut self) -> Vec<String> {
        let family = self.family.clone();
        // Mostly there is none, and then there is no need to look at every process of the machine.
        let has_left = tokio::task::spawn_blocking(move || family.has_orphans());
        if !has_left.await.unwrap_or_default() {
            return Vec::new();
        }
        let leader = self.family.leader();
        let left = self.signal_all(Signal::CONT, |_| false).await;
        left.iter().filter(|stat| stat.group != leader).map(|stat| proc::describe(stat.pid)).collect()
    }

    #[cfg(test)]
    fn hears(&self) -> bool {
        !self.deaf.as_deref().is_some_and(std::path::Path::exists)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests make processes that do not hear")]
    fn hears(&self) -> bool {
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let rest =
            (!self.lasting || self.ended.is_none()).then(|| (self.family.clone(), self.ended.is_some()));
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).push((self.group, rest));
        orphans::release(self.family.leader());
        if let Some(spawner) = &self.spawner {
            // A full queue will look at the list anyway.
            spawner.jobs.try_send(Job::Wake).ok();
        }
    }
}

/// The thread that spawns.
fn serve(inbox: &Receiver<Job>, shim: &Shim, runtime: &Handle) {
    let _runtime = runtime.enter();
    let token = uuid::Uuid::new_v4().simple().to_string();
    let mut marks = (0_u64..).map(|number| format!("{number}"));
    let mut guardian = shim.program.as_deref().map(|program| Guardian::new(program, &format!("{token}.")));
    let gone = Arc::new(Gone::default());
    let (mut reaped, mut zombies) = (Instant::now(), BTreeSet::new());
    loop {
        let job = inbox.recv_timeout(TEND);
        supervisor::is_struck("spawner");
        let ended = std::mem::take(&mut *gone.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(guardian) = &mut guardian {
            guardian.tend();
        }
        for (group, rest) in ended {
            if let Some((mut family, only_orphans)) = rest
                && (!only_orphans || family.has_orphans())
            {
                family.signal(Signal::KILL, |_| true);
            }
            if let Some(guardian) = &mut guardian {
                guardian.remove(group);
            }
        }
        if reaped.elapsed() >= TEND {
            orphans::reap(&mut zombies);
            reaped = Instant::now();
        }
        match job {
            Ok(Job::Start(launch, hidden, reply)) => {
                let kind = if launch.lasting { "-lasting." } else { "." };
                let mark = format!("{token}{kind}{}", marks.next().unwrap_or_default());
                let running = start(&launch, &hidden, mark, shim, guardian.as_mut(), &gone);
                // Dropped, and so ended, if nobody waits for it any more.
                reply.send(running).ok();
            }
            Ok(Job::Wake) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The engine as the shim knows it: its number, and the limit of descriptors that its children get.
fn parent() -> String {
    let id = std::process::id();
    descriptors::before().map_or_else(|| id.to_string(), |soft| format!("{id}:{soft}"))
}

fn start(
    launch: &Launch,
    hidden: &BTreeSet<String>,
    mark: String,
    shim: &Shim,
    guardian: Option<&mut Guardian>,
    gone: &Arc<Gone>,
) -> io::Result<Running> {
    let Some((program, arguments)) = launch.argv.split_first() else {
        return Err(io::Error::other("no program is named"));
    };
    let mut command = match &shim.program {
        None => Command::new(program),
        Some(shim) => {
            let mut command = Command::new(shim);
            let dashes = if launch.channel.is_some() { shim::KEEP } else { "--" };
            command.arg0("paramedic").arg(shim::COMMAND).arg(parent()).arg(dashes);
            command.arg(program);
            command
        }
    };
    command.args(arguments).process_group(0).kill_on_drop(true);
    if !launch.inherit_env {
        command.env_clear();
    }
    for name in SECRETS.into_iter().chain(hidden.iter().map(String::as_str)) {
        command.env_remove(name);
    }
    command.envs(&launch.env).env(MARK, &mark);
    if let Some(cwd) = &launch.cwd {
        command.current_dir(cwd);
    }
    let output = || if launch.capture { Stdio::piped() } else { Stdio::null() };
    command.stdout(output()).stderr(output());
    let go: Option<(_, Box<dyn Write>)> = match (guardian, &launch.channel) {
        (None, None) => {
            command.stdin(Stdio::null());
            None
        }
        (None, Some(channel)) => {
            command.stdin(OwnedFd::from(channel.theirs.try_clone()?));
            None
        }
        (Some(guardian), None) => {
            let (theirs, ours) = io::pipe()?;
            command.stdin(theirs);
            Some((guardian, Box::new(ours)))
        }
        (Some(guardian), Some(channel)) => {
            command.stdin(OwnedFd::from(channel.theirs.try_clone()?));
            Some((guardian, Box::new(channel.ours.try_clone()?)))
        }
    };
    let child = orphans::start(|| {
        command.spawn().map(|child| {
            let pid = child.id();
            (child, pid)
        })
    })?;
    // Holds the reading end of the pipe.
    drop(command);
    let group = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the process ended before it began"))?;
    let family = Family::new(group.as_raw_nonzero().get().unsigned_abs(), mark);
    let mut running = Running {
        child,
        group,
        family,
        begun: Instant::now(),
        ended: None,
        lasting: launch.lasting,
        gone: Arc::clone(gone),
        #[cfg(test)]
        deaf: launch.env.get("PARAMEDIC_TEST_DEAF").map(PathBuf::from),
        spawner: None,
    };
    if let Some((guardian, mut pipe)) = go {
        guardian.add(group)?;
        running.begun = Instant::now();
        pipe.write_all(&[shim::GO])?;
    }
    Ok(running)
}

#[cfg(test)]
mod tests;
