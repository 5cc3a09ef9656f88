//! The HTTP status of each error code, and the next step that it asks of the caller.

use axum::http::StatusCode;
use highwater_core::Code;

/// The status and the next step of an error code.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorStatus {
    pub(super) status: StatusCode,
    /// The value of the member `next_step`: the variant of `NextStep` in snake_case. It is written for an outside caller,
    /// so an error that the service or its operator must correct is `ask_operator`, whatever its own next step is.
    pub(super) next_step: &'static str,
    /// True if an outside caller may see the message of the error. Otherwise it sees the code.
    pub(super) is_public: bool,
}

impl ErrorStatus {
    /// Returns the status of a code. An unknown code is a failure of the service.
    pub(super) fn of(code: Code) -> Self {
        known(code).unwrap_or(private(StatusCode::INTERNAL_SERVER_ERROR, ASK_OPERATOR))
    }
}

const FIX_REQUEST: &str = "fix_request";
const DECIDE_AGAIN: &str = "decide_again";
const RETRY: &str = "retry";
const RETRY_SAME_ID: &str = "retry_same_id";
pub(super) const ASK_OPERATOR: &str = "ask_operator";
const FIX_PROGRAM: &str = "fix_program";

const fn public(status: StatusCode, next_step: &'static str) -> ErrorStatus {
    ErrorStatus { status, next_step, is_public: true }
}

const fn private(status: StatusCode, next_step: &'static str) -> ErrorStatus {
    ErrorStatus { status, next_step, is_public: false }
}

fn known(code: Code) -> Option<ErrorStatus> {
    Some(match code {
        Code::REJECTED => public(StatusCode::UNPROCESSABLE_ENTITY, FIX_REQUEST),
        Code::STALE_VERSION | Code::STALE_BOUNDARY => public(StatusCode::CONFLICT, DECIDE_AGAIN),
        // Conflicts between workers; a caller that gets one has met a shard that is changing hands.
        Code::STALE_CHECKPOINT
        | Code::FENCED
        | Code::STALE_SHARDING
        | Code::STALE_DEFINITION => {
            private(StatusCode::SERVICE_UNAVAILABLE, RETRY)
        }
        Code::STALE_READ => public(StatusCode::ACCEPTED, RETRY),
        Code::REBUILDING => public(StatusCode::SERVICE_UNAVAILABLE, RETRY),
        Code::UNREACHABLE
        | Code::LOCKED
        | Code::CLOSED
        | Code::BROKER_UNREACHABLE
        | Code::SHUTDOWN_TIMEOUT
        | Code::TOPIC_MISSING
        | Code::VIEW_MISSING => private(StatusCode::SERVICE_UNAVAILABLE, RETRY),
        // Not 503, from which clients and proxies conclude that nothing has happened.
        Code::UNKNOWN_OUTCOME => private(StatusCode::GATEWAY_TIMEOUT, RETRY_SAME_ID),
        // Waiting doesn't help, so there is no `Retry-After`.
        Code::PARKED => public(StatusCode::SERVICE_UNAVAILABLE, ASK_OPERATOR),
        // A program of the stored definition answers, or none until an operator has acted.
        Code::OTHER_DEFINITION | Code::AHEAD_OF_LOG => private(StatusCode::SERVICE_UNAVAILABLE, ASK_OPERATOR),
        // As the draft of `Idempotency-Key` requires.
        Code::COMMAND_ID_REUSED => public(StatusCode::UNPROCESSABLE_ENTITY, FIX_REQUEST),
        Code::TOO_LARGE => public(StatusCode::PAYLOAD_TOO_LARGE, FIX_REQUEST),
        Code::MALFORMED | Code::FOREIGN_TOKEN => public(StatusCode::BAD_REQUEST, FIX_REQUEST),
        Code::NOT_FOUND => public(StatusCode::NOT_FOUND, FIX_REQUEST),
        // Their messages may quote the data that the program failed on.
        Code::PANICKED | Code::UNSTORABLE => private(StatusCode::INTERNAL_SERVER_ERROR, FIX_PROGRAM),
        Code::UNKNOWN_EVENT
        | Code::NEWER_EVENT
        | Code::UNDECODABLE
        | Code::CORRUPT_LOG
        | Code::FOREIGN_RECORD
        | Code::NOT_APPLIED
        | Code::TOO_MANY_PARKED
        | Code::UNTAGGED
        | Code::BAD_URL
        | Code::BAD_CREDENTIALS
        | Code::FOREIGN_DATABASE
        | Code::NEWER_DATABASE
        | Code::BAD_DATABASE
        | Code::BAD_CONFIGURATION
        | Code::BAD_TOPIC
        // The program composes its requests to the store, and the database's message may be in the error.
        | Code::BAD_REQUEST => private(StatusCode::INTERNAL_SERVER_ERROR, ASK_OPERATOR),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_explicit_status() {
        for code in Code::ALL {
            assert!(known(*code).is_some(), "{code} has none");
        }
    }
}
