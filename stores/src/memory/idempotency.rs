//! Commands that have been stored, with their answers (W4).

use std::collections::HashMap;

use highwater_core::{
    CommandId, Position, Result,
    domain::Fingerprint,
    error::Invalid,
    port::{Appended, RecordedCommand},
};

#[derive(Default)]
pub(super) struct MemoryCommands {
    known: HashMap<CommandId, RecordedCommand>,
}

impl MemoryCommands {
    pub(super) fn get(&self, id: CommandId) -> Option<RecordedCommand> {
        self.known.get(&id).cloned()
    }

    /// Returns the ids of commands without events, each with the head at that time.
    pub(super) fn without_events(&self) -> impl Iterator<Item = (Position, CommandId)> {
        let empty = |known: &&RecordedCommand| known.appended.streams.is_empty();
        let place = |(id, known): (&CommandId, &RecordedCommand)| (known.appended.position, *id);
        self.known.iter().filter(move |(_, known)| empty(known)).map(place)
    }

    /// Returns the earlier answer of this command, if it has been stored.
    pub(super) fn answer(
        &self,
        id: CommandId,
        fingerprint: Fingerprint,
    ) -> Result<Option<Appended>> {
        match self.known.get(&id) {
            None => Ok(None),
            Some(known) if known.fingerprint == fingerprint => Ok(Some(known.appended.clone())),
            Some(_) => Err(Invalid::command_id_reused(id).into()),
        }
    }

    pub(super) fn record(&mut self, id: CommandId, fingerprint: Fingerprint, first: &Appended) {
        let appended = Appended { repeated: true, ..first.clone() };
        self.known.insert(id, RecordedCommand { fingerprint, appended });
    }
}
