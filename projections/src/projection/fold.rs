//! The application's code of a keyed view, called with one event: decoding, keys, and the fold of one row.

use highwater_core::{
    Envelope, Result,
    domain::{EventContext, Keys, RowChange, View, ViewName},
    error::{Invalid, Panicked, Source},
};

use super::apply_error::{not_applied, place};

/// Decodes an event and emits what it means today, with its keys. A panic while decoding, upcasting or
/// computing keys is an error.
pub(super) fn decode_with_keys<V: View>(
    keys: &mut Keys,
    envelope: &Envelope,
    emit: &mut dyn FnMut(V::Event, &mut Keys),
) -> Result<()> {
    let place = |code: &str| place(&format!("{code} of view {}", V::NAME), envelope);
    let mut keyed = Ok(());
    let decode = || {
        envelope.decode_into::<V::Event>(&mut |event| {
            if keyed.is_err() {
                return;
            }
            keyed = Panicked::guard(|| place("key"), || V::keys(&event, envelope, keys));
            match keyed {
                Ok(()) => emit(event, keys),
                Err(_) => *keys = Keys::default(),
            }
        })
    };
    Panicked::guard(|| place("decoding"), decode)??;
    Ok(keyed?)
}

/// Folds one event over a row. A fold that fails or panics is an error of the key: the worker applies the
/// events of other keys and of other views.
pub(super) fn fold_one<V: View>(
    view: &ViewName,
    row: &mut Option<V>,
    event: &V::Event,
    at: &EventContext<'_>,
) -> Result<()> {
    let place = || place(&format!("fold of view {view}, key {:?},", at.key), at.envelope);
    match Panicked::guard(place, || row.get_or_insert_default().fold(event, at))? {
        Ok(RowChange::Keep) => Ok(()),
        Ok(RowChange::Delete) => {
            *row = None;
            Ok(())
        }
        Err(error) => Err(not_applied(view, at.key, at.envelope, Source::new(error)).into()),
    }
}

/// The error of an event that gives another key than that of its stream.
pub(super) fn not_by_stream<V: View>(key: &str) -> Invalid {
    Invalid::request(format!(
        "the view is declared {}, but the event gives the key {key:?}: leave `by_stream` out, and the \
         work is sharded by key",
        V::KEYED_BY
    ))
}
