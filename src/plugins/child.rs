//! The engine's side of a plugin's process: starting it, asking it, saying how it ended.
//!
//! A call is written and read by the task that makes it, with no thread in between: two switches a call. Where answers
//! come quickly the thread waits for them itself, for [`WINDOW`] at most, as going through the runtime's driver costs
//! more than that takes. A child that says anything unexpected is ended; dropping one ends it and all it has started.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::host::{self, Load};
use super::image::Image;
use super::output::{self, Tail, clean};
use super::spec::Spec;
use super::wire::{HEAD, Head, Kind, open, seal};
use crate::kernels::Spawner;
use crate::kernels::providers::process::{Channel, Launch, Running};

/// Variables that a plugin's process gets from the engine's own; no others, as secrets lie among them.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// What is needed besides the answer itself: a manifest may be longer than answers may.
const LEAST_FRAME: usize = 1 << 20;

/// How long a thread of the runtime may be held up by a call; those that are answered sooner are quick.
pub(super) const WINDOW: Duration = Duration::from_micros(200);

/// How long the end of a process may take to be known once its channel is closed.
const ENDING: Duration = Duration::from_secs(2);

/// How long a process may take to stop when it is not needed any more.
const FAREWELL: Duration = Duration::from_secs(1);

/// A process with a plugin in it.
#[derive(Debug)]
pub(super) struct Child {
    running: Running,
    channel: UnixStream,
    buffer: Vec<u8>,
    /// How much of the buffer was read.
    filled: usize,
    calls: u64,
    longest: usize,
    memory: String,
    tail: Arc<Tail>,
    reading: Option<JoinHandle<()>>,
}

/// What came of a call, if the process is still good.
#[derive(Debug)]
pub(super) enum Reply<'a> {
    /// The plugin's answer, unread.
    Answer(&'a [u8]),
    /// The plugin did not answer as it must.
    Wrong(String),
}

impl Child {
    /// Starts a process, loads `image` in it and gives what the plugin says of itself.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn start(
        spec: &Spec,
        image: &Image,
        spawner: &Spawner,
    ) -> Result<(Self, String), String> {
        let failed = |error: std::io::Error| format!("no process can be started for it: {error}");
        let (channel, ours) = Channel::new().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let env: BTreeMap<String, String> = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        // By this name the program that runs now is meant, even after its file was replaced.
        let argv = ["/proc/self/exe", host::COMMAND, &spec.name].map(String::from).to_vec();
        let channel = Some(channel);
        let launch = Launch { argv, env, capture: true, channel, ..Launch::default() };
        let mut running = spawner.start(launch).await.map_err(failed)?;
        let tail = Arc::new(Tail::default());
        let reading = running.output().map(|(out, err)| {
            let (tail, name) = (tail.clone(), spec.name.clone());
            tokio::spawn(async move {
                tokio::join!(output::log(name.clone(), out, &tail), output::log(name, err, &tail));
            })
        });
        let longest = usize::try_from(spec.output.0).unwrap_or(usize::MAX);
        let mut child = Self {
            running,
            channel: ours,
            buffer: vec![0; 8 << 10],
            filled: 0,
            calls: 0,
            longest,
            memory: spec.memory.to_string(),
            tail,
            reading,
        };
        let load = Load {
            path: image.path(),
            sha256: image.sha256.clone(),
            memory: spec.memory.0,
            output: longest,
            config: spec.config.clone(),
        };
        let began = child.begin(&load);
        match timeout(spec.start_timeout.0, began).await {
            Ok(manifest) => Ok((child, manifest?)),
            Err(_) => Err(format!("it was not loaded and started within {}", spec.start_timeout)),
        }
    }

    async fn begin(&mut self, load: &Load) -> Result<String, String> {
        let mut frame = open(256);
        serde_json::to_writer(&mut frame, load).map_err(|error| error.to_string())?;
        seal(&mut frame, Kind::Load, 0);
        let head = match self.exchange(&frame, false).await {
            Ok(head) => head,
            Err(how) => return Err(format!("while it was loaded, {how}")),
        };
        let said = String::from_utf8_lossy(self.content(head)).into_owned();
        match head.kind {
            Kind::Ready => Ok(said),
            Kind::Refused => Err(said),
            _ => Err("its process spoke out of turn while it was loaded".into()),
        }
    }

    /// Makes a call; `frame` has room for the head, and `quick` says that the answer is expected soon. Must not be dropped before its end without dropping the child too.
    ///
    /// # Errors
    /// When the process ended, or broke the protocol: how, in words. Then it is of no use any more.
    pub(super) async fn call(&mut self, frame: &mut [u8], quick: bool) -> Result<Reply<'_>, String> {
        self.calls += 1;
        seal(frame, Kind::Call, self.calls);
        let head = self.exchange(frame, quick).await?;
        if head.call != self.calls {
            return Err(format!("its process answered call {} instead of {}", head.call, self.calls));
        }
        match head.kind {
            Kind::Answer => Ok(Reply::Answer(self.content(head))),
            Kind::Wrong => Ok(Reply::Wrong(String::from_utf8_lossy(self.content(head)).into_owned())),
            other => Err(format!("its process sent {other:?} instead of an answer")),
        }
    }

    /// Whether it has ended, or said something that nobody asked for.
    pub(super) fn is_spoilt(&self) -> bool {
        !matches!(rustix::io::read(&self.channel, &mut [0; 1][..]), Err(rustix::io::Errno::AGAIN))
    }

    /// Lets it end in good order.
    pub(super) async fn retire(mut self) {
        // One that is gone already cannot be told.
        self.channel.shutdown(std::net::Shutdown::Write).ok();
        timeout(FAREWELL, self.running.wait()).await.ok();
    }

    fn content(&self, head: Head) -> &[u8] {
        &self.buffer[HEAD..HEAD + head.len]
    }

    /// Sends a frame and waits for the one that answers it, which is then at the beginning of the buffer.
    async fn exchange(&mut self, frame: &[u8], quick: bool) -> Result<Head, String> {
        self.filled = 0;
        if self.send(frame).await.is_err() {
            return Err(self.ended().await);
        }
        if quick {
            self.linger();
        }
        loop {
            if let Some(head) = self.whole()? {
                return Ok(head);
            }
            let read = match self.read() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_and_read().await,
                read => read,
            };
            match read {
                Ok(n) if n > 0 => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return Err(self.ended().await),
            }
        }
    }

    /// The head of the frame that was read, if it is whole by now; makes room for the rest of it.
    fn whole(&mut self) -> Result<Option<Head>, String> {
        let Some(bytes) = self.buffer[..self.filled].first_chunk::<HEAD>() else { return Ok(None) };
        let head = Head::read(*bytes).ok_or("its process sent what is no answer")?;
        if head.len > self.longest.max(LEAST_FRAME) {
            return Err(format!("its process sent {} bytes at once", head.len));
        }
        let length = HEAD + head.len;
        if self.filled > length {
            return Err("its process answered more than once".into());
        }
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        Ok((self.filled == length).then_some(head))
    }

    async fn send(&self, mut frame: &[u8]) -> io::Result<()> {
        while !frame.is_empty() {
            match rustix::io::write(&self.channel, frame) {
                Ok(n) => frame = &frame[n..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => self.driven()?.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<usize> {
        Ok(rustix::io::read(&self.channel, &mut self.buffer[self.filled..])?)
    }

    async fn wait_and_read(&mut self) -> io::Result<usize> {
        let driven = self.driven()?;
        loop {
            driven.readable().await?;
            match driven.try_io(Interest::READABLE, || self.read()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Known to the runtime's driver only while it waits: else each answer would wake a thread of it in vain.
    fn driven(&self) -> io::Result<tokio::net::UnixStream> {
        tokio::net::UnixStream::from_std(self.channel.try_clone()?)
    }

    /// Waits a little for the answer on this very thread.
    fn linger(&self) {
        let window = Timespec { tv_sec: 0, tv_nsec: i64::from(WINDOW.subsec_nanos()) };
        // Whatever it says, reading will find out.
        poll(&mut [PollFd::new(&self.channel, PollFlags::IN)], Some(&window)).ok();
    }

    /// How the process ended, with its last words.
    async fn ended(&mut self) -> String {
        let how = match timeout(ENDING, self.running.wait()).await {
            Ok(Ok(status)) => told(status, &self.memory),
            _ => "its process closed the channel to the engine".into(),
        };
        if let Some(reading) = self.reading.take() {
            timeout(Duration::from_millis(100), reading).await.ok();
        }
        match self.tail.last() {
            Some(last) => {
                let last: String = clean(&last).chars().take(200).collect();
                format!("{how} (it printed last: {last})")
            }
            None => how,
        }
    }
}

fn told(status: ExitStatus, memory: &str) -> String {
    let Some(signal) = status.signal() else {
        return format!("its process ended by itself with exit code {}", status.code().unwrap_or_default());
    };
    let (name, means) = match signal {
        4 => ("SIGILL", "a bad instruction".to_string()),
        6 => ("SIGABRT", format!("it gave up, as also when its memory is used up: it may have {memory}")),
        7 => ("SIGBUS", "a bad memory access".into()),
        8 => ("SIGFPE", "a bad computation, such as a division by zero".into()),
        9 => ("SIGKILL", "from outside, as when the machine's memory is used up".into()),
        11 => ("SIGSEGV", "a bad memory access".into()),
        15 => ("SIGTERM", "from outside".into()),
        24 => ("SIGXCPU", "processor time".into()),
        31 => ("SIGSYS", "a system call that is not allowed".into()),
        other => return format!("its process was ended by signal {other}"),
    };
    format!("its process was ended by {name} ({means})")
}
