//! `Highwater-Freshness`: the freshness of a response, as a structured field (R2).

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use highwater_core::{
    Position,
    consistency::{Basis, Level},
    value::{Freshness, FreshnessStatus},
};
use sfv::{Date, Integer, ItemSerializer, KeyRef, TokenRef};

/// The header that states the freshness of a response (R2): a structured field
/// ([RFC 9651](https://www.rfc-editor.org/rfc/rfc9651)), an item with parameters, such as
/// `converging;position=17;lag=3;as-of=@1767225600;level=eventual;basis=view`.
pub const FRESHNESS: HeaderName = HeaderName::from_static("highwater-freshness");

/// Writes the header.
pub(super) fn write(freshness: &Freshness, basis: Basis, level: Level, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::try_from(text(freshness, basis, level)) {
        headers.insert(FRESHNESS, value);
    }
}

fn text(freshness: &Freshness, basis: Basis, level: Level) -> String {
    let mut item = ItemSerializer::new().bare_item(token(freshness.status()));
    let numbers = [
        (const { KeyRef::constant("position") }, Some(freshness.position.get())),
        (const { KeyRef::constant("lag") }, freshness.lag()),
        (const { KeyRef::constant("since") }, freshness.parked_since.map(Position::get)),
    ];
    for (name, number) in numbers {
        // A structured integer has at most 15 digits: a longer one is left out.
        if let Some(number) = number.and_then(|number| Integer::try_from(number).ok()) {
            item = item.parameter(name, number);
        }
    }
    if let Ok(second) = Integer::try_from(freshness.as_of.as_second()) {
        item = item.parameter(const { KeyRef::constant("as-of") }, Date::from_unix_seconds(second));
    }
    let stopped_at = freshness.stopped_at.filter(|_| freshness.is_stopped());
    if let Some(Ok(second)) = stopped_at.map(|at| Integer::try_from(at.as_second())) {
        item = item
            .parameter(const { KeyRef::constant("stopped-at") }, Date::from_unix_seconds(second));
    }
    if let Ok(level) = TokenRef::from_str(level.name()) {
        item = item.parameter(const { KeyRef::constant("level") }, level);
    }
    item.parameter(const { KeyRef::constant("basis") }, basis_token(basis)).finish()
}

/// The name of a status.
pub(super) fn token(status: FreshnessStatus) -> &'static TokenRef {
    match status {
        FreshnessStatus::Current => const { TokenRef::constant("current") },
        FreshnessStatus::Degraded(_) => const { TokenRef::constant("degraded") },
        FreshnessStatus::Stopped(_) => const { TokenRef::constant("stopped") },
        FreshnessStatus::Rebuilding(_) => const { TokenRef::constant("rebuilding") },
        _ => const { TokenRef::constant("converging") },
    }
}

/// The name of a basis. An unknown one counts as less than was asked for.
fn basis_token(basis: Basis) -> &'static TokenRef {
    match basis {
        Basis::View => const { TokenRef::constant("view") },
        Basis::Folded => const { TokenRef::constant("folded") },
        Basis::Optimistic => const { TokenRef::constant("optimistic") },
        _ => const { TokenRef::constant("stale") },
    }
}
