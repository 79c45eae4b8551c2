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

/// The backend's end of a [`Commit`]. Dropped without an answer it says [`Error::Stopped`].
#[derive(Debug)]
pub struct Committer(oneshot::Sender<Result<(), Error>>);

impl Commit {
    /// A pair that belongs together.
    pub fn pair() -> (Committer, Self) {
        let (send, receive) = oneshot::channel();
        (Committer(send), Self(receive))
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
    pub fn settle(self, answer: Result<(), Error>) {
        // Nobody may be waiting for it any more, which is fine.
        drop(self.0.send(answer));
    }
}

impl Future for Commit {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Error::Stopped)))
    }
}
