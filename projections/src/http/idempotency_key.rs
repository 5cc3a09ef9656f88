//! `Idempotency-Key`, from which a command's id is derived (W4).

use axum::http::{HeaderMap, HeaderName};
use highwater_core::CommandId;
use sfv::{BareItem, Item, Parser};

use super::single_header;

/// The header that makes a command safe to retry: a string in quotes, as specified in the IETF
/// [draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const MAX_KEY_BYTES: usize = 255;

/// A key that a caller has chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IdempotencyKey {
    /// A UUID, which is globally unique: the command's id itself.
    Id(CommandId),
    /// Any other text, which is unique only among one caller's requests to one endpoint.
    Name(String),
}

impl IdempotencyKey {
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let Some(text) = single_header(headers, "Idempotency-Key")? else { return Ok(None) };
        // Many clients send a UUID without the quotes. It is unambiguous.
        if let Some(id) = uuid(text) {
            return Ok(Some(Self::Id(id)));
        }
        let name = string(text).filter(|name| (1..=MAX_KEY_BYTES).contains(&name.len()));
        let malformed =
            || format!("Idempotency-Key must be a string in quotes of 1 to {MAX_KEY_BYTES} bytes");
        let name = name.ok_or_else(malformed)?;
        Ok(Some(uuid(&name).map_or(Self::Name(name), Self::Id)))
    }
}

/// Parses a UUID in its canonical form. Other spellings count as names.
fn uuid(text: &str) -> Option<CommandId> {
    let is_canonical = text.len() == 36 && text.is_ascii();
    text.parse().ok().filter(|_| is_canonical)
}

/// Parses a structured string. The draft gives its parameters no meaning, so they are ignored.
fn string(text: &str) -> Option<String> {
    let Item { bare_item, .. } = Parser::new(text).parse().ok()?;
    match bare_item {
        BareItem::String(text) => Some(text.into()),
        _ => None,
    }
}
