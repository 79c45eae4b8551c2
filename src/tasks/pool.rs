//! The few threads on which playbooks compute between two waits; never a thread a run.

use std::num::NonZero;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::platform::{Part, supervisor};
use crate::playbook;

/// Threads that carry out bursts. A runaway script holds one for as long as its limits allow, so there are some to
/// spare.
const LEAST_THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads with a stack that any script fits on.
pub struct Pool(Option<mpsc::SyncSender<Job>>);

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start() -> std::io::Result<Self> {
        let threads =
            std::thread::available_parallelism().map_or(LEAST_THREADS, NonZero::get).max(LEAST_THREADS);
        // As many wait as intents may act at once, give or take; more would wait in the queue of intents.
        let (send, receive) = mpsc::sync_channel::<Job>(1_024);
        let receive = Arc::new(Mutex::new(receive));
        for number in 0..threads {
            let receive = receive.clone();
            Part::new(format!("playbook-{number}")).thread(Some(playbook::STACK), move || {
                loop {
                    let job = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    supervisor::is_struck("playbook-pool");
                    job();
                }
            })?;
        }
        Ok(Self(Some(send)))
    }

    /// No threads: whoever hands in work computes it, on a thread that must have [`playbook::STACK`] of stack.
    pub fn in_place() -> Self {
        Self(None)
    }

    /// Carries out `work` on one of the threads; `None` if it panicked, which takes its thread's work and no more.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let Some(threads) = &self.0 else {
            return std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok();
        };
        let (send, receive) = oneshot::channel();
        let job: Job = Box::new(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // Whoever waited may have gone away meanwhile.
            drop(send.send(result.ok()));
        });
        if let Err(mpsc::TrySendError::Full(job) | mpsc::TrySendError::Disconnected(job)) =
            threads.try_send(job)
        {
            drop(job);
            return None;
        }
        receive.await.ok().flatten()
    }
}
