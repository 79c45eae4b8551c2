//! Whether a read is for a client of the engine or for the engine itself: each has its own connections and threads, so
//! that clients who ask for much never keep the engine waiting. Start with [`for_client`].

use std::future::Future;

tokio::task_local! {
    static CLIENT: ();
}

/// Reads that `work` makes use the connections for clients: they wait only so long for one, and end with `work`.
pub async fn for_client<F: Future>(work: F) -> F::Output {
    CLIENT.scope((), work).await
}

/// Whether this runs within [`for_client`].
pub fn is_client() -> bool {
    CLIENT.try_with(|()| ()).is_ok()
}
