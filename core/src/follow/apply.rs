//! Folding stored events into states.

use crate::{
    Error, Result,
    domain::{Decider, Envelope},
    error::Corrupt,
};

/// What to do with an event whose type the program doesn't know, when a state is folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownEvents {
    /// Fail with [`Error::Corrupt`](crate::Error::Corrupt): the state would be wrong without it.
    #[default]
    Fail,
    /// Leave it out, with a warning in the log.
    Skip,
}

/// Decodes a stored event and applies what it means today.
pub(crate) fn apply<D: Decider>(
    state: &mut D,
    event: &Envelope,
    unknown: UnknownEvents,
) -> Result<()> {
    match event.decode_into::<D::Event>(&mut |event| state.apply(&event)) {
        Err(Error::Corrupt(corrupt)) if unknown == UnknownEvents::Skip => match *corrupt {
            Corrupt::UnknownEvent { position, stream, type_name } => {
                tracing::warn!(%position, %stream, %type_name, "event of unknown type left out");
                Ok(())
            }
            other => Err(other.into()),
        },
        outcome => outcome,
    }
}
