//! What the caller of a read has seen already, and has of it.

use axum::{
    extract::FromRequestParts,
    http::{Method, request::Parts},
};
use headers::{HeaderMapExt as _, IfNoneMatch};
use highwater_core::{Token, consistency::Reading};

use super::{fresh::ViewResponse, problem::Problem, token};

/// What the caller of a read has seen already (`Highwater-Token`), and which answer it has kept
/// (`If-None-Match`). A read waits for the one, and the answer is made for both:
/// `after.answer(balances.get(id).after(&after).await?)`.
///
/// A token that can't be understood is refused with 400. A validator that can't be is passed over, as
/// [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2) has it: then the answer is sent in full.
#[derive(Debug, Clone, Default)]
pub struct ReadConditions {
    token: Token,
    kept: Option<IfNoneMatch>,
}

impl ReadConditions {
    /// What the caller has seen.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The answer: in full, or 304 if the caller has it. Its token stands for this answer and for all
    /// that the caller had seen before, so a caller keeps the last one only.
    ///
    /// A reading that has not seen the caller's token is marked as stale, also if nobody asked it to.
    #[must_use]
    pub fn answer<T>(&self, reading: Reading<T>) -> ViewResponse<T> {
        ViewResponse::new(reading, &self.token, self.kept.clone())
    }

    /// The answer of a `find`, as [`ReadConditions::answer`].
    ///
    /// # Errors
    /// 404 if there is nothing, with how fresh that is.
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
        let kept = parts.headers.typed_get().filter(|_| is_read);
        Ok(Self { token, kept })
    }
}
