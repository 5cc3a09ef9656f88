//! Moving a log to another store.

use highwater_core::{
    CommandId, Result,
    domain::Fingerprint,
    error::Invalid,
    port::{CommandPlace, ImportedAppend},
};

use super::row::SqlRow;

pub(crate) const READING: &str = "reading commands";
pub(crate) const IMPORTING: &str = "importing a log";

/// Decodes id, fingerprint, first and last position.
pub(crate) fn decode_place(row: &impl SqlRow) -> sqlx::Result<CommandPlace> {
    Ok(CommandPlace {
        id: CommandId::from_uuid(row.id(0)?),
        fingerprint: Fingerprint::from_bits(row.integer(1)?.cast_unsigned()),
        first: row.position(2)?,
        last: row.position(3)?,
    })
}

/// Refuses times that the column would not hold exactly.
pub(crate) fn check_times(appends: &[ImportedAppend]) -> Result<()> {
    let events = appends.iter().flat_map(|append| &append.events);
    match events.into_iter().find(|event| event.recorded_at.subsec_nanosecond() % 1_000 != 0) {
        None => Ok(()),
        Some(event) => {
            let message = format!(
                "event {} has the time {}, and a database keeps microseconds: it was recorded in memory",
                event.position, event.recorded_at
            );
            Err(Invalid::request(message).into())
        }
    }
}
