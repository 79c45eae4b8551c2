//! The answer to a commit: a future that resolves when the writes are durable, or are known not to be.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::Error;

/// Resolves when the writes are durable. Dropping it does not take them back.
#[derive(Debug)]
#[must_use = "only the resolved answer says that the writes are durable"]
pub struct Commit(oneshot::Receiver<Result<(), Error>>);

/// Called once with the answer, before anybody else learns it and in the order of the commits, whether or not the
/// [`Commit`] is still awaited. It runs on the backend's thread, or within the call that hands the writes in: it must be
/// quick and must take no lock that is held while writes are handed in.
pub type OnSettled = Box<dyn FnOnce(&Result<(), Error>) + Send>;

/// The backend's end of a [`Commit`]. Dropped without an answer it says [`Error::Stopped`].
pub struct Committer {
    answer: Option<oneshot::Sender<Result<(), Error>>>,
    on_settled: Option<OnSettled>,
}

impl Commit {
    /// A pair that belongs together.
    pub fn pair() -> (Committer, Self) {
        Self::watched(None)
    }

    /// The same, with a callback that gets the answer first.
    pub fn watched(on_settled: Option<OnSettled>) -> (Committer, Self) {
        let (send, receive) = oneshot::channel();
        (Committer { answer: Some(send), on_settled }, Self(receive))
    }

    /// One that was refused at once.
    pub fn refused(error: Error) -> Self {
        let (committer, commit) = Self::pair();
        committer.settle(Err(error));
        commit
    }
}

impl Committer {
    /// Gives the answer.
    pub fn settle(mut self, answer: Result<(), Error>) {
        self.give(answer);
    }

    fn give(&mut self, answer: Result<(), Error>) {
        if let Some(on_settled) = self.on_settled.take() {
            on_settled(&answer);
        }
        if let Some(send) = self.answer.take() {
            // Nobody may be waiting for it any more, which is fine.
            drop(send.send(answer));
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.give(Err(Error::Stopped));
        }
    }
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

impl Future for Commit {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Error::Stopped)))
    }
}
