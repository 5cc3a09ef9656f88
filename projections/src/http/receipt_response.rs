//! A receipt as a response: stored, applied or pending.

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
    pending::{PendingView, retry_after},
    token,
};

/// A receipt as a response, with its token in `Highwater-Token`: the caller's next read waits for it.
///
/// | State of the command | Status | `status` in the body |
/// |---|---|---|
/// | stored; no view was checked, or the check failed | 200 | `stored` |
/// | stored, and a view has applied it ([`ReceiptResponse::outcome`]) | 200, and `Highwater-Freshness` | `applied` |
/// | stored, and a view has not applied it yet | 202 with `Retry-After`, unless a parked key holds it back | `pending` |
///
/// With [`ReceiptResponse::created`] 200 becomes 201. The body has the command's id, the token, and the versions of the
/// streams that got events, for the `If-Match` of a later command.
#[derive(Debug, Clone)]
pub struct ReceiptResponse {
    receipt: Receipt,
    token: Token,
    outcome: Option<AppliedOutcome>,
    location: Option<HeaderValue>,
}

#[derive(Serialize)]
struct ReceiptBody<'a> {
    status: &'static str,
    command: CommandId,
    token: &'a Token,
    versions: BTreeMap<&'a str, Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<PendingView<'a>>,
}

impl ReceiptResponse {
    pub(super) fn new(receipt: Receipt, seen: &Token) -> Self {
        let token = token::after(seen, receipt.token());
        Self { receipt, token, outcome: None, location: None }
    }

    /// Adds whether a view has applied the command: `.outcome(view.applied(key, &receipt).await)`, without `?`. The
    /// command is stored even if that check fails. So a failed check is logged, and the response stays *stored*: an
    /// error response would let the caller believe that nothing was stored.
    #[must_use]
    pub fn outcome(mut self, outcome: Result<AppliedOutcome>) -> Self {
        let log = |error: &Error| {
            let code = error.code().as_str();
            tracing::warn!(code, %error, "failed to check whether a view has applied a command");
        };
        self.outcome = outcome.inspect_err(log).ok();
        self
    }

    /// Marks a resource as created, and sets its location. A location that is not a valid header value is left out:
    /// percent-encode keys that come from outside.
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

    fn body(&self) -> ReceiptBody<'_> {
        let versions = self.receipt.versions();
        ReceiptBody {
            status: match self.outcome {
                None => "stored",
                Some(AppliedOutcome::Applied(_)) => "applied",
                Some(AppliedOutcome::Pending(_)) => "pending",
            },
            command: self.receipt.command(),
            token: &self.token,
            versions: versions.map(|(stream, version)| (stream.as_str(), version)).collect(),
            pending: self.pending().map(PendingView::of),
        }
    }
}

/// Creates the response to a caller that has seen nothing before.
impl From<Receipt> for ReceiptResponse {
    fn from(receipt: Receipt) -> Self {
        Self::new(receipt, &Token::default())
    }
}

impl IntoResponse for ReceiptResponse {
    fn into_response(self) -> Response {
        (self.status(), self.headers(), Json(self.body())).into_response()
    }
}
