//! Classes of errors, by what a worker does about them.

use highwater_core::{
    Code, Error, Result,
    domain::ViewName,
    error::{Conflict, Corrupt, Panicked, Unavailable},
};
use tokio::task::JoinError;

/// Returns true if a retry may succeed. The view itself was opened when the worker was started: if it is
/// gone it has been renamed by a newer program, or removed, and a retry would create it again under its
/// former name. Another view, which an effect reads, may not have been created yet.
pub(super) fn is_transient(error: &Error, view: &ViewName) -> bool {
    let missing = match error {
        Error::Unavailable(unavailable) => match &**unavailable {
            Unavailable::ViewMissing { view } => Some(view.as_str()),
            _ => None,
        },
        _ => None,
    };
    error.is_retryable() && missing != Some(view.as_str())
}

/// Returns true if another worker owns the shard now.
pub(super) fn is_fenced(error: &Error) -> bool {
    matches!(error.conflict(), Some(Conflict::Fenced { .. }))
}

/// Returns true if the claim is no longer valid: another worker owns the shard, or the view is
/// resharded or has another definition.
pub(super) fn is_about_ownership(error: &Error) -> bool {
    matches!(
        error.conflict(),
        Some(Conflict::Fenced { .. } | Conflict::Sharding { .. } | Conflict::Definition { .. })
    )
}

/// Returns true if an event, or the row that it changes, may be at fault. Other errors, of the store or of
/// the policy, end the work under every policy: otherwise every event would be parked or skipped for them. So does an
/// event of a type or a schema version that this program doesn't know: the program is out of date, and a newer one takes
/// the shard.
pub(super) fn is_about_event(error: &Error) -> bool {
    match error {
        Error::Rejected(_) | Error::Panicked(_) => true,
        Error::Invalid(invalid) => {
            matches!(
                invalid.code(),
                Code::BAD_REQUEST | Code::TOO_LARGE | Code::MALFORMED | Code::UNSTORABLE
            )
        }
        Error::Corrupt(corrupt) => matches!(
            **corrupt,
            Corrupt::NotApplied { .. } | Corrupt::Payload { .. } | Corrupt::Row { .. }
        ),
        _ => false,
    }
}

/// Returns true if this program doesn't know the type or the schema version of an event.
pub(super) fn is_out_of_date(error: &Error) -> bool {
    let Error::Corrupt(corrupt) = error else { return false };
    matches!(**corrupt, Corrupt::UnknownEvent { .. } | Corrupt::NewerEvent { .. })
}

/// Returns the outcome of a task that has not returned one. An aborted task has ended in order; a panic that
/// no guard has caught is an error.
pub(super) fn outcome_of_join_error(task: impl Into<String>, error: JoinError) -> Result<()> {
    match error.try_into_panic() {
        Ok(payload) => Err(Panicked::new(task, &*payload).into()),
        Err(_) => Ok(()),
    }
}
