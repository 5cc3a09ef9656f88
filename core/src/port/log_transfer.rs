//! Moving a log to another store: commands with the place of their events, and appends that are stored as they were.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    Result,
    domain::{Envelope, Fingerprint, check_schema_version, check_type_name},
    error::Invalid,
    value::{CommandId, Position, StreamId, Version},
};

/// The record of a command, with the place of its events. By it a command that is sent again is recognised (W4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandPlace {
    /// The id of the command.
    pub id: CommandId,
    /// The fingerprint by which a different command under the same id is recognised.
    pub fingerprint: Fingerprint,
    /// The position of its first event. Without events it is the one after `last`.
    pub first: Position,
    /// The position of its last event. Without events it was the head of the log.
    pub last: Position,
}

/// A command with its events, to be stored as they were in another store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedAppend {
    /// The command.
    pub command: CommandPlace,
    /// All of its events, in log order.
    pub events: Vec<Envelope>,
}

/// A store whose log can be moved to another store. Events and commands keep every value, their positions, ids and times
/// among them.
#[async_trait]
pub trait LogTransfer: Send + Sync + 'static {
    /// Returns the records of these commands, in any order. Commands that have not been stored are left out.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn command_places(&self, ids: &[CommandId]) -> Result<Vec<CommandPlace>>;

    /// Returns the records of commands that appended no events, in the order of their positions and then of their ids, at
    /// most `limit`: those after position `from`, and those at it whose id is greater than `after`, or all there without
    /// one. It may read the records of all commands.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn commands_without_events(
        &self,
        from: Position,
        after: Option<CommandId>,
        limit: usize,
    ) -> Result<Vec<CommandPlace>>;

    /// Stores appends of another log, all or none, and wakes followers. The first of their events must be the next one
    /// of this log. A record of a command without events is passed over if it is there already.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if they don't continue the log, or its streams, or a command id is
    /// taken; [`Unavailable`](crate::Error::Unavailable), after which they may have been stored: the head shows it.
    async fn import(&self, appends: &[ImportedAppend]) -> Result<()>;
}

impl CommandPlace {
    /// Returns true if it appended events.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.first <= self.last
    }
}

/// The end of a log, as an import continues it. Stores check by it what they import.
#[derive(Debug, Clone, Default)]
pub struct LogEnd {
    /// The head.
    pub head: Position,
    /// The time of the last event; `None` if there is none.
    pub recorded_at: Option<Timestamp>,
    /// The versions of the streams that get events. Those that are missing have none.
    pub versions: HashMap<StreamId, Version>,
}

impl LogEnd {
    /// Checks that the appends continue the log, and moves the end behind them.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid), which names the position or the command.
    pub fn check(&mut self, appends: &[ImportedAppend]) -> Result<()> {
        appends.iter().try_for_each(|append| self.check_append(append))
    }

    fn check_append(&mut self, append: &ImportedAppend) -> Result<()> {
        let CommandPlace { id, first, last, .. } = append.command;
        let events = append.events.len() as u64;
        if !append.command.has_events() {
            let is_right = events == 0 && first.get() == last.get() + 1 && last <= self.head;
            return if is_right { Ok(()) } else { Err(misplaced(id, self.head)) };
        }
        if first.get() != self.head.get() + 1 || last.get() != self.head.get() + events {
            return Err(misplaced(id, self.head));
        }
        append.events.iter().try_for_each(|event| self.check_event(id, event))
    }

    fn check_event(&mut self, command: CommandId, event: &Envelope) -> Result<()> {
        let Envelope { position, stream, version, recorded_at, .. } = event;
        if position.get() != self.head.get() + 1 || event.command != command {
            return Err(misplaced(command, self.head));
        }
        let before = self.versions.entry(stream.clone()).or_default();
        if *version != before.plus(1) {
            let message = format!(
                "event {position} has version {version} of stream {stream}, and the log has version {before}"
            );
            return Err(Invalid::request(message).into());
        }
        if self.recorded_at.is_some_and(|earlier| *recorded_at < earlier) {
            let message = format!("event {position} has an earlier time than the event before it");
            return Err(Invalid::request(message).into());
        }
        check_type_name(&event.type_name)?;
        check_schema_version(&event.type_name, event.schema_version)?;
        event.tags.as_slice().iter().try_for_each(crate::Tag::validate)?;
        *before = *version;
        self.recorded_at = Some(*recorded_at);
        self.head = *position;
        Ok(())
    }
}

fn misplaced(command: CommandId, head: Position) -> crate::Error {
    let message = format!(
        "command {command} doesn't continue the log at position {head}: a log is imported in its order, and each command with \
         all of its events"
    );
    Invalid::request(message).into()
}
