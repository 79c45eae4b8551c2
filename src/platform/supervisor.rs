//! Nothing that serves may end in silence: every long-running task and thread is started as a [`Part`], and one that ends
//! before its time ends the process, as a crash is recovered from and a zombie is not.
//!
//! Start with [`Part::new`]. Only a process that says so ([`exit_when_a_part_ends`]) is ended, with exit code
//! [`EXIT_CODE`]; elsewhere, as in tests, the end is logged. Work that ends soon and that nobody misses, or whose panic
//! somebody else handles, is no part; `tests/tidy.rs` lists where such work is started.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::log;

/// The exit code of a process one of whose parts ended (`EX_SOFTWARE` of sysexits.h).
pub const EXIT_CODE: i32 = 70;

/// How long the log may take to be written before the process exits.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long others that end with it have to say so.
const CASCADE: Duration = Duration::from_millis(200);

/// How often a failpoint is asked whether its part is to end.
const STRIKE: Duration = Duration::from_millis(20);

/// Whether the process ends with the first part that does.
static EXITS: AtomicBool = AtomicBool::new(false);

/// From here on the process exits when a part ends before its time.
pub fn exit_when_a_part_ends() {
    EXITS.store(true, Ordering::SeqCst);
}

/// From here on it does not any more: the process is about to end by itself.
pub fn stand_down() {
    EXITS.store(false, Ordering::SeqCst);
}

/// A long-running part, about to be started.
#[derive(Debug)]
#[must_use = "it has to be started"]
pub struct Part {
    name: Cow<'static, str>,
    stop: Option<CancellationToken>,
}

impl Part {
    /// A part that ends by itself when its work is done; only a panic ends it before its time.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), stop: None }
    }

    /// The same of one that has to serve until `stop`.
    pub fn until(self, stop: &CancellationToken) -> Self {
        Self { stop: Some(stop.clone()), ..self }
    }

    /// Starts it as a task.
    pub fn spawn(self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(self.watch(work))
    }

    /// Starts it as a task that `tracker` waits for.
    pub fn spawn_on(self, tracker: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
        tracker.spawn(self.watch(work));
    }

    /// Starts it as a thread of its name, with `stack` bytes of stack if that is given.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn thread(
        self,
        stack: Option<usize>,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let mut thread = std::thread::Builder::new().name(self.name.clone().into_owned());
        if let Some(stack) = stack {
            thread = thread.stack_size(stack);
        }
        thread.spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            self.over(done);
        })
    }

    async fn watch(self, work: impl Future<Output = ()>) {
        let work = AssertUnwindSafe(work).catch_unwind();
        let done = if is_marked(&self.name) {
            let struck = AssertUnwindSafe(strike(&self.name)).catch_unwind();
            tokio::select! { done = work => done, done = struck => done }
        } else {
            work.await
        };
        self.over(done);
    }

    fn over(self, done: Result<(), Box<dyn Any + Send>>) {
        let in_time = self.stop.as_ref().is_none_or(CancellationToken::is_cancelled);
        let why = match &done {
            Ok(()) if in_time => return,
            Ok(()) => "it returned before the engine was told to stop",
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().copied();
                text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked")
            }
        };
        let name = &self.name;
        if !EXITS.load(Ordering::SeqCst) {
            return tracing::error!("{name} ended unexpectedly: {why}");
        }
        tracing::error!("{name} ended unexpectedly: {why}; exiting so that the engine can be restarted");
        // One that ends makes others end: the log shall name the first as well, whose thread may still be unwinding.
        std::thread::park_timeout(CASCADE);
        log::flush(LAST_WORDS);
        std::process::exit(EXIT_CODE);
    }
}

/// Lets a test end the thread `name`: called by a part whose loop is not a future. A panic there, or true for an end.
pub fn is_struck(name: &str) -> bool {
    fail::fail_point!(&format!("part::{name}"), |_| true);
    let _ = name;
    false
}

/// Whether a test wants this part to end.
fn is_marked(name: &str) -> bool {
    fail::has_failpoints() && fail::list().iter().any(|(point, _)| point.strip_prefix("part::") == Some(name))
}

async fn strike(name: &str) {
    while !is_struck(name) {
        tokio::time::sleep(STRIKE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_may_end_when_it_is_done_or_was_told_to() {
        let stop = CancellationToken::new();
        let served = stop.clone();
        let part = Part::new("one").until(&stop).spawn(async move { served.cancelled().await });
        stop.cancel();
        part.await.unwrap();
        Part::new("two").spawn(async {}).await.unwrap();
        // Not in a process that exits for it: then this test would.
        Part::new("three").spawn(async { panic!("told so") }).await.unwrap();
        Part::new("four").thread(Some(1 << 20), || panic!("told so")).unwrap().join().unwrap();
    }
}
