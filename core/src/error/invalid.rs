//! Requests and configurations that can't work as they are.

use std::fmt::Display;

use crate::{
    error::{Code, Source},
    value::{CommandId, Malformed},
};

/// A request or a configuration that can't work as it is. The message says what would be right.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    code: Code,
    message: String,
    source: Option<Source>,
}

impl Invalid {
    /// Creates the error of the kind `code`. The message says what would be right.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: Source) -> Self {
        self.source = Some(source);
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Creates the error of a command id that was used for a different command (W4).
    #[must_use]
    pub fn command_id_reused(command: CommandId) -> Self {
        Self::new(
            Code::COMMAND_ID_REUSED,
            format!(
                "command id {command} has already been used for a different command; a retry must \
                 send the same command, and a new command needs a new id"
            ),
        )
    }

    /// Creates the error of an import whose command id has another record in the log (W4).
    #[must_use]
    pub fn command_id_taken(command: CommandId) -> Self {
        let message =
            format!("command id {command} is taken: the log has another command under it");
        Self::new(Code::COMMAND_ID_REUSED, message)
    }

    /// Creates the error of a value that is larger than its limit, both in bytes.
    #[must_use]
    pub fn too_large(what: &str, size: usize, limit: usize) -> Self {
        Self::new(Code::TOO_LARGE, format!("{what} has {size} bytes; the limit is {limit}"))
    }

    /// Creates the error of a value that would not be read back as it was written. The reason names the field.
    #[must_use]
    pub fn unstorable(what: impl Display, reason: impl Display) -> Self {
        Self::new(Code::UNSTORABLE, format!("{what} can't be stored: {reason}"))
    }

    /// Creates the error of a request that can't be executed as it was put together.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Code::BAD_REQUEST, message)
    }

    /// Creates the error of a configuration that contradicts itself or can't be understood.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Code::BAD_CONFIGURATION, message)
    }

    /// Creates the error of a malformed name, with what would be right.
    #[must_use]
    pub fn malformed(what: &str, text: &str, right: &str) -> Self {
        Malformed::new(what, text, right).into()
    }
}

impl From<Malformed> for Invalid {
    fn from(malformed: Malformed) -> Self {
        Self::new(Code::MALFORMED, malformed.to_string())
    }
}
