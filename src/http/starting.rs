//! The address while the engine starts: alive, not ready, and saying what it is doing.
//!
//! A start reads back what earlier lives left, which may take seconds. Whoever looks after the process must see it alive
//! meanwhile, and whoever sends must see that it has to wait. Start with [`Starting::serve`].

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::platform::Part;

/// Connections answered at a time; the others wait in the listener.
const CONNECTIONS: usize = 64;
/// How long one may take, from its first byte to its end.
const PATIENCE: Duration = Duration::from_secs(2);
/// As much of a request as is looked at.
const HEAD: usize = 4 << 10;

/// What the engine is doing; cheap to clone.
#[derive(Clone, Debug)]
pub struct Starting {
    doing: Arc<Mutex<&'static str>>,
    over: CancellationToken,
}

impl Starting {
    /// Answers on `listener` until [`Starting::over`], and gives the listener back for what comes then.
    ///
    /// # Errors
    /// When the system gives no second handle on it.
    pub fn serve(listener: TcpListener) -> io::Result<(Self, TcpListener)> {
        let listener = listener.into_std()?;
        let later = TcpListener::from_std(listener.try_clone()?)?;
        let now = TcpListener::from_std(listener)?;
        let starting = Self { doing: Arc::new(Mutex::new("starting")), over: CancellationToken::new() };
        let serving = starting.clone();
        drop(Part::new("http-start").until(&starting.over).spawn(async move {
            let over = serving.over.clone();
            over.run_until_cancelled(serving.accept(now)).await;
        }));
        Ok((starting, later))
    }

    /// What it is doing from here on, such as "reading back the events".
    pub fn doing(&self, what: &'static str) {
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The engine has started, or does not.
    pub fn over(&self) {
        self.over.cancel();
    }

    async fn accept(&self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(turn) = room.clone().acquire_owned().await else { return };
            let Ok((connection, _)) = listener.accept().await else {
                // No descriptor is free, or the client has gone: a moment, not a loop at full speed.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let starting = self.clone();
            // Ends with its patience.
            tokio::spawn(async move {
                // What a client makes of it is its own affair.
                drop(timeout(PATIENCE, starting.answer(connection)).await);
                drop(turn);
            });
        }
    }

    async fn answer(&self, mut connection: TcpStream) -> io::Result<()> {
        let mut head = Vec::with_capacity(HEAD);
        while head.len() < HEAD && !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if connection.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let alive = head.starts_with(b"GET /healthz ");
        let (status, kind, body) = if alive {
            ("200 OK", "application/json", json!({ "status": "ok" }))
        } else {
            let doing = *self.doing.lock().unwrap_or_else(PoisonError::into_inner);
            let body = json!({
                "type": "about:blank", "title": "Service Unavailable", "status": 503,
                "detail": format!("the engine is starting: {doing}"),
            });
            ("503 Service Unavailable", "application/problem+json", body)
        };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(answer.as_bytes()).await?;
        connection.shutdown().await?;
        // A body that is still on its way would otherwise make the system throw the answer away.
        let mut rest = [0; HEAD];
        while connection.read(&mut rest).await? > 0 {}
        Ok(())
    }
}
