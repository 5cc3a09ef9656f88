//! From a log into a file.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Seek as _, SeekFrom, Write},
    path::PathBuf,
};

use clap::Args;
use highwater::{CommandId, Highwater, Position};
use serde_json::json;

use super::{
    entries::{EmptyCommands, LogEntries},
    line::{HEADER, LogEntry},
    lines::LogLines,
    progress::Progress,
};
use crate::{
    outcome::{ToolFailure, ToolOutcome},
    output::Output,
};

#[derive(Args)]
pub(crate) struct ExportLog {
    /// The file. One that an export has begun is continued.
    file: PathBuf,
}

/// The part of the log that a file has already.
struct Exported {
    /// The position of its last event.
    through: Position,
    /// The commands without events after that.
    empty: HashSet<CommandId>,
    /// The number of its bytes that are kept.
    bytes: u64,
}

impl ExportLog {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let name = self.file.display().to_string();
        let file = |error: io::Error| ToolFailure::Refused(format!("{name}: {error}"));
        let mut options = OpenOptions::new();
        let mut into = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.file)
            .map_err(file)?;
        let head = app.log().head().await?;
        let mut progress = Progress::new("exporting events", head.get());
        let exported = compare(app, &into, &name, head, &mut progress).await?;
        into.set_len(exported.bytes).and_then(|()| into.seek(SeekFrom::End(0))).map_err(file)?;
        let (from, events) = (exported.through.get() + 1, head.since(exported.through));
        let mut writer = BufWriter::with_capacity(1 << 20, &mut into);
        let written = write(app, exported, head, &mut writer, &mut progress).await?;
        written.and_then(|()| writer.flush()).map_err(file)?;
        drop(writer);
        into.sync_all().map_err(file)?;
        drop(progress);
        if output.json {
            output
                .document(&json!({ "file": name, "from": from, "head": head, "events": events }))?;
        } else if events == 0 {
            output.line(&format!("{name} has every event up to {head}"))?;
        } else {
            output.line(&format!("events {from} to {head} are exported to {name}"))?;
        }
        Ok(ToolOutcome::Done)
    }
}

/// Compares the file with the log: it must be how the log begins. A last line that was not written whole is dropped.
async fn compare(
    app: &Highwater,
    file: &File,
    name: &str,
    head: Position,
    progress: &mut Progress,
) -> Result<Exported, ToolFailure> {
    let mut lines = LogLines::new(BufReader::with_capacity(1 << 20, file), name.to_owned())?;
    let mut log = LogEntries::new(app.log(), Position::START, head);
    let mut exported = Exported { through: Position::START, empty: HashSet::new(), bytes: 0 };
    while let Some(entry) = lines.next()? {
        match &entry.event {
            None if entry.command.last == exported.through => {
                exported.empty.insert(entry.command.id);
            }
            Some(event) if log.next().await?.as_ref() == Some(&entry) => {
                exported.through = event.position;
                exported.empty.clear();
                progress.reached(exported.through.get());
            }
            _ => return Err(lines.refusal(&differs(&exported, head))),
        }
    }
    exported.bytes = lines.whole;
    Ok(exported)
}

fn differs(exported: &Exported, head: Position) -> String {
    format!(
        "the log, which ends at position {head}, has something else after position {}: the file is of another log, or \
         the log was changed since (tags that are added change it); export into another file",
        exported.through
    )
}

/// Writes what the file lacks. The outer error is of the store, the inner one of the file.
async fn write(
    app: &Highwater,
    exported: Exported,
    head: Position,
    writer: &mut (impl Write + Send),
    progress: &mut Progress,
) -> highwater::Result<io::Result<()>> {
    let mut log = LogEntries::new(app.log(), exported.through, head);
    let mut empty = EmptyCommands::new(app.log(), exported.through, exported.empty);
    if exported.bytes == 0
        && let Err(error) = writeln!(writer, "{HEADER}")
    {
        return Ok(Err(error));
    }
    loop {
        let entry = log.next().await?;
        let before = match &entry {
            Some(LogEntry { command: _, event: Some(event) }) => {
                Position::new(event.position.get() - 1)
            }
            _ => head,
        };
        while let Some(command) = empty.next_through(before).await? {
            if let Err(error) = write_entry(&command, writer) {
                return Ok(Err(error));
            }
        }
        let Some(entry) = entry else { return Ok(Ok(())) };
        if let Err(error) = write_entry(&entry, writer) {
            return Ok(Err(error));
        }
        progress.reached(before.get() + 1);
    }
}

fn write_entry(entry: &LogEntry, writer: &mut impl Write) -> io::Result<()> {
    writer.write_all(&entry.to_line()?)
}
