//! The result of a command.

use serde::{Deserialize, Serialize};

use crate::{
    port::Appended,
    value::{CommandId, LogId, PartitionId, Position, StreamId, Token, Version},
};

/// Proof that a command has been stored. It can be serialised and passed on, and later reads
/// can wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    command: CommandId,
    token: Token,
    versions: Vec<(StreamId, Version)>,
}

impl Receipt {
    pub(super) fn new(log: LogId, command: CommandId, appended: Appended) -> Self {
        let versions = appended.streams.into_iter().map(|head| (head.stream, head.version));
        Self { command, token: Token::of(log, appended.position), versions: versions.collect() }
    }

    /// Creates the receipt of a command that changes nothing and can't be sent again, as of the
    /// state that it was decided on.
    pub(super) fn nothing(log: LogId, command: CommandId, position: Position) -> Self {
        Self { command, token: Token::of(log, position), versions: Vec::new() }
    }

    /// The command's id, from the request or generated.
    #[must_use]
    pub const fn command(&self) -> CommandId {
        self.command
    }

    /// The token that a read must wait for to see this command's effect.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The position up to which the log must be read to see this command's effect.
    #[must_use]
    pub fn position(&self) -> Position {
        self.token.position(PartitionId::LOG)
    }

    /// The streams that got events, with their versions after them.
    pub fn versions(&self) -> impl Iterator<Item = (&StreamId, Version)> {
        self.versions.iter().map(|(stream, version)| (stream, *version))
    }

    /// Returns true if the command led to no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }
}

impl AsRef<Token> for Receipt {
    fn as_ref(&self) -> &Token {
        &self.token
    }
}
