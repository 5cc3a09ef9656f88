//! Events with their commands, from a log, page by page.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use highwater::{
    CommandId, Position, Query, Result,
    error::Corrupt,
    port::{CommandPlace, EventStore, ReadFrom},
};

use super::{super::PAGE, line::LogEntry};

/// The events of a log up to the head that it had at first.
pub(super) struct LogEntries {
    log: Arc<dyn EventStore>,
    through: Position,
    pub(super) head: Position,
    page: VecDeque<LogEntry>,
}

impl LogEntries {
    pub(super) fn new(log: &Arc<dyn EventStore>, after: Position, head: Position) -> Self {
        Self { log: Arc::clone(log), through: after, head, page: VecDeque::new() }
    }

    /// Returns the next event; `None` at the head.
    pub(super) async fn next(&mut self) -> Result<Option<LogEntry>> {
        if self.page.is_empty() && self.through < self.head {
            self.page = self.next_page().await?;
        }
        Ok(self.page.pop_front())
    }

    async fn next_page(&mut self) -> Result<VecDeque<LogEntry>> {
        let from = ReadFrom::After(self.through);
        let mut events = self.log.read_log(&Query::all(), from, PAGE).await?.events;
        events.retain(|event| event.position <= self.head);
        let mut ids: Vec<CommandId> = events.iter().map(|event| event.command).collect();
        ids.dedup();
        let places = self.log.transfer().command_places(&ids).await?;
        let places: HashMap<_, _> = places.into_iter().map(|place| (place.id, place)).collect();
        let mut page = VecDeque::with_capacity(events.len());
        for event in events {
            if event.position.get() != self.through.get() + 1 {
                let message = format!("there is no event after position {}", self.through);
                return Err(Corrupt::Log(message).into());
            }
            self.through = event.position;
            let Some(command) = places.get(&event.command).copied() else {
                let message = format!("the command of event {} has no record", event.position);
                return Err(Corrupt::Log(message).into());
            };
            page.push_back(LogEntry { command, event: Some(event) });
        }
        Ok(page)
    }
}

/// Commands without events, in the order of their positions.
pub(super) struct EmptyCommands {
    log: Arc<dyn EventStore>,
    /// The place of the last one.
    last: (Position, Option<CommandId>),
    /// Those at the first position that are passed over.
    passed: HashSet<CommandId>,
    page: VecDeque<CommandPlace>,
    is_end: bool,
}

impl EmptyCommands {
    /// Creates those from a position on, but for these.
    pub(super) fn new(
        log: &Arc<dyn EventStore>,
        from: Position,
        passed: HashSet<CommandId>,
    ) -> Self {
        let log = Arc::clone(log);
        Self { log, last: (from, None), passed, page: VecDeque::new(), is_end: false }
    }

    /// Returns the next one, if it is at this position or an earlier one.
    pub(super) async fn next_through(&mut self, through: Position) -> Result<Option<LogEntry>> {
        loop {
            if self.page.is_empty() && !self.is_end {
                self.read_page().await?;
            }
            let Some(command) = self.page.front().filter(|command| command.last <= through) else {
                return Ok(None);
            };
            let command = *command;
            self.page.pop_front();
            if !self.passed.contains(&command.id) {
                return Ok(Some(LogEntry { command, event: None }));
            }
        }
    }

    async fn read_page(&mut self) -> Result<()> {
        let (from, after) = self.last;
        let page = self.log.transfer().commands_without_events(from, after, PAGE).await?;
        match page.last() {
            Some(last) => self.last = (last.last, Some(last.id)),
            None => self.is_end = true,
        }
        self.page = page.into();
        Ok(())
    }
}
