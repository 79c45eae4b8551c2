//! Accepts connections and serves HTTP/1.1 on them, within bounds that hold against clients that stall, drip or vanish.
//!
//! It decides nothing about requests; `connections` knows each connection and which may be closed. Start with
//! [`Server::run`].

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::platform::Problems;
use crate::platform::metrics::Registry;
use connections::{Connection, Connections};
use socket::Socket;

pub mod connections;
mod socket;

/// Bytes of a request's head, all headers together.
const HEAD: usize = 64 << 10;

/// How often connections are looked through for those that are over their time.
const SWEEP: Duration = Duration::from_secs(1);

/// Key of the problem that an operator sees while connections cannot be accepted.
const PROBLEM: &str = "http/accept";

/// What a client gets that finds every connection busy.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Accepts connections and serves them.
#[derive(Debug)]
pub struct Server {
    connections: Arc<Connections>,
    problems: Problems,
}

impl Server {
    /// A server that may have as many connections as the process's descriptors allow.
    pub fn new(registry: &Registry, problems: Problems) -> Self {
        Self { connections: Arc::new(Connections::new(connections::capacity(), registry)), problems }
    }

    /// Serves `router` until `stop` is cancelled and every connection has ended. No error of accepting ends it.
    pub async fn run(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let tracker = TaskTracker::new();
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = sweep.tick() => {
                    self.connections.sweep();
                    continue;
                }
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.problems.clear(PROBLEM);
                    let Some(connection) = self.connections.admit() else {
                        // Not waited for: what does not fit into the socket's buffer is lost with the connection.
                        drop(stream.try_write(BUSY));
                        continue;
                    };
                    tracker.spawn(serve(stream, connection, router.clone(), stop.clone()));
                }
                Err(error) => self.refused(&error).await,
            }
        }
        drop(listener);
        tracker.close();
        loop {
            tokio::select! {
                () = tracker.wait() => return,
                _ = sweep.tick() => self.connections.sweep(),
            }
        }
    }

    /// An `accept` that failed: one that concerns a single connection is forgotten; one for want of descriptors or
    /// memory makes room and waits a little.
    async fn refused(&self, error: &io::Error) {
        use io::ErrorKind as Kind;
        if matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted) {
            return;
        }
        let evicted = self.connections.evict();
        let text = format!(
            "failed to accept a connection: {error}; raise the limit of open files (`ulimit -n`) or close what holds them"
        );
        if self.problems.raise(PROBLEM, text.as_str()) {
            tracing::error!("{text}");
        }
        tokio::time::sleep(Duration::from_millis(if evicted { 10 } else { 100 })).await;
    }
}

/// Serves one connection to its end, or until it has to make room.
async fn serve(stream: TcpStream, connection: Connection, router: Router, stop: CancellationToken) {
    // An answer is one write: nothing is gained by waiting for more to send along.
    drop(stream.set_nodelay(true));
    let state = Arc::clone(&connection.state);
    let service = Tracked { router: TowerToHyperService::new(router), state: Arc::clone(&state) };
    let io = TokioIo::new(Socket::new(stream, Arc::clone(&state)));
    let mut builder = http1::Builder::new();
    builder.max_header_size(HEAD).header_read_timeout(None);
    let mut serving = pin!(builder.serve_connection(io, service));
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut serving => {
                if let Err(error) = ended {
                    tracing::debug!("a connection ended early: {error}");
                }
                return;
            }
            () = state.closed() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The router, with the connection told when a request begins and when its answer has been handed over.
struct Tracked {
    router: TowerToHyperService<Router>,
    state: Arc<connections::State>,
}

impl Service<Request<Incoming>> for Tracked {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let busy = connections::Busy::begin(&self.state);
        request.extensions_mut().insert(Arc::clone(&self.state));
        let answer = self.router.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Answer { body, _busy: busy }))
        })
    }
}

/// The body of an answer. While it lives, its connection is busy.
struct Answer {
    body: Body,
    _busy: connections::Busy,
}

impl HttpBody for Answer {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
