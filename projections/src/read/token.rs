//! Tokens that do not belong to this log: an error instead of a wait.

use highwater_core::{Code, PartitionId, Position, Result, Token, error::Invalid, value::LogId};

/// Checks that a token names this log or none, and no partition that this log doesn't have: otherwise no view here
/// could ever be as far as the token says.
pub(super) fn check_log(token: &Token, log: LogId) -> Result<()> {
    let reason = match token.log() {
        Some(other) if other != log => {
            format!("token {token} is of log {other}, and this is log {log}")
        }
        _ if !token.is_of_one_order() => {
            format!("token {token} names partitions, and log {log} has none but its own order")
        }
        _ => return Ok(()),
    };
    let message = format!("{reason}: read from the store that issued it");
    Err(Invalid::new(Code::FOREIGN_TOKEN, message).into())
}

/// Checks that a token is not beyond the head. A token is issued when its events are stored: one beyond the head is of
/// another log, or this log has lost its end.
pub(super) fn check_position(token: &Token, head: Option<Position>) -> Result<()> {
    let position = token.position(PartitionId::LOG);
    match head {
        Some(head) if position > head => {
            let message = format!(
                "token {token} is of position {position}, and the log ends at {head}: it is of another log, or of \
                 this one before it was restored"
            );
            Err(Invalid::new(Code::FOREIGN_TOKEN, message).into())
        }
        _ => Ok(()),
    }
}
