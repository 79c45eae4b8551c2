//! The HTTP API: decode, call a handle, encode. No decision is made here. One file a resource.

pub mod actions;
pub mod alerts;
pub mod body;
pub mod events;
pub mod explain;
pub mod freeze;
pub mod host;
pub mod intents;
pub mod kernels;
pub mod observability;
pub mod origin;
pub mod page;
pub mod playbooks;
pub mod plugins;
pub mod probes;
pub mod problem;
pub mod query;
pub mod replay;
pub mod rules;
pub mod runs;
pub mod server;
pub mod starting;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::store::client::for_client;
use problem::Problem;

/// Event streams at a time: each may have two megabytes waiting for a reader that is slow.
const STREAMS: usize = 64;

/// What handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The engine.
    pub engine: Engine,
    /// What is left of the memory for bodies.
    pub bodies: Arc<body::Budget>,
    /// Room for event streams.
    pub streams: Arc<Semaphore>,
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

/// Serves until the engine stops and every connection has ended.
pub async fn serve(engine: Engine, listener: TcpListener) {
    let stop = engine.stopping();
    let server = server::Server::new(engine.registry(), engine.problem_list().clone());
    server.run(listener, router(engine), stop).await;
}

/// All routes.
pub fn router(engine: Engine) -> Router {
    let bodies = Arc::new(body::Budget::new(engine.config().limits.body));
    let hosts = Arc::new(host::Hosts::new(&engine.config().hosts));
    let api = Api { engine, bodies, streams: Arc::new(Semaphore::new(STREAMS)) };
    Router::new()
        .merge(actions::routes())
        .merge(alerts::routes())
        .merge(events::routes())
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
        .fallback(async |uri: axum::http::Uri| {
            Problem::not_found(format!("there is nothing at {}; GET / lists what there is", uri.path()))
        })
        .method_not_allowed_fallback(async || Problem::new(405, "this address does not take that method"))
        .layer(axum::middleware::from_fn(move |request, next| check(Arc::clone(&hosts), request, next)))
        .with_state(api)
}

/// What holds for every request: it is meant for this address, comes from no other site's page, and asks nothing that
/// is not known.
async fn check(hosts: Arc<host::Hosts>, request: Request, next: Next) -> Response {
    let fine =
        hosts.check(&request).and_then(|()| origin::check(&request)).and_then(|()| query::check(&request));
    if let Err(problem) = fine {
        return problem.into_response();
    }
    // What changes something reads on the engine's side: a crowd of readers does not keep an approval waiting.
    let asks = matches!(*request.method(), Method::GET | Method::HEAD)
        || matches!(request.uri().path(), "/api/explain" | "/api/replay");
    if asks { for_client(next.run(request)).await } else { next.run(request).await }
}
