//! Moving the log to another store.

use async_trait::async_trait;
use highwater_core::{
    CommandId, Envelope, Position, Result,
    error::Invalid,
    port::{Appended, CommandPlace, ImportedAppend, LogEnd, LogTransfer, StreamHead},
};

use super::{MemoryState, MemoryStore};

#[async_trait]
impl LogTransfer for MemoryStore {
    async fn command_places(&self, ids: &[CommandId]) -> Result<Vec<CommandPlace>> {
        let state = self.state();
        Ok(ids.iter().filter_map(|id| state.place(*id)).collect())
    }

    async fn commands_without_events(
        &self,
        from: Position,
        after: Option<CommandId>,
        limit: usize,
    ) -> Result<Vec<CommandPlace>> {
        let state = self.state();
        let is_after = |(position, id): &(Position, CommandId)| {
            *position > from || *position == from && after.is_none_or(|after| *id > after)
        };
        let mut found: Vec<_> = state.commands.without_events().filter(is_after).collect();
        found.sort_unstable();
        Ok(found.into_iter().take(limit).filter_map(|(_, id)| state.place(id)).collect())
    }

    async fn import(&self, appends: &[ImportedAppend]) -> Result<()> {
        let mut state = self.state();
        state.check_import(appends)?;
        for append in appends {
            state.import(append);
        }
        self.announce(state.log.head());
        Ok(())
    }
}

impl MemoryState {
    fn place(&self, id: CommandId) -> Option<CommandPlace> {
        let recorded = self.commands.get(id)?;
        let last = recorded.appended.position;
        let events = usize::try_from(last.get()).unwrap_or_default();
        let own = |event: &&Envelope| event.command == id;
        let count = self.log.events[..events].iter().rev().take_while(own).count() as u64;
        let first = Position::new(last.get() + 1 - count);
        Some(CommandPlace { id, fingerprint: recorded.fingerprint, first, last })
    }

    fn check_import(&self, appends: &[ImportedAppend]) -> Result<()> {
        let streams = appends.iter().flat_map(|append| &append.events).map(|event| &event.stream);
        let mut end = LogEnd {
            head: self.log.head(),
            recorded_at: self.log.events.last().map(|event| event.recorded_at),
            versions: streams
                .map(|stream| (stream.clone(), self.log.actual(stream).version))
                .collect(),
        };
        end.check(appends)?;
        for append in appends {
            let known = self.place(append.command.id);
            if known.is_some_and(|known| known != append.command) {
                return Err(Invalid::command_id_taken(append.command.id).into());
            }
        }
        Ok(())
    }

    fn import(&mut self, append: &ImportedAppend) {
        let CommandPlace { id, fingerprint, last, .. } = append.command;
        let mut streams: Vec<StreamHead> = Vec::new();
        for event in &append.events {
            let index = self.log.events.len();
            let type_name = self.log.type_name(&event.type_name);
            self.log.streams.entry(event.stream.clone()).or_default().push(index);
            self.log.events.push(Envelope { type_name, ..event.clone() });
            match streams.iter_mut().find(|head| head.stream == event.stream) {
                Some(head) => head.version = event.version,
                None => streams
                    .push(StreamHead { stream: event.stream.clone(), version: event.version }),
            }
        }
        let appended = Appended { position: last, streams, repeated: true };
        self.commands.record(id, fingerprint, &appended);
    }
}
