//! Events: facts with a stable name, a schema version and tags.

use crate::{
    Error,
    error::Invalid,
    value::{SchemaVersion, Tags},
};

/// The longest name of an event type, in bytes of UTF-8.
pub const TYPE_NAME_LIMIT: usize = 512;

/// The stable name of an event type and its current schema version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType {
    /// The name, for example `account.opened`. It is stored with every event and never changes
    /// its meaning; a rename keeps the old name readable.
    pub name: &'static str,
    /// The schema version that is written.
    pub version: SchemaVersion,
}

impl EventType {
    /// Checks that the stores can hold this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is empty, longer than [`TYPE_NAME_LIMIT`] bytes or holds NUL.
    pub fn validate(&self) -> Result<(), Error> {
        check_type_name(self.name)?;
        check_schema_version(self.name, self.version)
    }
}

/// Checks that every store can hold this schema version of a type.
pub(crate) fn check_schema_version(name: &str, version: SchemaVersion) -> Result<(), Error> {
    if version > SchemaVersion::LAST {
        let right = format!("the last schema version is {}", SchemaVersion::LAST.get());
        let found = format!("{} of {name}", version.get());
        return Err(Invalid::malformed("schema version", &found, &right).into());
    }
    Ok(())
}

/// Checks that an event can have this type name.
pub(crate) fn check_type_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > TYPE_NAME_LIMIT || name.contains('\0') {
        let right = format!("use 1 to {TYPE_NAME_LIMIT} bytes, without NUL");
        return Err(Invalid::malformed("name of an event type", name, &right).into());
    }
    Ok(())
}

/// A stored event before it is decoded: the name and the version choose the decoder.
#[derive(Debug, Clone, Copy)]
pub struct RawEvent<'a> {
    /// The stored type name.
    pub name: &'a str,
    /// The stored schema version.
    pub version: SchemaVersion,
    /// The stored payload.
    pub payload: &'a [u8],
}

/// The reason for which a stored event can't be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The type name is none of [`Event::NAMES`].
    #[error("unknown event type")]
    UnknownType,
    /// The schema version is newer than those that the program knows.
    #[error("schema version is newer than {known}")]
    NewerVersion {
        /// The newest version that can be decoded.
        known: SchemaVersion,
    },
    /// The payload is not what the name and the version promise.
    #[error(transparent)]
    Payload(#[from] serde_json::Error),
}

/// A closed set of facts about one kind of thing, usually an enum with `#[derive(Event)]`.
///
/// The payload is the JSON of the variant's fields alone: the type name and the schema version are
/// stored beside it, so no tag is needed inside and it is parsed once.
///
/// A new event is decoded before it is stored, and what was decoded is what is applied: an event that can't be read
/// is refused, and a replayed state is the same as one that goes on in memory.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "write `#[derive(Event)]` above the enum, with `#[event(prefix = \"…\")]` for its type names"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// Every type name that can be decoded: current, former and retired ones. Readers of this event
    /// type request exactly these from the store.
    const NAMES: &'static [&'static str];

    /// The type under which this event is written.
    fn event_type(&self) -> EventType;

    /// The tags of the event, for queries that cross streams.
    fn tags(&self) -> Tags {
        Tags::none()
    }

    /// Returns false if no stored event of this type, of whatever schema version, means an event with
    /// a tag of this name today. A [`Boundary`](super::Boundary) whose query has such a tag needs it on
    /// all other events, and looks for those that were stored without it (W6).
    ///
    /// The default is always right: a boundary then looks at the events of every type that it reads.
    #[must_use]
    fn can_have_tag(_type_name: &str, _tag_name: &str) -> bool {
        true
    }

    /// Returns true if this program gives a tag of this name to every event that it appends under this type. The
    /// decision of a [`Boundary`](super::Boundary) whose query has such a tag is not stored after an event without it:
    /// a program that doesn't know the tag yet has appended that one (W6).
    ///
    /// The default lets a decision pass, and the next one is refused.
    #[must_use]
    fn always_has_tag(_type_name: &str, _tag_name: &str) -> bool {
        false
    }

    /// Writes the payload to `out`.
    ///
    /// # Errors
    /// If a field can't be represented, for example a map whose keys are not strings.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error>;

    /// Decodes a stored event and passes its current meaning to `emit`: usually one event, none or
    /// several after upcasting.
    ///
    /// # Errors
    /// [`DecodeError`]; then nothing may have been emitted.
    fn decode(raw: RawEvent<'_>, emit: &mut dyn FnMut(Self)) -> Result<(), DecodeError>;
}
