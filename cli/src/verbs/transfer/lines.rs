//! The lines of a file, with their numbers.

use std::io::BufRead;

use super::line::{HEADER, LogEntry};
use crate::outcome::ToolFailure;

/// The lines of a file that an export has written.
pub(super) struct LogLines<R> {
    reader: R,
    /// The name of the file, for refusals.
    name: String,
    /// The number of the last line that was read.
    number: u64,
    /// The number of bytes up to the end of the last whole line.
    pub(super) whole: u64,
    line: Vec<u8>,
    /// True if the last line has an end.
    is_whole: bool,
}

impl<R: BufRead> LogLines<R> {
    /// Creates the lines, and reads the first one.
    ///
    /// # Errors
    /// The file can't be read, or is not of an export.
    pub(super) fn new(reader: R, name: String) -> Result<Self, ToolFailure> {
        let mut lines =
            Self { reader, name, number: 0, whole: 0, line: Vec::new(), is_whole: true };
        let is_whole = lines.read()?;
        match is_whole {
            true if lines.line == HEADER.as_bytes() => Ok(lines),
            false if HEADER.as_bytes().starts_with(&lines.line) => Ok(lines),
            _ => Err(lines.refusal("it is not the first line of a file that highwater exported")),
        }
    }

    /// Returns true if the file has nothing yet, not even a first line.
    pub(super) fn is_new(&self) -> bool {
        self.whole == 0
    }

    /// Returns true if the file ends in the middle of the last line that was read: the export was interrupted.
    pub(super) fn is_cut(&self) -> bool {
        !self.is_whole && !self.line.is_empty()
    }

    /// Reads the next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<LogEntry>, ToolFailure> {
        if self.is_new() || !self.read()? {
            return Ok(None);
        }
        LogEntry::of_line(&self.line).map(Some).map_err(|why| self.refusal(&why))
    }

    /// Reads a line without its end. Returns false if it has none.
    fn read(&mut self) -> Result<bool, ToolFailure> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| ToolFailure::Refused(format!("{}: {error}", self.name)))?;
        if read > 0 {
            self.number += 1;
        }
        self.is_whole = self.line.pop_if(|byte| *byte == b'\n').is_some();
        if self.is_whole {
            self.whole += read as u64;
        }
        Ok(self.is_whole)
    }

    /// Creates the refusal of the last line.
    pub(super) fn refusal(&self, why: &str) -> ToolFailure {
        ToolFailure::Refused(format!("{}, line {}: {why}", self.name, self.number.max(1)))
    }
}
