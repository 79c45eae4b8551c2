//! Reads the bodies of requests within bounds: what is too long is refused before it is read, memory is charged as bytes
//! arrive and not as they are announced, and whoever stalls or drips is told so and dropped.
//!
//! The first part of each body has a budget of its own, which is as large as all connections together need: however
//! many large bodies are on their way, a small one always has room. Start with [`Budget::read`].

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body as Stream;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Api;
use super::problem::Problem;
use super::server::connections::Receiving;

/// Largest body of a request that is not events.
const SMALL: usize = 1 << 20;

/// The part of each body that every connection has room for.
const FIRST: usize = 128 << 10;
/// Room for the first parts, in KiB: that of as many connections as there may be.
const FIRSTS_KIB: usize = 128 << 10;
/// Room for what is longer, in KiB; more only where one body may be longer.
const REST_KIB: usize = 128 << 10;

/// Large bodies that are decoded at a time: as values, events take several times their bytes.
const DECODERS: usize = 4;

/// How long a client may send nothing.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a client may take whatever its rate.
const GRACE: Duration = Duration::from_secs(10);
/// The least rate after that, in bytes per second.
const RATE: u64 = 64 << 10;
/// How long one body may take in all.
const DEADLINE: Duration = Duration::from_secs(300);

/// The memory for bodies.
#[derive(Debug)]
pub struct Budget {
    firsts: Arc<Semaphore>,
    rest: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    /// Longest body of events.
    events: usize,
}

/// A body, with its share of the memory.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: Bytes,
    /// The share; kept until what was made of the bytes has been handed on.
    pub share: Share,
}

/// A share of the memory for bodies, given back when dropped.
#[derive(Debug, Default)]
pub struct Share(Vec<OwnedSemaphorePermit>);

impl Budget {
    /// Room for bodies of up to `events` bytes, several at a time.
    pub fn new(events: usize) -> Self {
        let rest = REST_KIB.max(events.div_ceil(1024));
        Self {
            firsts: Arc::new(Semaphore::new(FIRSTS_KIB)),
            rest: Arc::new(Semaphore::new(rest)),
            decoders: Arc::new(Semaphore::new(DECODERS)),
            events: events.max(1),
        }
    }

    /// Reads the body of a request that brings events.
    ///
    /// # Errors
    /// As [`Budget::read`].
    pub async fn read_events(&self, request: Request) -> Result<(HeaderMap, Received), Problem> {
        self.read(request, self.events).await
    }

    /// Reads the whole body of `request`, at most `most` bytes.
    ///
    /// # Errors
    /// 413 for a longer one, 415 for one that is compressed, 408 for a client that is too slow, 429 where the memory for
    /// bodies is in use.
    pub async fn read(&self, request: Request, most: usize) -> Result<(HeaderMap, Received), Problem> {
        let (parts, body) = request.into_parts();
        let announced = announced(&parts.headers);
        if announced.is_some_and(|length| length > most as u64) {
            return Err(too_long(most));
        }
        plain(&parts.headers)?;
        let _receiving = Receiving::begin(&parts.extensions);
        let received = self.collect(body, announced, most).await?;
        Ok((parts.headers, received))
    }

    /// A turn to decode a large body; none only at the very end of the process.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.decoders).acquire_owned().await.ok()
    }

    async fn collect(&self, body: Stream, announced: Option<u64>, most: usize) -> Result<Received, Problem> {
        let began = Instant::now();
        let mut stream = body.into_data_stream();
        let (mut bytes, mut share) = (Vec::new(), Share::default());
        loop {
            let rate = GRACE + Duration::from_secs(bytes.len() as u64 / RATE);
            let until = (Instant::now() + SILENCE).min(began + rate.min(DEADLINE));
            let chunk = match timeout_at(until, stream.next()).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(error))) => {
                    return Err(Problem::bad_request(format!("the body was cut short: {error}")));
                }
                Ok(None) => break,
                Err(_) => return Err(too_slow(bytes.len(), began.elapsed())),
            };
            if bytes.len() + chunk.len() > most {
                return Err(too_long(most));
            }
            self.grow(&mut bytes, chunk.len(), announced, &mut share)?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(Received { bytes: bytes.into(), share })
    }

    /// Makes room for `more` bytes and charges what the allocation grows by: a fraction of what is there already, so
    /// that the bytes of a long body are not copied too often, and never past what was announced.
    fn grow(
        &self,
        bytes: &mut Vec<u8>,
        more: usize,
        announced: Option<u64>,
        share: &mut Share,
    ) -> Result<(), Problem> {
        let need = bytes.len() + more;
        if need <= bytes.capacity() {
            return Ok(());
        }
        let announced = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        let wanted = (bytes.capacity() + bytes.capacity() / 4).max(need).min(announced.max(need));
        let kib = |bytes: usize| bytes.div_ceil(1024);
        for (pool, from, to) in [
            (&self.firsts, kib(bytes.capacity().min(FIRST)), kib(wanted.min(FIRST))),
            (&self.rest, kib(bytes.capacity().saturating_sub(FIRST)), kib(wanted.saturating_sub(FIRST))),
        ] {
            let Some(charge @ 1..) = u32::try_from(to.saturating_sub(from)).ok() else { continue };
            let permit = Arc::clone(pool).try_acquire_many_owned(charge).map_err(|_| {
                Problem::new(
                    429,
                    "the memory for request bodies is in use: send again later, or in smaller parts",
                )
                .retry_after(1)
            })?;
            share.0.push(permit);
        }
        bytes.reserve_exact(wanted - bytes.len());
        Ok(())
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Nothing here unpacks, so that a few bytes can never become many.
fn plain(headers: &HeaderMap) -> Result<(), Problem> {
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let coding = value.to_str().unwrap_or("?").trim();
        if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
            let text =
                format!("a body with `Content-Encoding: {coding}` is not supported: send it uncompressed");
            return Err(Problem::new(415, text).only_uncompressed());
        }
    }
    Ok(())
}

fn too_long(most: usize) -> Problem {
    let most = if most < 1 << 20 { format!("{most} bytes") } else { format!("{} MiB", most >> 20) };
    Problem::new(413, format!("the body is larger than {most}: send it in parts"))
}

fn too_slow(bytes: usize, after: Duration) -> Problem {
    let after = after.as_secs();
    Problem::new(
        408,
        format!("only {bytes} bytes of the body came in {after} s: send it at {} KiB/s or more", RATE >> 10),
    )
}

/// A JSON body of at most `MOST` bytes; what is wrong with one is told as a [`Problem`].
#[derive(Debug)]
pub struct Body<T, const MOST: usize = SMALL>(pub T);

impl<T: DeserializeOwned, const MOST: usize> FromRequest<Api> for Body<T, MOST> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (headers, received) = api.bodies.read(request, MOST).await?;
        // What axum says about a wrong content type or wrong JSON is clear enough.
        let mut whole = Request::new(Stream::from(received.bytes));
        *whole.headers_mut() = headers;
        let Json(value) = Json::from_request(whole, &()).await?;
        Ok(Self(value))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn request(headers: &[(&str, &str)], body: Stream) -> Request {
        let mut request = Request::new(body);
        for (name, value) in headers {
            let name = name.parse::<header::HeaderName>().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    }

    /// A client that sends `chunk` each `every`, for ever.
    fn dripping(chunk: usize, every: Duration) -> Stream {
        let chunks = stream::unfold((), move |()| async move {
            tokio::time::sleep(every).await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; chunk])), ()))
        });
        Stream::from_stream(chunks)
    }

    async fn status(budget: &Budget, request: Request) -> u16 {
        match budget.read_events(request).await {
            Ok(_) => 200,
            Err(problem) => problem.status(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_long_is_refused_before_a_byte_is_read() {
        let budget = Budget::new(64 << 20);
        for length in ["67108865", "999000000000"] {
            // This body never yields anything: whoever read it would wait.
            let request = request(
                &[("content-length", length)],
                Stream::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()),
            );
            let began = Instant::now();
            assert_eq!(status(&budget, request).await, 413);
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_announces_much_and_stalls_takes_no_room_and_is_told() {
        let budget = Arc::new(Budget::new(64 << 20));
        let stalled: Vec<_> = (0..100)
            .map(|_| {
                let budget = Arc::clone(&budget);
                let body = Stream::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
                let stalled = request(&[("content-length", "67108864")], body);
                tokio::spawn(async move { status(&budget, stalled).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            status(&budget, request(&[], Stream::from(vec![b'x'; 1 << 20]))).await,
            200,
            "others go on"
        );
        for one in stalled {
            assert_eq!(one.await.unwrap(), 408);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_is_told_and_one_at_a_fair_rate_is_not() {
        let budget = Budget::new(1 << 20);
        let began = Instant::now();
        assert_eq!(status(&budget, request(&[], dripping(1, Duration::from_secs(5)))).await, 408);
        assert!(began.elapsed() <= GRACE + Duration::from_secs(1), "{:?}", began.elapsed());
        // 128 KiB/s come to the limit of this budget after eight seconds.
        assert_eq!(status(&budget, request(&[], dripping(128 << 10, Duration::from_secs(1)))).await, 413);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_charged_as_bytes_come_and_small_bodies_always_have_room() {
        let budget = Arc::new(Budget::new(64 << 20));
        // Sixty MiB come at once from each, and then nothing more.
        let large: Vec<_> = (0..30)
            .map(|_| {
                let budget = Arc::clone(&budget);
                let first =
                    stream::once(async { Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 60 << 20])) });
                let large = request(&[], Stream::from_stream(first.chain(stream::pending())));
                tokio::spawn(async move { status(&budget, large).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let refused = large.iter().filter(|one| one.is_finished()).count();
        assert!((28..30).contains(&refused), "{refused} of 30 found no room in 128 MiB");
        assert_eq!(status(&budget, request(&[], Stream::from(vec![b'x'; FIRST]))).await, 200);
        for one in large {
            assert!(matches!(one.await.unwrap(), 408 | 429));
        }
        assert_eq!(
            (budget.rest.available_permits(), budget.firsts.available_permits()),
            (REST_KIB, FIRSTS_KIB),
            "all of it came back"
        );
    }

    #[tokio::test]
    async fn a_compressed_body_is_refused_and_never_unpacked() {
        let budget = Budget::new(1 << 20);
        for (coding, expected) in [("gzip", 415), ("gzip, br", 415), ("identity", 200)] {
            let request = request(&[("content-encoding", coding)], Stream::from("{}"));
            assert_eq!(status(&budget, request).await, expected, "{coding}");
        }
    }
}
