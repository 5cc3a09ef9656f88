//! From an error to a problem: what a caller may be told, and what is logged.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use highwater_core::{
    Code, Error, Rejection,
    error::{Conflict, Corrupt, Unavailable},
    value::{Expected, Pending},
};

use super::{
    pending::{Behind, retry_after, soon},
    problem::Problem,
    verdict,
};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let verdict = verdict::of(error.code());
        log(&error, verdict.status);
        let problem = Self::of(error.code());
        if !verdict.is_public {
            return untold(&error, problem);
        }
        told(&error, problem.detail(error.to_string()))
    }
}

/// The domain said no.
impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Error::from(rejection).into()
    }
}

/// A key that is parked is no news: whoever parked it has said so, and each read would repeat it.
fn log(error: &Error, status: StatusCode) {
    let (code, status) = (error.code().as_str(), status.as_u16());
    match status {
        _ if error.code() == Code::PARKED => {
            tracing::debug!(code, status, %error, "a parked key was asked for");
        }
        500 => tracing::error!(code, status, %error, "a request failed"),
        501.. => tracing::warn!(code, status, %error, "a request failed"),
        _ => tracing::debug!(code, status, %error, "a request was refused"),
    }
}

/// What an outside caller may know of an error whose words are not for it.
fn untold(error: &Error, problem: Problem) -> Problem {
    if let Error::UnknownOutcome { command, .. } = error {
        let detail = "It is not known whether the command was stored. Send it again with the same \
                      Idempotency-Key, or with this command's id as the key if it had none: it is \
                      applied at most once.";
        return problem.detail(detail).with("command", command).header(soon());
    }
    match problem.status() {
        StatusCode::SERVICE_UNAVAILABLE => {
            let detail = "This can't be done right now. The same request may succeed later.";
            problem.detail(detail).header(soon())
        }
        _ => problem.detail("Something is wrong on this side. Somebody has to look at it."),
    }
}

/// The members of an error that is told in full.
fn told(error: &Error, problem: Problem) -> Problem {
    match error {
        Error::Rejected(rejection) => rejected(rejection, problem),
        Error::Conflict(conflict) => conflicting(conflict, problem),
        Error::Unavailable(unavailable) => match &**unavailable {
            Unavailable::StaleRead(pending) => behind(pending, problem),
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

fn behind(pending: &Pending, problem: Problem) -> Problem {
    let problem = problem.with("pending", Behind::of(pending));
    match retry_after(pending) {
        Some(wait) => problem.header(wait),
        None => problem,
    }
}

fn conflicting(conflict: &Conflict, problem: Problem) -> Problem {
    match conflict {
        Conflict::Stream { stream, expected, actual } => {
            // Only the caller expects a mere version; a decision knows the event at the head too.
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
