//! A receipt as an answer: stored, applied or pending.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use headers::{CacheControl, HeaderMapExt as _};
use highwater_core::{
    CommandId, Error, Receipt, Result, Token, Version,
    consistency::{AppliedOutcome, Basis, Level},
    value::Pending,
};
use serde::Serialize;

use super::{
    freshness,
    pending::{Behind, retry_after},
    token,
};

/// A receipt as an answer, with its token in `Highwater-Token`: what the caller's next read waits for.
///
/// | What is known | Status | `status` in the body |
/// |---|---|---|
/// | the command is stored, and nobody has asked for more, or it couldn't be told | 200 | `stored` |
/// | and a view has it ([`ReceiptResponse::outcome`]) | 200, and `Highwater-Freshness` | `applied` |
/// | and a view hasn't got it yet | 202 with `Retry-ReadConditions`, unless a parked key holds it back | `pending` |
///
/// With [`ReceiptResponse::created`] 200 becomes 201. The body has the command's id, the token, and the versions of
/// the streams that got events: what `If-Match` of a later command takes.
#[derive(Debug, Clone)]
pub struct ReceiptResponse {
    receipt: Receipt,
    token: Token,
    outcome: Option<AppliedOutcome>,
    location: Option<HeaderValue>,
}

#[derive(Serialize)]
struct Told<'a> {
    status: &'static str,
    command: CommandId,
    token: &'a Token,
    versions: BTreeMap<&'a str, Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Behind<'a>>,
}

impl ReceiptResponse {
    pub(super) fn new(receipt: Receipt, seen: &Token) -> Self {
        let token = token::after(seen, receipt.token());
        Self { receipt, token, outcome: None, location: None }
    }

    /// Says whether a view has it by now: `.outcome(view.applied(key, &receipt).await)`, without `?`. The
    /// command is stored whatever becomes of that question, so if nobody can answer it, *stored* is
    /// said, and the error is logged. An error would have the caller believe that nothing was done.
    #[must_use]
    pub fn outcome(mut self, outcome: Result<AppliedOutcome>) -> Self {
        let log = |error: &Error| {
            let code = error.code().as_str();
            tracing::warn!(code, %error, "whether a view has a command can't be said");
        };
        self.outcome = outcome.inspect_err(log).ok();
        self
    }

    /// Says that something has been made, and where it is or will be. A location that can't be a header
    /// is left out: percent-encode keys that come from outside.
    #[must_use]
    pub fn created(mut self, location: impl AsRef<str>) -> Self {
        self.location = HeaderValue::from_str(location.as_ref()).ok();
        self
    }

    fn pending(&self) -> Option<&Pending> {
        if let Some(AppliedOutcome::Pending(pending)) = &self.outcome {
            Some(pending)
        } else {
            None
        }
    }

    fn status(&self) -> StatusCode {
        match (&self.outcome, &self.location) {
            (Some(AppliedOutcome::Pending(_)), _) => StatusCode::ACCEPTED,
            (_, Some(_)) => StatusCode::CREATED,
            _ => StatusCode::OK,
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        token::write(&self.token, &mut headers);
        headers.typed_insert(CacheControl::new().with_no_store());
        match &self.outcome {
            Some(AppliedOutcome::Applied(reached)) => {
                let level = Level::ReadYourWrites;
                freshness::write(reached, Basis::View, level, &mut headers);
            }
            Some(AppliedOutcome::Pending(pending)) => {
                retry_after(pending).into_iter().for_each(|wait| headers.typed_insert(wait));
            }
            None => {}
        }
        if let Some(location) = &self.location {
            headers.insert(LOCATION, location.clone());
        }
        headers
    }

    fn told(&self) -> Told<'_> {
        let versions = self.receipt.versions();
        Told {
            status: match self.outcome {
                None => "stored",
                Some(AppliedOutcome::Applied(_)) => "applied",
                Some(AppliedOutcome::Pending(_)) => "pending",
            },
            command: self.receipt.command(),
            token: &self.token,
            versions: versions.map(|(stream, version)| (stream.as_str(), version)).collect(),
            pending: self.pending().map(Behind::of),
        }
    }
}

/// To a caller that has seen nothing before.
impl From<Receipt> for ReceiptResponse {
    fn from(receipt: Receipt) -> Self {
        Self::new(receipt, &Token::default())
    }
}

impl IntoResponse for ReceiptResponse {
    fn into_response(self) -> Response {
        (self.status(), self.headers(), Json(self.told())).into_response()
    }
}
