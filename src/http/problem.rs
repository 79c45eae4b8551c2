//! Errors as RFC 9457 `application/problem+json`: what is wrong and what to do, never a secret.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::alerts::ChangeError;
use crate::engine::{DeliverError, answer, retry};
use crate::intents::board;
use crate::model::Failure;
use crate::observability::alerts;
use crate::sources::cloudevents::{DecodeError, Kind, Place};
use crate::tasks::ask::Refused;

/// An error as it is sent.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind it is (RFC 9457 §4.2.1).
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// Which element of a batch, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// Which field.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip)]
    retry_after: Option<u32>,
    /// Whether to say that a body is taken only as it is.
    #[serde(skip)]
    uncompressed: bool,
}

impl Problem {
    /// A problem with this status; `detail` says what is wrong and what to do.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let title = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Problem");
        let detail = detail.into();
        Self {
            r#type: "about:blank",
            title,
            status,
            detail,
            index: None,
            field: None,
            retry_after: None,
            uncompressed: false,
        }
    }

    /// 400
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, detail)
    }

    /// 404
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, detail)
    }

    /// The same for one element of a batch.
    #[must_use]
    pub fn at(mut self, index: Option<usize>, field: Option<String>) -> Self {
        self.index = index;
        self.field = field;
        self
    }

    /// The same, saying that a body is taken only without compression (RFC 9110 section 12.5.3).
    #[must_use]
    pub fn only_uncompressed(mut self) -> Self {
        self.uncompressed = true;
        self
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The same with a time in seconds after which to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (retry_after, uncompressed) = (self.retry_after, self.uncompressed);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if uncompressed {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        response
    }
}

impl From<DeliverError> for Problem {
    fn from(error: DeliverError) -> Self {
        let status = match &error {
            DeliverError::Full(_) => 429,
            DeliverError::Store(_) | DeliverError::Stopping => 503,
        };
        Self::new(status, error.to_string()).retry_after(1)
    }
}

impl From<crate::store::Error> for Problem {
    fn from(error: crate::store::Error) -> Self {
        if let crate::store::Error::Invalid(why) = error {
            return Self::bad_request(why);
        }
        Self::new(503, format!("the store did not answer: {error}")).retry_after(1)
    }
}

impl From<answer::Error> for Problem {
    fn from(error: answer::Error) -> Self {
        match error {
            answer::Error::Unknown(_) => Self::not_found(error.to_string()),
            answer::Error::Refused(Refused::NotAsked | Refused::Approval(_) | Refused::Over { .. }) => {
                Self::new(409, error.to_string())
            }
            answer::Error::Refused(Refused::NoChoice { .. }) => {
                Self::bad_request(error.to_string()).at(None, Some("answer".into()))
            }
            answer::Error::Store(error) => error.into(),
            answer::Error::Deliver(error) => error.into(),
        }
    }
}

impl From<board::Error> for Problem {
    fn from(error: board::Error) -> Self {
        match error {
            board::Error::Unknown(_) => Self::not_found(error.to_string()),
            board::Error::Illegal(why) => Self::new(409, format!("cannot {why}")),
            board::Error::Full(_) => Self::new(429, error.to_string()).retry_after(1),
            board::Error::Store(error) => error.into(),
        }
    }
}

impl From<retry::Error> for Problem {
    fn from(error: retry::Error) -> Self {
        match error {
            retry::Error::Unknown(_) => Self::not_found(error.to_string()),
            retry::Error::Open { .. } | retry::Error::Another(_) | retry::Error::Never { .. } => {
                Self::new(409, error.to_string())
            }
            retry::Error::Board(error) => error.into(),
            retry::Error::Store(error) => error.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Alert(error @ alerts::Error::Unknown(_)) => Self::not_found(error.to_string()),
            ChangeError::Alert(error @ alerts::Error::Resolved(_)) => Self::new(409, error.to_string()),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        let status = match error.kind {
            Kind::UnsupportedMediaType => 415,
            Kind::BadRequest => 400,
            Kind::TooLarge => 413,
        };
        let index = error.place.map(|place| match place {
            Place::Item(index) => index,
            Place::Line(line) => line.saturating_sub(1),
        });
        Self::new(status, error.message).at(index, error.field)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind.as_str() {
            "invalid" => 400,
            "refused" => 409,
            "timeout" => 504,
            "cancelled" => 503,
            _ => 502,
        };
        Self::new(status, failure.message)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status().as_u16(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}
