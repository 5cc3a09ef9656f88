//! Converts errors to problems: decides what a caller may learn, and logs the rest.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use highwater_core::{
    Code, Error, Rejection,
    error::{Conflict, Corrupt, Unavailable},
    value::{Expected, Pending},
};

use super::{
    error_status::{ASK_OPERATOR, ErrorStatus},
    pending::{PendingView, min_retry_after, retry_after},
    problem::Problem,
};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = ErrorStatus::of(error.code());
        log(&error, status.status);
        let problem = Self::of(error.code());
        if status.is_public {
            public(&error, problem.detail(error.to_string()))
        } else {
            private(&error, problem)
        }
    }
}

/// A command that the domain rejected.
impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Error::from(rejection).into()
    }
}

/// Logs the error. A parked key is logged at debug level only: the worker that parked it has logged it, and each read
/// would repeat it.
fn log(error: &Error, status: StatusCode) {
    let code = error.code().as_str();
    let status = status.as_u16();
    match status {
        _ if error.code() == Code::PARKED => {
            tracing::debug!(code, status, %error, "a request read a parked key");
        }
        500 => tracing::error!(code, status, %error, "a request failed"),
        501.. => tracing::warn!(code, status, %error, "a request failed"),
        _ => tracing::debug!(code, status, %error, "a request was refused"),
    }
}

/// Describes an error whose message an outside caller must not see.
fn private(error: &Error, problem: Problem) -> Problem {
    if let Error::UnknownOutcome { command, .. } = error {
        let detail = "It is not known whether the command was stored. Send it again with the same \
                      Idempotency-Key, or with this command's id as the key if it had none: it is \
                      applied at most once.";
        return problem.detail(detail).with("command", command).header(min_retry_after());
    }
    match problem.status() {
        _ if error.code() == Code::OTHER_DEFINITION => {
            problem.detail("This version of the service can't answer from the view.")
        }
        _ if error.code() == Code::AHEAD_OF_LOG => {
            problem.detail("The view has to be built anew. Report the code to the operator.")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            let detail = "The service can't do this right now. The same request may succeed later.";
            problem.detail(detail).header(min_retry_after())
        }
        _ => problem.detail("The service failed. Report the code to its operator."),
    }
}

/// Adds the members of an error whose message an outside caller may see.
fn public(error: &Error, problem: Problem) -> Problem {
    match error {
        Error::Rejected(rejection) => rejected(rejection, problem),
        Error::Conflict(conflict) => conflicting(conflict, problem),
        Error::Unavailable(unavailable) => match &**unavailable {
            Unavailable::StaleRead(pending) | Unavailable::Rebuilding(pending) => {
                stale_read(pending, problem)
            }
            _ => problem,
        },
        Error::Corrupt(corrupt) => match &**corrupt {
            Corrupt::Parked { view, key, since } => {
                problem.with("view", view).with("key", key).with("since", since)
            }
            _ => problem,
        },
        _ => problem,
    }
}

fn rejected(rejection: &Rejection, problem: Problem) -> Problem {
    let values: BTreeMap<_, _> = rejection.values().collect();
    problem
        .detail(rejection.message().to_owned())
        .with("invariant", rejection.name())
        .with("values", values)
}

fn stale_read(pending: &Pending, problem: Problem) -> Problem {
    let mut problem = problem.with("pending", PendingView::of(pending));
    if pending.reached.is_stopped() {
        // As for a parked key: nothing changes before an operator has acted.
        problem =
            problem.status_is(StatusCode::SERVICE_UNAVAILABLE).with("next_step", ASK_OPERATOR);
    }
    match retry_after(pending) {
        Some(wait) => problem.header(wait),
        None => problem,
    }
}

fn conflicting(conflict: &Conflict, problem: Problem) -> Problem {
    match conflict {
        Conflict::Stream { stream, expected, actual } => {
            // Only a caller expects a version alone; a decision also knows the event at the head.
            let problem = match expected {
                Expected::Version(_) => problem.status_is(StatusCode::PRECONDITION_FAILED),
                _ => problem,
            };
            let stream = stream.as_str();
            let problem = problem.with("stream", stream).with("actual", actual.version);
            match expected {
                Expected::Version(version) | Expected::Head(version, _) => {
                    problem.with("expected", version)
                }
                Expected::NoStream => problem.with("expected", 0),
                _ => problem,
            }
        }
        Conflict::Boundary { after, found } => problem.with("after", after).with("found", found),
        _ => problem,
    }
}
