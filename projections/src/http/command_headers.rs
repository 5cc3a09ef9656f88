//! The headers of a command: its id, expected version and trace.

use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::{StatusCode, request::Parts},
};
use highwater_core::{CommandId, Receipt, Request, Token, TraceContext, Version};

use super::{
    idempotency_key::IdempotencyKey, precondition, problem::Problem,
    receipt_response::ReceiptResponse, token, trace,
};

/// The headers of a request that describe the command in it:
///
/// | Header | |
/// |---|---|
/// | `Idempotency-Key` | the command's id: a command that is sent again with it is applied once (W4). A UUID is the id; from any other key the id is derived, together with method, path and [`CommandHeaders::by`] |
/// | `If-Match: "17"` | the stream must be at version 17, else 412 (W1) |
/// | `If-None-Match: *` | the stream must not exist yet, else 412 |
/// | `traceparent`, `tracestate` | the trace that the command belongs to (O1) |
/// | `Highwater-Token` | what the caller has seen: the token of the response includes it |
///
/// It creates the request, and then the response:
/// `headers.answer(account.execute(headers.request(withdraw)).await?)`.
///
/// A malformed key or token is refused with 400, a malformed expectation with 412: ignoring them would break what they
/// promise. A malformed trace is ignored.
#[derive(Debug, Clone)]
pub struct CommandHeaders {
    key: Option<IdempotencyKey>,
    /// Method and path.
    endpoint: String,
    actor: Option<String>,
    expected: Option<Version>,
    trace: Option<TraceContext>,
    token: Token,
}

impl CommandHeaders {
    /// Sets the actor of the command. It is stored with the events, and scopes keys that are not UUIDs: the same key from
    /// another actor is another command. Set it wherever callers don't trust each other.
    #[must_use]
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Requires an `Idempotency-Key`.
    ///
    /// # Errors
    /// 400 if there is none.
    pub fn keyed(self) -> Result<Self, Problem> {
        let detail = "This command requires an Idempotency-Key, so that it is applied once.";
        match self.key {
            Some(_) => Ok(self),
            None => Err(Problem::new(StatusCode::BAD_REQUEST).detail(detail)),
        }
    }

    /// Returns the command's id, if the request has a key.
    #[must_use]
    pub fn id(&self) -> Option<CommandId> {
        let actor = self.actor.as_deref().unwrap_or_default();
        Some(match self.key.as_ref()? {
            IdempotencyKey::Id(id) => *id,
            IdempotencyKey::Name(name) => CommandId::derive(["http", &self.endpoint, actor, name]),
        })
    }

    /// The token of what the caller has seen.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// Creates the request of a command, with everything that the headers specify. The caller can add the rest.
    pub fn request<C>(&self, command: C) -> Request<C> {
        let mut request = Request::new(command);
        if let Some(id) = self.id() {
            request = request.id(id);
        }
        if let Some(version) = self.expected {
            request = request.expecting(version);
        }
        if let Some(trace) = self.trace.as_ref().map(trace::cause_of) {
            request = request.trace(trace);
        }
        if let Some(actor) = &self.actor {
            request = request.actor(actor);
        }
        request
    }

    /// Creates the response to a command that has been stored.
    #[must_use]
    pub fn answer(&self, receipt: Receipt) -> ReceiptResponse {
        ReceiptResponse::new(receipt, &self.token)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommandHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST).detail(detail);
        // A nested router sees only a part of the path.
        let full = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
        Ok(Self {
            key: IdempotencyKey::read(&parts.headers).map_err(bad)?,
            endpoint: format!("{} {}", parts.method, full.path()),
            actor: None,
            expected: precondition::read(&parts.headers)?,
            trace: trace::read(&parts.headers),
            token: token::read(&parts.headers)?,
        })
    }
}
