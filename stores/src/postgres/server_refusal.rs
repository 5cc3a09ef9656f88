//! Servers that can't keep what Highwater promises.

/// The reason that a server is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ServerRefusal {
    #[error(
        "the server is a standby (pg_is_in_recovery() is true): it may lack acknowledged events, and \
         can't be written to; name the primary in the URL of the store, or, if a fail-over is under way, \
         try again when it is over"
    )]
    Standby,
    #[error(
        "default_transaction_read_only is on for this user, this database or the whole server, so nothing \
         can be written; set it to off, or name another user or server in the URL of the store"
    )]
    ReadOnly,
}

impl ServerRefusal {
    /// In recovery every transaction is read-only.
    pub(super) fn of(is_in_recovery: bool, is_read_only: bool) -> Option<Self> {
        match (is_in_recovery, is_read_only) {
            (true, _) => Some(Self::Standby),
            (false, true) => Some(Self::ReadOnly),
            (false, false) => None,
        }
    }

    /// Returns the refusal that an error of connecting carries.
    pub(super) fn in_error(error: &sqlx::Error) -> Option<Self> {
        let sqlx::Error::Io(error) = error else { return None };
        error.get_ref()?.downcast_ref().copied()
    }
}
