//! Text and JSON, tables, texts that don't disturb a terminal.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use serde::Serialize;

/// The place of answers, and their form.
pub(crate) struct Output<'a> {
    out: &'a mut (dyn Write + Send),
    /// True if answers are JSON.
    pub(crate) json: bool,
}

impl<'a> Output<'a> {
    pub(crate) fn new(out: &'a mut (impl Write + Send), json: bool) -> Self {
        Self { out, json }
    }

    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Writes a whole answer, for readers and for programs.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.out, document)?;
        writeln!(self.out)
    }

    /// Writes one of many answers.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, value)?;
        writeln!(self.out)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A column of a table.
#[derive(Clone, Copy)]
pub(crate) enum TableColumn {
    /// Text, aligned to the left.
    Text(&'static str),
    /// Numbers, aligned to the right.
    Number(&'static str),
}

impl TableColumn {
    fn title(self) -> &'static str {
        match self {
            Self::Text(title) | Self::Number(title) => title,
        }
    }
}

/// Rows whose cells are aligned. The last column may be of any length.
pub(crate) struct TextTable<const N: usize> {
    columns: [TableColumn; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> TextTable<N> {
    pub(crate) fn new(columns: [TableColumn; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Returns the lines, that of the titles first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let titles = self.columns.map(|column| column.title().to_owned());
        let rows: Vec<_> = std::iter::once(&titles).chain(&self.rows).collect();
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let widths: [usize; N] = std::array::from_fn(width);
        rows.into_iter().map(|row| self.aligned(row, &widths)).collect()
    }

    fn aligned(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for ((cell, width), column) in row.iter().zip(widths).zip(self.columns) {
            let cell = match column {
                TableColumn::Text(_) => format!("  {cell:<width$}"),
                TableColumn::Number(_) => format!("  {cell:>width$}"),
            };
            line.push_str(&cell);
        }
        line.trim_end().to_owned()
    }
}

/// Returns the text with its control characters escaped: data must not move the cursor of an operator.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// The width of the lines of text that is wrapped.
const WIDTH: usize = 80;

/// Breaks a text between its words into lines that fit a terminal, if its words do. All lines but the first begin with
/// `indent`.
pub(crate) fn wrapped(text: &str, indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let begin = text.len() - text.trim_start().len();
    let mut line = text[..begin].to_owned();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let length = line.chars().count() + usize::from(!is_empty) + word.chars().count();
        if !is_empty && length > WIDTH {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

/// Returns a count with its noun.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_space_at_their_end() {
        let mut table = TextTable::new([TableColumn::Number("lag"), TableColumn::Text("key")]);
        table.push(["12000".to_owned(), "a".to_owned()]);
        table.push(["3".to_owned(), "longer".to_owned()]);
        assert_eq!(table.lines(), ["    lag  key", "  12000  a", "      3  longer"]);
    }

    #[test]
    fn text_is_wrapped_between_its_words() {
        let long = "x".repeat(100);
        let text = format!("  {} {long} end", "word ".repeat(16));
        let lines = wrapped(&text, "    ");
        assert_eq!(lines[0], format!("  {}", "word ".repeat(15).trim_end()));
        assert_eq!(
            lines[1..],
            ["    word".to_owned(), format!("    {long}"), "    end".to_owned()]
        );
        assert_eq!(wrapped("short", "  "), ["short"]);
    }

    #[test]
    fn control_characters_of_data_are_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("Zürich \"1\""), "Zürich \"1\"");
    }
}
