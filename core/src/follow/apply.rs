//! Folding stored events into states.

use std::cell::Cell;

use crate::{
    Error, Result,
    domain::{Decider, Envelope},
    error::{Corrupt, Panicked},
};

/// The treatment of events whose type the program doesn't know, when a state is folded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownEvents {
    /// Fail with [`Error::Corrupt`](crate::Error::Corrupt): without the event the state would be
    /// wrong.
    #[default]
    Fail,
    /// Skip the event, with a warning in the log.
    Skip,
}

/// Folds events in order. A panic of `fold`, or of the decoding in it, becomes an error that names the
/// event. There is one guard for all events, so that it costs nothing per event.
pub(crate) fn fold_events<'a>(
    events: &'a [Envelope],
    mut fold: impl FnMut(&'a Envelope) -> Result<()>,
) -> Result<()> {
    let current = Cell::new(0);
    let place = || {
        events.get(current.get()).map_or_else(String::new, |event| {
            let Envelope { type_name, position, stream, .. } = event;
            format!("apply of event {type_name} at {position} of stream {stream}")
        })
    };
    Panicked::guard(place, || {
        events.iter().enumerate().try_for_each(|(index, event)| {
            current.set(index);
            fold(event)
        })
    })?
}

/// Decodes a stored event and applies its current meaning.
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
