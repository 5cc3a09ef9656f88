//! The headers of a read: the token of the caller and the validator that it has cached.

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};
use headers::{HeaderMapExt as _, IfNoneMatch};
use highwater_core::{Token, consistency::Reading};

use super::{problem::Problem, token, view_response::ViewResponse};

/// The headers of a read: `Highwater-Token` for what the caller has already seen, and `If-None-Match` for the answer
/// that it has cached. The read waits for the first, and the response respects both:
/// `conditions.answer(balances.get(id).after(&conditions).await?)`.
///
/// A malformed token is refused with 400. A malformed validator is ignored, as
/// [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2) requires, and the response is sent in full.
#[derive(Debug, Clone, Default)]
pub struct ReadConditions {
    token: Token,
    if_none_match: Option<IfNoneMatch>,
}

impl ReadConditions {
    /// The token of what the caller has already seen.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// Creates the response: the full value, or 304 if the caller has it cached. Its token covers this response and
    /// everything that the caller had seen before, so a caller keeps only the latest one.
    ///
    /// A reading that has not seen the caller's token is marked as stale, even if the read did not ask for the token.
    #[must_use]
    pub fn answer<T>(&self, reading: Reading<T>) -> ViewResponse<T> {
        ViewResponse::new(reading, &self.token, self.if_none_match.clone())
    }

    /// Creates the response of a `find`, as [`ReadConditions::answer`].
    ///
    /// # Errors
    /// 404 if there is no row, with the freshness of that absence.
    pub fn found<T>(&self, reading: Reading<Option<T>>) -> Result<ViewResponse<T>, Problem> {
        self.answer(reading).found()
    }
}

impl AsRef<Token> for ReadConditions {
    fn as_ref(&self) -> &Token {
        &self.token
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ReadConditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let token = token::read(&parts.headers)?;
        let is_read = parts.method == Method::GET || parts.method == Method::HEAD;
        let if_none_match = parts.headers.typed_get().filter(|_| is_read);
        Ok(Self { token, if_none_match })
    }
}
