//! Requests and configurations that can't work as they are.

use crate::{
    domain::TYPE_NAME_LIMIT,
    error::{Code, Source},
    value::{CommandId, STREAM_ID_LIMIT, TAG_LIMIT},
};

/// What is wrong with the request or the configuration. The message says what would be right.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    code: Code,
    message: String,
    source: Option<Source>,
}

impl Invalid {
    /// Something wrong of the kind `code`; the message says what would be right.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None }
    }

    /// The error underneath.
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

    /// The same command id came with a different command (W4).
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

    /// A value is larger than its limit, both in bytes.
    #[must_use]
    pub fn too_large(what: &str, size: usize, limit: usize) -> Self {
        Self::new(Code::TOO_LARGE, format!("{what} has {size} bytes; the limit is {limit}"))
    }

    /// A request that can't be executed as it was put together.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Code::BAD_REQUEST, message)
    }

    /// A configuration that contradicts itself or can't be understood.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Code::BAD_CONFIGURATION, message)
    }

    /// A malformed name, with what would be right.
    #[must_use]
    pub fn malformed(what: &str, text: &str, right: &str) -> Self {
        Self::new(Code::MALFORMED, format!("{:?} is no {what}: {right}", shortened(text)))
    }

    pub(crate) fn category(text: &str) -> Self {
        Self::malformed("category", text, "use ASCII letters, digits, '_' and '.'")
    }

    pub(crate) fn stream_id(text: &str) -> Self {
        let right = format!("write category-key, without NUL, in at most {STREAM_ID_LIMIT} bytes");
        Self::malformed("stream id", text, &right)
    }

    pub(crate) fn tag(text: &str) -> Self {
        let right = format!("use 1 to {TAG_LIMIT} bytes, without NUL");
        Self::malformed("tag", text, &right)
    }

    pub(crate) fn type_name(text: &str) -> Self {
        let right = format!("use 1 to {TYPE_NAME_LIMIT} bytes, without NUL");
        Self::malformed("name of an event type", text, &right)
    }

    pub(crate) fn token(text: &str) -> Self {
        Self::malformed("consistency token", text, "pass on the receipt's token unchanged")
    }
}

/// Bad input may be long; an error message need not be.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
