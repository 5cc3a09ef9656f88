//! Stable codes of errors, and the next step after each.

use std::fmt;

/// A stable code such as `HW201`. It never changes its meaning; `docs/errors/` has a page for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(&'static str);

macro_rules! codes {
    ($(#[doc = $title:literal] $name:ident = $code:literal;)*) => {
        impl Code {
            $(#[doc = $title] pub const $name: Self = Self($code);)*

            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The meaning, as one sentence for people; the same for every error with this code.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title.trim(),)*
                    _ => "",
                }
            }
        }
    };
}

codes! {
    /// An invariant or a decision refused the command.
    REJECTED = "HW101";
    /// A stream is not at the version that was expected.
    STALE_VERSION = "HW201";
    /// An event that matches the boundary's query has been appended since.
    STALE_BOUNDARY = "HW202";
    /// Another worker has moved the view's checkpoint.
    STALE_CHECKPOINT = "HW203";
    /// Another worker has taken the shard over.
    FENCED = "HW204";
    /// The view has been resharded.
    STALE_SHARDING = "HW205";
    /// A view has been adopted by a program with another definition.
    STALE_DEFINITION = "HW206";
    /// The store can't be reached.
    UNREACHABLE = "HW301";
    /// The database is locked by another process for too long.
    LOCKED = "HW302";
    /// The store has been closed.
    CLOSED = "HW303";
    /// The view is not as far as the read asked for.
    STALE_READ = "HW304";
    /// No Kafka broker can be reached for now.
    BROKER_UNREACHABLE = "HW305";
    /// The service was stopped before it had drained.
    SHUTDOWN_TIMEOUT = "HW306";
    /// A topic isn't there yet: a relay creates it.
    TOPIC_MISSING = "HW307";
    /// A view isn't there yet: a worker creates it.
    VIEW_MISSING = "HW308";
    /// The view is being rebuilt for a changed program.
    REBUILDING = "HW309";
    /// The connection was lost while committing.
    UNKNOWN_OUTCOME = "HW401";
    /// A stored event has a type that this program doesn't know.
    UNKNOWN_EVENT = "HW501";
    /// A stored event has a newer schema than this program knows.
    NEWER_EVENT = "HW502";
    /// A stored payload can't be decoded.
    UNDECODABLE = "HW503";
    /// The log contradicts itself.
    CORRUPT_LOG = "HW504";
    /// A record in a topic is not of Highwater's relay.
    FOREIGN_RECORD = "HW505";
    /// A view or a projection can't apply an event.
    NOT_APPLIED = "HW506";
    /// More keys are parked than are allowed.
    TOO_MANY_PARKED = "HW507";
    /// A key is parked, and can't be read as freshly as asked for.
    PARKED = "HW508";
    /// An event was stored without a tag that a boundary queries.
    UNTAGGED = "HW509";
    /// A view was built by another definition than the program's.
    OTHER_DEFINITION = "HW510";
    /// A view in a store of its own has events that the log doesn't have.
    AHEAD_OF_LOG = "HW511";
    /// A command id has been used for a different command.
    COMMAND_ID_REUSED = "HW601";
    /// A value is larger than the limit.
    TOO_LARGE = "HW602";
    /// A stream id, category, tag, token or name is malformed.
    MALFORMED = "HW603";
    /// The URL of the store can't be understood.
    BAD_URL = "HW604";
    /// The database or Kafka refused the credentials.
    BAD_CREDENTIALS = "HW605";
    /// The file or the schema is not Highwater's.
    FOREIGN_DATABASE = "HW606";
    /// The database was migrated by a newer version of Highwater.
    NEWER_DATABASE = "HW607";
    /// The database lacks something that Highwater needs.
    BAD_DATABASE = "HW608";
    /// The configuration contradicts itself or can't be understood.
    BAD_CONFIGURATION = "HW609";
    /// The request can't be executed as it was put together.
    BAD_REQUEST = "HW610";
    /// A view has no row with this key.
    NOT_FOUND = "HW611";
    /// A topic is not as it must be.
    BAD_TOPIC = "HW612";
    /// A token is not of this log.
    FOREIGN_TOKEN = "HW613";
    /// Application code panicked.
    PANICKED = "HW701";
    /// An event or a row would not be read back as it was written.
    UNSTORABLE = "HW702";
}

impl Code {
    /// The code as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The next step after an error, and the actor that takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NextStep {
    /// The caller corrects the request: the same one would fail again.
    FixRequest,
    /// The caller decides again on fresh state.
    DecideAgain,
    /// The caller tries again: the same request may succeed later; nothing has been changed.
    Retry,
    /// The caller sends the command again with the same command id; it is applied at most once.
    RetrySameId,
    /// An operator or a developer looks at the stored data.
    AskOperator,
    /// A developer fixes the program: it has a bug, and the same input triggers it again.
    FixProgram,
}
