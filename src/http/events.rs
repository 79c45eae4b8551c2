//! `/api/events`: events in, in every form; events out, by query and as a stream.

use std::convert::Infallible;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{self, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use serde::Deserialize;

use super::Api;
use super::page::{Paging, Query};
use super::problem::Problem;
use crate::engine::Receipt;
use crate::model::{Event, Pattern, Time};
use crate::sources::cloudevents;
use crate::store::{EventQuery, Page};

/// The source of events that name none.
const SOURCE: &str = "http";

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/events", post(take).get(query)).route("/api/events/stream", get(stream))
}

/// Takes events; 202 once they would survive `kill -9`. All or none.
async fn take(State(api): State<Api>, request: Request) -> Result<(StatusCode, Json<Receipt>), Problem> {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(1 << 20);
    // A part of the memory for bodies, given back when the events are in.
    let kib = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX).min(super::BODIES_KIB as u32);
    let Ok(_space) = api.bodies.try_acquire_many(kib) else {
        return Err(Problem::new(429, "too many bytes of events are on their way in: send again later")
            .retry_after(1));
    };
    let headers = request.headers().clone();
    let body = <Bytes as axum::extract::FromRequest<()>>::from_request(request, &()).await.map_err(
        |error: axum::extract::rejection::BytesRejection| {
            let limit = api.engine.config().limits.body >> 20;
            match error.status().as_u16() {
                413 => Problem::new(413, format!("the body is larger than {limit} MiB: send it in parts")),
                status => Problem::new(status, error.body_text()),
            }
        },
    )?;
    let events = decode(&api, &headers, body).await?;
    let receipt = api.engine.deliver(events).await?;
    Ok((StatusCode::ACCEPTED, Json(receipt)))
}

async fn decode(api: &Api, headers: &axum::http::HeaderMap, body: Bytes) -> Result<Vec<Event>, Problem> {
    let now = api.engine.clock().now();
    let large = body.len() > 256 << 10;
    let headers = headers.clone();
    let work = move || {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let all = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        cloudevents::decode(content_type, all, &body, now, SOURCE, &mut || uuid::Uuid::now_v7().to_string())
    };
    let decoded = if large {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Problem::new(500, "reading the events ended badly; the engine's log says why"))?
    } else {
        work()
    };
    Ok(decoded?)
}

#[derive(Debug, Deserialize)]
struct Filter {
    topic: Option<String>,
    since: Option<Time>,
    until: Option<Time>,
    text: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn query(State(api): State<Api>, Query(filter): Query<Filter>) -> Result<Json<Page<Event>>, Problem> {
    let pattern = pattern(filter.topic.as_deref())?;
    let paging = Paging { limit: filter.limit, cursor: filter.cursor };
    let query = EventQuery {
        pattern,
        since: filter.since,
        until: filter.until,
        arrived_since: None,
        text: filter.text,
        limit: paging.limit(),
        cursor: paging.cursor,
        newest_first: true,
    };
    Ok(Json(api.engine.store().events(query).await?))
}

#[derive(Debug, Deserialize)]
struct Topics {
    topic: Option<String>,
}

async fn stream(
    State(api): State<Api>,
    Query(topics): Query<Topics>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let pattern = match pattern(topics.topic.as_deref())? {
        Some(pattern) => pattern,
        None => Pattern::try_new(">").map_err(|e| Problem::bad_request(e.to_string()))?,
    };
    let stop = api.engine.stopping();
    let tap = api.engine.taps().subscribe(pattern);
    let events =
        futures_util::stream::unfold(tap, async |mut tap| tap.recv().await.map(|event| (event, tap)));
    let events = events.map(|event| {
        let event = sse::Event::default().id(&event.id).event("event").json_data(&*event);
        Ok(event.unwrap_or_else(|_| sse::Event::default().comment("an event could not be written")))
    });
    Ok(Sse::new(events.take_until(stop.cancelled_owned())).keep_alive(sse::KeepAlive::default()))
}

fn pattern(topic: Option<&str>) -> Result<Option<Pattern>, Problem> {
    topic
        .map(Pattern::try_new)
        .transpose()
        .map_err(|error| Problem::bad_request(error.to_string()).at(None, Some("topic".into())))
}
