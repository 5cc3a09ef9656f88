//! A reading as an answer: body, validator, age, and what caches may do with it.

use std::time::Duration;

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AGE, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use headers::{Age, CacheControl, ETag, HeaderMapExt as _, IfNoneMatch, Vary};
use highwater_core::{
    Code, Token,
    consistency::{Basis, Level, Reading},
    value::{Freshness, FreshnessStatus},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{freshness, problem::Problem, token};

/// A reading as an answer: the value as JSON, with how fresh it is.
///
/// | Header | |
/// |---|---|
/// | `Highwater-Token` | what whoever sees this has seen: for its next request |
/// | `Highwater-Freshness` | status, position, lag and basis ([`FRESHNESS`](super::FRESHNESS)) |
/// | `Age` | for how many seconds it may be out of date, rounded up, if it isn't current: the view is a cache of the log, and caches further on add what they take. Not of a parked key, of which that isn't known |
/// | `ETag`, weak | of the body. With `If-None-Match` the answer is 304, with all these headers and without the body |
/// | `Cache-Control` | `private, no-cache` unless [`ViewResponse::caching`] says otherwise |
/// | `Vary` | `Highwater-Token`: what was good enough for one token isn't for another |
///
/// An answer that is less than was asked for (stale, degraded, optimistic) has no validator and is
/// `no-store`, whatever is said: it is never 304, and no cache keeps it.
#[derive(Debug, Clone)]
pub struct ViewResponse<T> {
    value: T,
    freshness: Freshness,
    basis: Basis,
    level: Level,
    token: Token,
    kept: Option<IfNoneMatch>,
    caching: CacheControl,
}

impl<T> ViewResponse<T> {
    pub(super) fn new(reading: Reading<T>, seen: &Token, kept: Option<IfNoneMatch>) -> Self {
        let (freshness, basis, level) = (reading.freshness(), reading.basis(), reading.level());
        let is_behind = token::is_beyond(seen, &freshness);
        let basis = if basis == Basis::View && is_behind { Basis::Stale } else { basis };
        let caching = CacheControl::new().with_private().with_no_cache();
        let token = token::after(seen, &freshness.token());
        Self { value: reading.into_value(), freshness, basis, level, token, kept, caching }
    }

    /// What caches may do with it, in place of asking back every time. `max-age` counts from where the
    /// answer is as of, not from when it is sent, since `Age` says how old it is by then.
    ///
    /// An answer that is less than was asked for is `no-store` all the same.
    #[must_use]
    pub fn caching(mut self, caching: CacheControl) -> Self {
        self.caching = caching;
        self
    }

    /// The value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Whether it is all that was asked for, so that it may be kept.
    fn is_whole(&self) -> bool {
        let is_degraded = matches!(self.freshness.status(), FreshnessStatus::Degraded(_));
        matches!(self.basis, Basis::View | Basis::Folded) && !is_degraded
    }

    /// What is said of the answer besides itself.
    fn write(&self, headers: &mut HeaderMap) {
        token::write(&self.token, headers);
        freshness::write(&self.freshness, self.basis, self.level, headers);
        headers.typed_insert(Vary::from(token::TOKEN));
        if self.freshness.status() == FreshnessStatus::Converging {
            headers.typed_insert(Age::from_secs(whole_seconds(self.freshness.age())));
        }
    }

    fn validator(&self, body: &[u8]) -> Option<ETag> {
        let tag = URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16]);
        format!("W/\"{tag}\"").parse().ok().filter(|_| self.is_whole())
    }
}

impl<T> ViewResponse<Option<T>> {
    /// The answer, or that there is none, with how fresh that is.
    pub(super) fn found(self) -> Result<ViewResponse<T>, Problem> {
        let mut headers = HeaderMap::new();
        self.write(&mut headers);
        let Self { value, freshness, basis, level, token, kept, caching } = self;
        let detail = || format!("There is none, as of {freshness}.");
        let missing = || Problem::of(Code::NOT_FOUND).detail(detail()).headers(headers);
        let value = value.ok_or_else(missing)?;
        Ok(ViewResponse { value, freshness, basis, level, token, kept, caching })
    }
}

impl<T: Serialize> ViewResponse<T> {
    fn respond(self) -> Result<Response, serde_json::Error> {
        let body = serde_json::to_vec(&self.value)?;
        let (mut headers, validator) = (HeaderMap::new(), self.validator(&body));
        self.write(&mut headers);
        let Some(validator) = validator else {
            headers.typed_insert(CacheControl::new().with_no_store());
            return Ok(full(headers, body));
        };
        let is_kept = self.kept.is_some_and(|kept| !kept.precondition_passes(&validator));
        headers.typed_insert(validator);
        headers.typed_insert(self.caching);
        Ok(if is_kept { unchanged(headers) } else { full(headers, body) })
    }
}

/// A cache goes on with the headers that it has and that aren't here: the age of a current answer, too.
fn unchanged(mut headers: HeaderMap) -> Response {
    headers.entry(AGE).or_insert(HeaderValue::from_static("0"));
    (StatusCode::NOT_MODIFIED, headers).into_response()
}

fn full(mut headers: HeaderMap, body: Vec<u8>) -> Response {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (headers, Body::from(body)).into_response()
}

/// Rounded up, so that no answer is older than it says; at the most what every cache can count to.
fn whole_seconds(age: Duration) -> u64 {
    (age.as_secs() + u64::from(age.subsec_nanos() > 0)).min(1 << 31)
}

/// Of a caller that has seen nothing and kept nothing.
impl<T> From<Reading<T>> for ViewResponse<T> {
    fn from(reading: Reading<T>) -> Self {
        Self::new(reading, &Token::default(), None)
    }
}

impl<T: Serialize> IntoResponse for ViewResponse<T> {
    fn into_response(self) -> Response {
        self.respond().unwrap_or_else(|error| {
            tracing::error!(%error, "an answer can't be written as JSON");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        })
    }
}
