//! The HTTP API: decode, call a handle, encode. No decision is made here. One file a resource.

pub mod actions;
pub mod alerts;
pub mod events;
pub mod explain;
pub mod freeze;
pub mod intents;
pub mod kernels;
pub mod observability;
pub mod origin;
pub mod page;
pub mod playbooks;
pub mod plugins;
pub mod probes;
pub mod problem;
pub mod replay;
pub mod rules;
pub mod runs;
pub mod starting;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::engine::Engine;
use problem::Problem;

/// Bytes of event bodies that may be in memory at once, in KiB: many small senders or a few large ones.
const BODIES_KIB: usize = 256 << 10;

/// Largest body of any other request.
const SMALL_BODY: usize = 1 << 20;

/// What handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The engine.
    pub engine: Engine,
    /// What is left of the memory for bodies, in KiB.
    pub bodies: Arc<Semaphore>,
}

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without access control it would be open to everybody.
    #[error(
        "failed to serve on {0}: this version has no access control, so it serves on loopback only; \
         use 127.0.0.1 and put a proxy that checks who calls in front of it"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be used.
    #[error("failed to listen on {0}: {1}; is another engine running? `--listen` names another address")]
    Listen(SocketAddr, std::io::Error),
}

/// How long an address that is in use is waited for.
const LET_GO: std::time::Duration = std::time::Duration::from_secs(1);

/// Takes the address that the configuration names.
///
/// # Errors
/// When it is not loopback, or in use.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback(address));
    }
    let until = tokio::time::Instant::now() + LET_GO;
    loop {
        match TcpListener::bind(address).await {
            // A child of an engine that was killed just now holds its sockets until it has become its program.
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse && tokio::time::Instant::now() < until =>
            {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            bound => return bound.map_err(|error| Error::Listen(address, error)),
        }
    }
}

/// Serves until the engine stops.
///
/// # Errors
/// When accepting connections fails for good.
pub async fn serve(engine: Engine, listener: TcpListener) -> std::io::Result<()> {
    let stop = engine.stopping();
    axum::serve(listener, router(engine)).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// All routes.
pub fn router(engine: Engine) -> Router {
    let body = engine.config().limits.body;
    let api = Api { engine, bodies: Arc::new(Semaphore::new(BODIES_KIB)) };
    let events = events::routes().layer(DefaultBodyLimit::max(body));
    Router::new()
        .merge(actions::routes())
        .merge(alerts::routes())
        .merge(explain::routes())
        .merge(freeze::routes())
        .merge(intents::routes())
        .merge(kernels::routes())
        .merge(observability::routes())
        .merge(playbooks::routes())
        .merge(plugins::routes())
        .merge(probes::routes())
        .merge(replay::routes())
        .merge(rules::routes())
        .merge(runs::routes())
        .layer(DefaultBodyLimit::max(SMALL_BODY))
        .merge(events)
        .fallback(async |uri: axum::http::Uri| {
            Problem::not_found(format!("there is nothing at {}; GET / lists what there is", uri.path()))
        })
        .method_not_allowed_fallback(async || Problem::new(405, "this address does not take that method"))
        .layer(axum::middleware::from_fn(origin::check))
        .with_state(api)
}
