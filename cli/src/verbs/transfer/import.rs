//! From a file into a log.

use std::{
    fs::File,
    io::{self, BufReader},
    path::PathBuf,
};

use clap::Args;
use highwater::{
    Highwater, Position,
    port::{CommandPlace, EventStore, ImportedAppend},
};
use serde_json::json;

use super::{
    super::PAGE, entries::LogEntries, line::LogEntry, lines::LogLines, progress::Progress,
};
use crate::{
    outcome::{ToolFailure, ToolOutcome},
    output::Output,
    question::Consent,
};

/// The number of bytes of payloads that are imported at once.
const BYTES: usize = 8 << 20;

#[derive(Args)]
pub(crate) struct ImportLog {
    /// A file that was exported.
    file: PathBuf,
    #[command(flatten)]
    consent: Consent,
}

impl ImportLog {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let name = self.file.display().to_string();
        let refused = |error: io::Error| ToolFailure::Refused(format!("{name}: {error}"));
        let file = File::open(&self.file).map_err(refused)?;
        let bytes = file.metadata().map_err(refused)?.len();
        let head = app.log().head().await?;
        let change = format!("import {name} into the log, which ends at position {head}");
        if !self.consent.to(&change).await? {
            return Ok(ToolOutcome::NotDone("nothing was imported".to_owned()));
        }
        let lines = LogLines::new(BufReader::with_capacity(1 << 20, file), name.clone())?;
        let mut progress = Progress::new("importing bytes", bytes);
        let through = ImportBatch::new(app, head).run(lines, &mut progress).await?;
        drop(progress);
        let (from, events) = (head.get() + 1, through.since(head));
        if output.json {
            output.document(
                &json!({ "file": name, "from": from, "head": through, "events": events }),
            )?;
        } else if events == 0 {
            output.line(&format!("the log has every event of {name}"))?;
        } else {
            output.line(&format!("events {from} to {through} are imported from {name}"))?;
        }
        Ok(ToolOutcome::Done)
    }
}

/// Appends that are imported at once.
struct ImportBatch<'a> {
    log: &'a dyn EventStore,
    /// The events that the log has already.
    known: LogEntries,
    /// The position up to which the file has been read.
    through: Position,
    whole: Vec<ImportedAppend>,
    /// The commands without events that the log must have already.
    earlier: Vec<CommandPlace>,
    /// An append that lacks events.
    begun: Option<ImportedAppend>,
    events: usize,
    bytes: usize,
}

impl<'a> ImportBatch<'a> {
    fn new(app: &'a Highwater, head: Position) -> Self {
        Self {
            log: &**app.log(),
            known: LogEntries::new(app.log(), Position::START, head),
            through: Position::START,
            whole: Vec::new(),
            earlier: Vec::new(),
            begun: None,
            events: 0,
            bytes: 0,
        }
    }

    /// Imports the lines, and returns the position of the last event.
    async fn run(
        mut self,
        mut lines: LogLines<BufReader<File>>,
        progress: &mut Progress,
    ) -> Result<Position, ToolFailure> {
        while let Some(entry) = lines.next()? {
            self.add(entry).await?.map_err(|why| lines.refusal(&why))?;
            progress.reached(lines.whole);
        }
        self.check_earlier().await?.map_err(|why| lines.refusal(&why))?;
        // The rest of a file that ends before the log is of another one.
        if self.known.head <= self.through {
            self.flush().await?;
        }
        if lines.is_cut() || lines.is_new() {
            let why = "it is not whole: the export was interrupted; export into the file again, which continues it";
            return Err(lines.refusal(why));
        }
        if let Some(begun) = &self.begun {
            let why = format!(
                "it is the last one, and its command goes on up to position {}: export into the file again, which \
                 continues it",
                begun.command.last
            );
            return Err(lines.refusal(&why));
        }
        if self.known.head > self.through {
            let why = format!(
                "it is the last one, and the log goes on after position {} up to {}: it has events that are not of the file",
                self.through, self.known.head
            );
            return Err(lines.refusal(&why));
        }
        Ok(self.through)
    }

    /// Adds a line. The inner error says why it can't be the next one.
    async fn add(&mut self, entry: LogEntry) -> highwater::Result<Result<(), String>> {
        let Some(event) = &entry.event else {
            if self.begun.is_some() || entry.command.last != self.through {
                return Ok(Err(format!("it can't come after position {}", self.through)));
            }
            return self.add_command(entry.command).await;
        };
        if event.position.get() != self.through.get() + 1 {
            return Ok(Err(format!("an event must come after position {}", self.through)));
        }
        self.through = event.position;
        if event.position <= self.known.head {
            return self.compare(&entry).await;
        }
        let LogEntry { command, event: Some(event) } = entry else { return Ok(Ok(())) };
        let begun = self.begun.take();
        let mut append = begun.unwrap_or(ImportedAppend { command, events: Vec::new() });
        if append.command != command || append.events.is_empty() && command.first != event.position
        {
            return Ok(Err("events of its command are missing before it".to_owned()));
        }
        self.events += 1;
        self.bytes += event.payload.len();
        append.events.push(event);
        if self.through < command.last {
            self.begun = Some(append);
            return Ok(Ok(()));
        }
        self.whole.push(append);
        self.flush_if_full().await.map(Ok)
    }

    /// Adds a command without events. Only a log that has all events before it, and goes on there, gets it: otherwise it is
    /// not known yet if it is this one.
    async fn add_command(
        &mut self,
        command: CommandPlace,
    ) -> highwater::Result<Result<(), String>> {
        if self.through < self.known.head {
            self.earlier.push(command);
            return match self.earlier.len() < PAGE {
                true => Ok(Ok(())),
                false => self.check_earlier().await,
            };
        }
        self.whole.push(ImportedAppend { command, events: Vec::new() });
        self.flush_if_full().await.map(Ok)
    }

    /// Compares commands without events with those of the log.
    async fn check_earlier(&mut self) -> highwater::Result<Result<(), String>> {
        let earlier = std::mem::take(&mut self.earlier);
        let ids: Vec<_> = earlier.iter().map(|command| command.id).collect();
        let known = match ids.is_empty() {
            true => Vec::new(),
            false => self.log.transfer().command_places(&ids).await?,
        };
        let missing = earlier.iter().find(|command| !known.contains(command));
        Ok(missing.map_or(Ok(()), |command| {
            let CommandPlace { id, last, .. } = command;
            Err(format!("it is past command {id} at position {last}, which the log doesn't have"))
        }))
    }

    /// Compares an event with that of the log. An append that the log has in part would have been stored whole.
    async fn compare(&mut self, entry: &LogEntry) -> highwater::Result<Result<(), String>> {
        Ok(match self.known.next().await? {
            Some(known) if known == *entry => Ok(()),
            _ => Err(format!(
                "the log has another event at position {}: a file is imported into an empty log, or into one that has \
                 the beginning of the file and nothing else",
                self.through
            )),
        })
    }

    async fn flush_if_full(&mut self) -> highwater::Result<()> {
        if self.events < PAGE && self.bytes < BYTES && self.whole.len() < PAGE {
            return Ok(());
        }
        self.flush().await
    }

    /// Imports the appends that are whole.
    async fn flush(&mut self) -> highwater::Result<()> {
        let whole = std::mem::take(&mut self.whole);
        (self.events, self.bytes) = (0, 0);
        if whole.is_empty() {
            return Ok(());
        }
        self.log.transfer().import(&whole).await
    }
}
