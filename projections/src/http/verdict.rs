//! Which status each error has over HTTP, and who is to move.

use axum::http::StatusCode;
use highwater_core::Code;

/// What a code means over HTTP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict {
    pub(super) status: StatusCode,
    /// Who is to do what. It is said to a caller from outside, so what an operator has to correct is a
    /// matter for a person, whatever it is inside.
    pub(super) next_move: &'static str,
    /// Whether a caller from outside may know what the error says. Otherwise it is told the code.
    pub(super) is_public: bool,
}

/// What a code means over HTTP. One that isn't known here is a fault of the service's.
pub(super) fn of(code: Code) -> Verdict {
    known(code).unwrap_or(private(StatusCode::INTERNAL_SERVER_ERROR, ASK))
}

const CHANGE: &str = "change_the_request";
const DECIDE: &str = "decide_again";
const AGAIN: &str = "try_again";
const SAME_ID: &str = "send_again_with_the_same_id";
const ASK: &str = "ask_a_person";

const fn public(status: StatusCode, next_move: &'static str) -> Verdict {
    Verdict { status, next_move, is_public: true }
}

const fn private(status: StatusCode, next_move: &'static str) -> Verdict {
    Verdict { status, next_move, is_public: false }
}

fn known(code: Code) -> Option<Verdict> {
    Some(match code {
        Code::REJECTED => public(StatusCode::UNPROCESSABLE_ENTITY, CHANGE),
        Code::STALE_VERSION | Code::STALE_BOUNDARY => public(StatusCode::CONFLICT, DECIDE),
        // Between workers; a caller that gets one has come upon a change of hands.
        Code::STALE_CHECKPOINT | Code::FENCED | Code::STALE_SHARDING => {
            private(StatusCode::SERVICE_UNAVAILABLE, AGAIN)
        }
        Code::STALE_READ => public(StatusCode::ACCEPTED, AGAIN),
        Code::UNREACHABLE
        | Code::LOCKED
        | Code::CLOSED
        | Code::BROKER_UNREACHABLE
        | Code::SHUTDOWN_TIMEOUT
        | Code::TOPIC_MISSING
        | Code::VIEW_MISSING => private(StatusCode::SERVICE_UNAVAILABLE, AGAIN),
        // Not 503, which lets clients and proxies believe that nothing has happened.
        Code::UNKNOWN_OUTCOME => private(StatusCode::GATEWAY_TIMEOUT, SAME_ID),
        // Waiting doesn't help, so there is no `Retry-ReadConditions`.
        Code::PARKED => public(StatusCode::SERVICE_UNAVAILABLE, ASK),
        // As the draft of `Idempotency-Key` has it.
        Code::COMMAND_ID_REUSED => public(StatusCode::UNPROCESSABLE_ENTITY, CHANGE),
        Code::TOO_LARGE => public(StatusCode::PAYLOAD_TOO_LARGE, CHANGE),
        Code::MALFORMED | Code::FOREIGN_TOKEN => public(StatusCode::BAD_REQUEST, CHANGE),
        Code::NOT_FOUND => public(StatusCode::NOT_FOUND, CHANGE),
        Code::UNKNOWN_EVENT
        | Code::NEWER_EVENT
        | Code::UNDECODABLE
        | Code::CORRUPT_LOG
        | Code::FOREIGN_RECORD
        | Code::NOT_APPLIED
        | Code::TOO_MANY_PARKED
        | Code::BAD_URL
        | Code::BAD_CREDENTIALS
        | Code::FOREIGN_DATABASE
        | Code::NEWER_DATABASE
        | Code::BAD_DATABASE
        | Code::BAD_CONFIGURATION
        | Code::BAD_TOPIC
        // How a request is put together is the program's to know, and the database's words may be in it.
        | Code::BAD_REQUEST => private(StatusCode::INTERNAL_SERVER_ERROR, ASK),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_of_its_own_choice() {
        for code in Code::ALL {
            assert!(known(*code).is_some(), "{code} has none");
        }
    }
}
