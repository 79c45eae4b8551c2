//! `/api/events`: events in, in every form; events out, by query and as a stream.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{self, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::body::{Received, Share};
use super::page::{Paging, Query};
use super::problem::Problem;
use crate::bus::Seen;
use crate::engine::Receipt;
use crate::model::{Event, Pattern, Time};
use crate::sources::cloudevents;
use crate::store::{EventQuery, Page};

/// The source of events that name none.
const SOURCE: &str = "http";

/// Bodies from this size on are decoded on a thread of their own.
const LARGE: usize = 256 << 10;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/events", post(take).get(query)).route("/api/events/stream", get(stream))
}

/// Takes events; 202 once they would survive `kill -9`. All or none.
async fn take(State(api): State<Api>, request: Request) -> Result<(StatusCode, Json<Receipt>), Problem> {
    let (headers, received) = api.bodies.read_events(request).await?;
    let (events, share) = decode(&api, headers, received).await?;
    let receipt = api.engine.deliver(events).await?;
    // What the events take is counted until they are in.
    drop(share);
    Ok((StatusCode::ACCEPTED, Json(receipt)))
}

async fn decode(api: &Api, headers: HeaderMap, received: Received) -> Result<(Vec<Event>, Share), Problem> {
    let now = api.engine.clock().now();
    let large = received.bytes.len() > LARGE;
    let work = move || {
        let Received { bytes, share } = received;
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let all = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut fresh_id = || uuid::Uuid::now_v7().to_string();
        let events = cloudevents::decode(content_type, all, &bytes, now, SOURCE, &mut fresh_id)?;
        Ok((events, share))
    };
    if !large {
        return work();
    }
    // The turn and the share go with the work: they are given back when it ends, whether or not anybody waits for it.
    let turn = api.bodies.turn().await;
    let decoded = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    decoded.await.map_err(|_| Problem::new(500, "failed to decode the events; see the engine log"))?
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
struct Topics {
    topic: Option<String>,
}

/// Events as they become durable. A reader that is too slow gets `gap`, with how many are missing there.
async fn stream(
    State(api): State<Api>,
    Query(topics): Query<Topics>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let pattern = match pattern(topics.topic.as_deref())? {
        Some(pattern) => pattern,
        None => Pattern::try_new(">").map_err(|e| Problem::bad_request(e.to_string()))?,
    };
    let Ok(place) = Arc::clone(&api.streams).try_acquire_owned() else {
        let text = format!("{} event streams are open, which is the limit: close one first", super::STREAMS);
        return Err(Problem::new(503, text).retry_after(10));
    };
    let stop = api.engine.stopping();
    let tap = api.engine.taps().subscribe(pattern);
    let events = futures_util::stream::unfold((tap, place), async |(mut tap, place)| {
        tap.recv().await.map(|seen| (seen, (tap, place)))
    });
    let events = events.map(|seen| {
        let event = match seen {
            Seen::Event(event) => sse::Event::default().id(&event.id).event("event").json_data(&*event),
            Seen::Gap(lost) => sse::Event::default().event("gap").json_data(json!({ "lost": lost })),
        };
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
