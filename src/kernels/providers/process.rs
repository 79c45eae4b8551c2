//! Child processes that never outlive the engine: each in its own process group, ended as a group.
//!
//! Start with [`Spawner`]. Two nets lie under each child: the shim binds it to the life of the one thread that spawns
//! (parent-death signals go by thread), and the guardian, which ends whole groups when the engine is gone. A process
//! that leaves its group on purpose (`setsid`) slips through the second net. With [`Shim::none`] there is no net.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::kernels::guardian::Guardian;
use crate::kernels::shim;
use crate::platform::{Part, supervisor};

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
}

/// A process that was started. Dropping it ends its whole group at once.
#[derive(Debug)]
pub struct Running {
    child: Child,
    group: Pid,
    begun: Instant,
    ended: Option<ExitStatus>,
    gone: Arc<Gone>,
    /// Keeps the thread, and with it the process, alive.
    spawner: Option<Spawner>,
}

/// Groups that have ended since the guardian was last told.
type Gone = Mutex<Vec<Pid>>;

#[derive(Debug)]
enum Job {
    Start(Box<Launch>, oneshot::Sender<io::Result<Running>>),
    Wake,
}

/// Starts under way at once; each waits a few milliseconds at most, so more than this is a runaway.
const QUEUE: usize = 1_024;

/// How often the guardian is looked after when nothing else happens.
const TEND: Duration = Duration::from_secs(1);

/// How long a process may take to be gone after SIGKILL (one in an uninterruptible wait takes longer).
const KILL_WAIT: Duration = Duration::from_secs(5);

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
        Part::new("spawner").thread(None, move || serve(&inbox, &shim, &runtime))?;
        Ok(Self { jobs })
    }

    /// One that starts nothing and has no thread: every start fails.
    pub fn none() -> Self {
        let (jobs, _) = sync_channel(0);
        Self { jobs }
    }

    /// Starts a process.
    ///
    /// # Errors
    /// When the operating system refuses. With a shim, a program that does not exist shows as exit code 127.
    pub async fn start(&self, launch: Launch) -> io::Result<Running> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.jobs.try_send(Job::Start(launch.into(), reply)).map_err(|error| match error {
            TrySendError::Full(_) => io::Error::other("too many processes are being started at once"),
            TrySendError::Disconnected(_) => gone(),
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
        if self.ended.is_none() {
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
        kill_process_group(self.group, Signal::KILL).ok();
        self.ended = Some(status);
        Ok(status)
    }

    /// Asks the group to end, and ends it after `grace`.
    ///
    /// # Errors
    /// When the process is still there some seconds after it was killed.
    pub async fn stop(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        // One that was stopped cannot hear that it shall end.
        self.signal(Signal::CONT);
        if let Ok(done) = tokio::time::timeout(grace, self.wait()).await {
            return done;
        }
        self.signal(Signal::KILL);
        tokio::time::timeout(KILL_WAIT, self.wait())
            .await
            .map_err(|_| io::Error::other(format!("process {} does not end, even by SIGKILL", self.pid())))?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).push(self.group);
        if let Some(spawner) = &self.spawner {
            // A full queue will look at the list anyway.
            spawner.jobs.try_send(Job::Wake).ok();
        }
    }
}

/// The thread that spawns.
fn serve(inbox: &Receiver<Job>, shim: &Shim, runtime: &Handle) {
    let _runtime = runtime.enter();
    let mut guardian = shim.program.as_deref().map(Guardian::new);
    let gone = Arc::new(Gone::default());
    loop {
        let job = inbox.recv_timeout(TEND);
        supervisor::is_struck("spawner");
        let ended = std::mem::take(&mut *gone.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(guardian) = &mut guardian {
            guardian.tend();
            ended.into_iter().for_each(|group| guardian.remove(group));
        }
        match job {
            Ok(Job::Start(launch, reply)) => {
                let running = start(&launch, shim, guardian.as_mut(), &gone);
                // Dropped, and so ended, if nobody waits for it any more.
                reply.send(running).ok();
            }
            Ok(Job::Wake) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn start(
    launch: &Launch,
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
            command.arg0("paramedic").arg(shim::COMMAND).arg(std::process::id().to_string()).arg(dashes);
            command.arg(program);
            command
        }
    };
    command.args(arguments).process_group(0).kill_on_drop(true);
    if !launch.inherit_env {
        command.env_clear();
    }
    for name in SECRETS {
        command.env_remove(name);
    }
    command.envs(&launch.env);
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
    let child = command.spawn()?;
    // Holds the reading end of the pipe.
    drop(command);
    let group = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the process ended before it began"))?;
    let gone = Arc::clone(gone);
    let mut running = Running { child, group, begun: Instant::now(), ended: None, gone, spawner: None };
    if let Some((guardian, mut pipe)) = go {
        guardian.add(group)?;
        running.begun = Instant::now();
        pipe.write_all(&[shim::GO])?;
    }
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Launch {
        let argv = ["sh", "-c", script].map(String::from).to_vec();
        Launch { argv, inherit_env: true, capture: true, ..Launch::default() }
    }

    async fn lines(running: &mut Running) -> String {
        use tokio::io::AsyncReadExt;
        let (mut out, _) = running.output().unwrap();
        let mut text = String::new();
        out.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_is_ended_with_its_children_after_the_grace() {
        let spawner = Spawner::new(Shim::none()).unwrap();
        let mut running =
            spawner.start(sh("trap '' TERM; sleep 60 & echo up; wait; sleep 60")).await.unwrap();
        let (mut out, _) = running.output().unwrap();
        let mut up = [0; 3];
        tokio::io::AsyncReadExt::read_exact(&mut out, &mut up).await.unwrap();
        let begun = Instant::now();
        let status = running.stop(Duration::from_millis(200)).await.unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(status.signal(), Some(9));
        assert!(begun.elapsed() >= Duration::from_millis(200));
        // The pipe ends only when no process of the group holds it any more.
        let rest = tokio::io::AsyncReadExt::read(&mut out, &mut up);
        assert_eq!(tokio::time::timeout(Duration::from_secs(5), rest).await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_stopped_process_can_still_end_gracefully() {
        let spawner = Spawner::new(Shim::none()).unwrap();
        let mut running = spawner
            .start(sh("trap 'exit 7' TERM; kill -STOP $$; while :; do sleep 0.01; done"))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(running.stop(Duration::from_secs(5)).await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_process_nobody_holds_any_more_is_ended() {
        let spawner = Spawner::new(Shim::none()).unwrap();
        let mut running = spawner.start(sh("echo up; sleep 60")).await.unwrap();
        let (mut out, _) = running.output().unwrap();
        drop(running);
        let mut text = String::new();
        let read = tokio::io::AsyncReadExt::read_to_string(&mut out, &mut text);
        tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_process_gets_the_variables_it_was_given_and_no_others() {
        let spawner = Spawner::new(Shim::none()).unwrap();
        let mut launch = sh("echo $A-$HOME");
        launch.inherit_env = false;
        launch.env.insert("A".into(), "x".into());
        assert_eq!(lines(&mut spawner.start(launch).await.unwrap()).await, "x-\n");
    }
}
