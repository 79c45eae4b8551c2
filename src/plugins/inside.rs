//! A plugin that runs in the engine's own process, on threads of its own: `processes` of them, none of the runtime's.
//!
//! What hangs there cannot be ended, but holds its thread and nothing else: it is told as a problem, and when all threads
//! are held further calls are refused at once. No stop of the engine waits for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::abi::{self, CallError, Library, Notice};
use super::image::Image;
use super::spec::Spec;
use super::wire::HEAD;
use super::{answer, output};
use crate::model::{Failure, Span};
use crate::platform::Problems;

pub(super) struct Inside {
    spec: Arc<Spec>,
    jobs: mpsc::SyncSender<Job>,
    threads: Arc<Semaphore>,
    hanging: Arc<Hanging>,
}

/// A call for one of the threads.
struct Job {
    frame: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, CallError>>,
    /// Given back when the call has ended, not when its time is up.
    thread: OwnedSemaphorePermit,
    late: Arc<Late>,
}

/// Calls that are over their time and go on.
struct Hanging {
    name: String,
    count: AtomicUsize,
    threads: usize,
    problems: Problems,
}

/// Whether one call is over its time, and whether it has ended.
#[derive(Default)]
struct Late(Mutex<(bool, bool)>);

impl Inside {
    pub(super) async fn load(
        spec: Arc<Spec>,
        image: Image,
        problems: Problems,
    ) -> Result<(Self, String), String> {
        abi::notices_to(tell);
        let file = image.own().map_err(|error| error.to_string())?;
        let config = spec.config.to_string();
        let (loaded, loading) = oneshot::channel();
        // Not a thread of the runtime: one that hangs here would keep the engine from ending.
        thread(&spec.name, move || {
            let library = Library::load(file).map_err(|error| error.to_string()).and_then(|library| {
                library.start(&config).map_err(|error| error.to_string())?;
                Ok(library)
            });
            // Who asked may have given up.
            drop(loaded.send(library));
        })?;
        let library = match timeout(spec.start_timeout.0, loading).await {
            Ok(Ok(library)) => Arc::new(library?),
            Ok(Err(_)) => return Err("it panicked while it was loaded".into()),
            Err(_) => return Err(format!("it was not loaded and started within {}", spec.start_timeout)),
        };
        let manifest = library.manifest().to_owned();
        let count = spec.processes;
        let hanging = Arc::new(Hanging {
            name: spec.name.clone(),
            count: AtomicUsize::new(0),
            threads: count,
            problems,
        });
        let longest = usize::try_from(spec.output.0).unwrap_or(usize::MAX);
        // Never more calls than threads, as each call holds a permit.
        let (jobs, inbox) = mpsc::sync_channel::<Job>(count);
        let inbox = Arc::new(Mutex::new(inbox));
        for _ in 0..count {
            let (inbox, library, hanging) = (inbox.clone(), library.clone(), hanging.clone());
            thread(&spec.name, move || {
                loop {
                    let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    let answer = library.call(&job.frame[HEAD..], longest);
                    hanging.ended(&job.late);
                    drop(job.thread);
                    drop(job.answer.send(answer));
                }
            })?;
        }
        Ok((Self { spec, jobs, threads: Arc::new(Semaphore::new(count)), hanging }, manifest))
    }

    pub(super) async fn call(&self, frame: Vec<u8>, limit: Span) -> Result<Value, Failure> {
        let name = &self.spec.name;
        let deadline = Instant::now() + limit.0;
        let busy = |what: &str| {
            let message = format!(
                "all {} threads of plugin `{name}` {what}; `processes` in the configuration says how many there may be",
                self.spec.processes
            );
            Failure::retryable("unavailable", message)
        };
        if self.hanging.all() {
            return Err(busy("are held by calls that hang"));
        }
        let thread = timeout_at(deadline, self.threads.clone().acquire_owned()).await;
        let Ok(Ok(thread)) = thread else { return Err(busy(&format!("were busy for {limit}"))) };
        let (send, receive) = oneshot::channel();
        let late = Arc::new(Late::default());
        let job = Job { frame, answer: send, thread, late: late.clone() };
        if self.jobs.try_send(job).is_err() {
            return Err(Failure::retryable(
                "unavailable",
                format!("the threads of plugin `{name}` have ended"),
            ));
        }
        // Also when whoever called gives up: the call goes on.
        let _watch = Watch { hanging: self.hanging.clone(), late };
        match timeout_at(deadline, receive).await {
            Ok(Ok(Ok(answer))) => answer::read(name, &answer),
            Ok(Ok(Err(wrong))) => Err(answer::wrong(name, &wrong.to_string())),
            Ok(Err(_)) => Err(answer::wrong(name, "it panicked through the C interface")),
            Err(_) => {
                let message = format!(
                    "plugin `{name}` did not answer within {limit}; as it runs in process it cannot be ended, and goes on"
                );
                Err(Failure::new("timeout", message))
            }
        }
    }
}

/// When nobody waits for a call any more and it has not ended, it hangs.
struct Watch {
    hanging: Arc<Hanging>,
    late: Arc<Late>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hanging.late(&self.late);
    }
}

impl Hanging {
    fn all(&self) -> bool {
        self.count.load(Ordering::SeqCst) >= self.threads
    }

    fn late(&self, late: &Late) {
        let mut state = late.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.1 {
            state.0 = true;
            self.tell(self.count.fetch_add(1, Ordering::SeqCst) + 1);
        }
    }

    fn ended(&self, late: &Late) {
        let mut state = late.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 = true;
        if state.0 {
            self.tell(self.count.fetch_sub(1, Ordering::SeqCst) - 1);
        }
    }

    fn tell(&self, hanging: usize) {
        let (name, threads) = (&self.name, self.threads);
        let key = format!("plugin/{name}/hangs");
        if hanging == 0 {
            self.problems.clear(&key);
            return;
        }
        let text = format!(
            "{hanging} of {threads} threads of plugin `{name}` are held by calls that are over their time; in process they \
             cannot be ended: restart the engine, or set `isolation: process`"
        );
        if self.problems.raise(key, text.clone()) {
            tracing::error!(plugin = name, "{text}");
        }
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let name = format!("plugin-{name}").chars().take(15).collect();
    let started = std::thread::Builder::new().name(name).spawn(work);
    started.map(drop).map_err(|error| format!("failed to start a thread for it: {error}"))
}

fn tell(notice: Notice) {
    match notice {
        Notice::Log(level, text) => output::write("in process", level, &output::clean(&text)),
        Notice::Stray(call) => {
            tracing::warn!(
                "a plugin in process answered call {call} when it was over, or never was; dropped"
            );
        }
    }
}
