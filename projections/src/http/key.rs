//! `Idempotency-Key` as a command's id (W4).

use axum::http::{HeaderMap, HeaderName};
use highwater_core::CommandId;
use sfv::{BareItem, Item, Parser};

use super::only;

/// The header by which a command can be sent again safely, as the
/// [draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/) of the IETF has it: a
/// string in quotes.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long a key may be, in bytes.
const LONGEST: usize = 255;

/// A key that a caller has made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// It is a UUID, and as such unique: the id itself.
    Id(CommandId),
    /// Anything else is unique only among its maker's requests to one place.
    Name(String),
}

impl Key {
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let Some(text) = only(headers, "Idempotency-Key")? else { return Ok(None) };
        // Many clients send a UUID without the quotes; it can be nothing else.
        if let Some(id) = uuid(text) {
            return Ok(Some(Self::Id(id)));
        }
        let name = string(text).filter(|name| (1..=LONGEST).contains(&name.len()));
        let wrong = || format!("Idempotency-Key is a string in quotes of 1 to {LONGEST} bytes");
        let name = name.ok_or_else(wrong)?;
        Ok(Some(uuid(&name).map_or(Self::Name(name), Self::Id)))
    }
}

/// A UUID as it is usually written. Its other spellings count as names.
fn uuid(text: &str) -> Option<CommandId> {
    let is_usual = text.len() == 36 && text.is_ascii();
    text.parse().ok().filter(|_| is_usual)
}

/// A structured string. The draft gives its parameters no meaning.
fn string(text: &str) -> Option<String> {
    let Item { bare_item, .. } = Parser::new(text).parse().ok()?;
    match bare_item {
        BareItem::String(text) => Some(text.into()),
        _ => None,
    }
}
