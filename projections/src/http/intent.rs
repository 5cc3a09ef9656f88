//! A command's id, expectation and trace, from the headers of its request.

use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::{StatusCode, request::Parts},
};
use highwater_core::{CommandId, Receipt, Request, Token, TraceContext, Version};

use super::{key::Key, precondition, problem::Problem, stored::ReceiptResponse, token, trace};

/// What the headers of a request say of the command in it:
///
/// | Header | |
/// |---|---|
/// | `Idempotency-Key` | the command's id: sent again with it, it is applied once (W4). A UUID is the id; from any other key one is derived, together with method, path and [`CommandHeaders::by`] |
/// | `If-Match: "17"` | the stream must be at version 17, else 412 (W1) |
/// | `If-None-Match: *` | the stream must not be there yet, else 412 |
/// | `traceparent`, `tracestate` | the trace that it belongs to (O1) |
/// | `Highwater-Token` | what the caller had seen before: the token of the answer has it too |
///
/// It goes into the command, and makes the answer:
/// `intent.answer(account.execute(intent.request(withdraw)).await?)`.
///
/// A key or a token that can't be understood is refused with 400, an expectation with 412: passed over, they
/// would be broken. A trace that can't be is passed over.
#[derive(Debug, Clone)]
pub struct CommandHeaders {
    key: Option<Key>,
    place: String,
    actor: Option<String>,
    expected: Option<Version>,
    trace: Option<TraceContext>,
    token: Token,
}

impl CommandHeaders {
    /// On whose behalf: it is stored with the events, and a key that is no UUID means another command from
    /// each. Say it of every command whose callers don't trust each other.
    #[must_use]
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Insists on an `Idempotency-Key`.
    ///
    /// # Errors
    /// 400 if there is none.
    pub fn keyed(self) -> Result<Self, Problem> {
        let detail = "This can be done only with an Idempotency-Key, so that it is done once.";
        match self.key {
            Some(_) => Ok(self),
            None => Err(Problem::new(StatusCode::BAD_REQUEST).detail(detail)),
        }
    }

    /// The command's id, if it can be sent again.
    #[must_use]
    pub fn id(&self) -> Option<CommandId> {
        let actor = self.actor.as_deref().unwrap_or_default();
        Some(match self.key.as_ref()? {
            Key::Id(id) => *id,
            Key::Name(name) => CommandId::derive(["http", &self.place, actor, name]),
        })
    }

    /// What the caller had seen before.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The command with all that the headers say of it. What they don't say can be added to the request.
    pub fn request<C>(&self, command: C) -> Request<C> {
        let mut request = Request::new(command);
        if let Some(id) = self.id() {
            request = request.id(id);
        }
        if let Some(version) = self.expected {
            request = request.expecting(version);
        }
        if let Some(trace) = self.trace.as_ref().map(trace::nearest) {
            request = request.trace(trace);
        }
        if let Some(actor) = &self.actor {
            request = request.actor(actor);
        }
        request
    }

    /// The answer to a command that has been stored.
    #[must_use]
    pub fn answer(&self, receipt: Receipt) -> ReceiptResponse {
        ReceiptResponse::new(receipt, &self.token)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST).detail(detail);
        // A nested router sees a part of the path only.
        let whole = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
        Ok(Self {
            key: Key::read(&parts.headers).map_err(bad)?,
            place: format!("{} {}", parts.method, whole.path()),
            actor: None,
            expected: precondition::read(&parts.headers)?,
            trace: trace::read(&parts.headers),
            token: token::read(&parts.headers)?,
        })
    }
}
