//! A reading as a response: body, validator, age and cache directives.

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

/// The largest `Age` that every cache can represent
/// ([RFC 9111](https://www.rfc-editor.org/rfc/rfc9111#section-1.2.2)).
const MAX_AGE_SECONDS: u64 = 1 << 31;

/// A reading as a response: the value as JSON, with its freshness.
///
/// | Header | |
/// |---|---|
/// | `Highwater-Token` | what a reader of this response has seen: to be sent with the next request |
/// | `Highwater-Freshness` | status, position, lag and basis ([`FRESHNESS`](super::FRESHNESS)) |
/// | `Age` | for how many seconds the value may be out of date, rounded up; absent if it is current. The view is a cache of the log, and downstream caches add the time for which they keep it. Absent for a parked key, whose age is not known |
/// | `ETag`, weak | of the body. With `If-None-Match` the response is 304, with all these headers and no body |
/// | `Cache-Control` | `private, no-cache` unless [`ViewResponse::caching`] sets another value |
/// | `Vary` | `Highwater-Token`: a response that suffices for one token does not suffice for another |
///
/// A response that is less than was asked for (stale, degraded, optimistic) has no validator and is always
/// `no-store`: it is never 304, and no cache keeps it.
#[derive(Debug, Clone)]
pub struct ViewResponse<T> {
    value: T,
    freshness: Freshness,
    basis: Basis,
    level: Level,
    token: Token,
    if_none_match: Option<IfNoneMatch>,
    caching: CacheControl,
}

impl<T> ViewResponse<T> {
    pub(super) fn new(
        reading: Reading<T>,
        seen: &Token,
        if_none_match: Option<IfNoneMatch>,
    ) -> Self {
        let freshness = reading.freshness();
        let level = reading.level();
        let basis = match reading.basis() {
            Basis::View if token::is_beyond(seen, &freshness) => Basis::Stale,
            basis => basis,
        };
        let caching = CacheControl::new().with_private().with_no_cache();
        let token = token::after(seen, &freshness.token());
        Self { value: reading.into_value(), freshness, basis, level, token, if_none_match, caching }
    }

    /// Sets what caches may do with the response, instead of revalidating every time. `max-age` counts from the time
    /// that the value is as of, not from when the response is sent, since `Age` states how old it is by then.
    ///
    /// A response that is less than was asked for stays `no-store`.
    #[must_use]
    pub fn caching(mut self, caching: CacheControl) -> Self {
        self.caching = caching;
        self
    }

    /// Returns the value.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Returns true if the response is all that was asked for, so that caches may keep it.
    fn is_cacheable(&self) -> bool {
        let is_degraded = matches!(self.freshness.status(), FreshnessStatus::Degraded(_));
        matches!(self.basis, Basis::View | Basis::Folded) && !is_degraded
    }

    /// Writes the headers that describe the value.
    fn write_headers(&self, headers: &mut HeaderMap) {
        token::write(&self.token, headers);
        freshness::write(&self.freshness, self.basis, self.level, headers);
        headers.typed_insert(Vary::from(token::TOKEN));
        let status = self.freshness.status();
        if matches!(status, FreshnessStatus::Converging | FreshnessStatus::Stopped(_)) {
            headers.typed_insert(Age::from_secs(age_seconds(self.freshness.age())));
        }
    }

    fn validator(&self, body: &[u8]) -> Option<ETag> {
        let tag = URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16]);
        format!("W/\"{tag}\"").parse().ok().filter(|_| self.is_cacheable())
    }
}

impl<T> ViewResponse<Option<T>> {
    /// Returns the response, or a 404 that states the freshness of the absence.
    pub(super) fn found(self) -> Result<ViewResponse<T>, Problem> {
        let mut headers = HeaderMap::new();
        self.write_headers(&mut headers);
        let Self { value, freshness, basis, level, token, if_none_match, caching } = self;
        let detail = || format!("There is none, as of {freshness}.");
        let missing = || Problem::of(Code::NOT_FOUND).detail(detail()).headers(headers);
        let value = value.ok_or_else(missing)?;
        Ok(ViewResponse { value, freshness, basis, level, token, if_none_match, caching })
    }
}

impl<T: Serialize> ViewResponse<T> {
    fn respond(self) -> Result<Response, serde_json::Error> {
        let body = serde_json::to_vec(&self.value)?;
        let mut headers = HeaderMap::new();
        self.write_headers(&mut headers);
        let Some(validator) = self.validator(&body) else {
            headers.typed_insert(CacheControl::new().with_no_store());
            return Ok(full(headers, body));
        };
        let is_cached =
            self.if_none_match.is_some_and(|tags| !tags.precondition_passes(&validator));
        headers.typed_insert(validator);
        headers.typed_insert(self.caching);
        Ok(if is_cached { not_modified(headers) } else { full(headers, body) })
    }
}

/// Creates a 304. A cache keeps those of its headers that a 304 doesn't replace, so a current response resets `Age`.
fn not_modified(mut headers: HeaderMap) -> Response {
    headers.entry(AGE).or_insert(HeaderValue::from_static("0"));
    (StatusCode::NOT_MODIFIED, headers).into_response()
}

fn full(mut headers: HeaderMap, body: Vec<u8>) -> Response {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (headers, Body::from(body)).into_response()
}

/// Returns whole seconds, rounded up so that no response is older than it states.
fn age_seconds(age: Duration) -> u64 {
    (age.as_secs() + u64::from(age.subsec_nanos() > 0)).min(MAX_AGE_SECONDS)
}

/// Creates the response to a caller that has seen nothing and cached nothing.
impl<T> From<Reading<T>> for ViewResponse<T> {
    fn from(reading: Reading<T>) -> Self {
        Self::new(reading, &Token::default(), None)
    }
}

impl<T: Serialize> IntoResponse for ViewResponse<T> {
    fn into_response(self) -> Response {
        self.respond().unwrap_or_else(|error| {
            tracing::error!(%error, "a response can't be written as JSON");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
        })
    }
}
