//! The lines of a blob, counted by ourselves in what `cat-file --batch` gives out.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout},
};

use super::repository::Repository;
use crate::{
    file::{Content, Lines, Mode},
    problem::Problem,
};

const CAT_FILE: &str = "cat-file";
/// Git takes a file for binary if there is a NUL among its first bytes; that many.
const LOOKED_AT: usize = 8000;

/// The content of a blob.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measure {
    /// A last line without a line feed counts.
    pub(crate) lines: u64,
    pub(crate) is_binary: bool,
}

impl Measure {
    /// Returns the number of lines, if the blob is text.
    pub(crate) fn counted(self) -> Lines {
        (!self.is_binary).then_some(self.lines)
    }
}

/// Counts pieces of a blob, so that a large one need not be in memory.
#[derive(Default)]
struct Counter {
    seen: usize,
    line_feeds: u64,
    has_nul: bool,
    last: Option<u8>,
}

impl Counter {
    fn take(&mut self, piece: &[u8]) {
        let left = LOOKED_AT.saturating_sub(self.seen).min(piece.len());
        self.has_nul |= piece[..left].contains(&0);
        self.line_feeds += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.seen += piece.len();
        self.last = piece.last().copied().or(self.last);
    }

    fn measure(&self) -> Measure {
        let open_line = self.last.is_some_and(|byte| byte != b'\n');
        Measure { lines: self.line_feeds + u64::from(open_line), is_binary: self.has_nul }
    }
}

/// A running `git cat-file --batch`.
pub(crate) struct Blobs {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _git: Child,
}

impl Blobs {
    pub(crate) fn start(repository: &Repository) -> Result<Self, Problem> {
        let mut git = repository.git();
        git.args([CAT_FILE, "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut git = git.spawn().map_err(Problem::NoGit)?;
        let (Some(input), Some(output)) = (git.stdin.take(), git.stdout.take()) else {
            return Err(Problem::unexpected(CAT_FILE, "its pipes", b""));
        };
        Ok(Self { input, output: BufReader::with_capacity(1 << 16, output), _git: git })
    }

    /// Reads the content of a file through. A submodule has none here; git shows it as one line, which
    /// names its commit.
    pub(crate) async fn measure(&mut self, content: &Content) -> Result<Measure, Problem> {
        if content.mode == Mode::Submodule {
            return Ok(Measure { lines: 1, is_binary: false });
        }
        let pipe = Problem::pipe(CAT_FILE);
        let ask = format!("{}\n", content.blob);
        self.input.write_all(ask.as_bytes()).await.map_err(&pipe)?;
        self.input.flush().await.map_err(&pipe)?;
        let mut size = self.size(&content.blob).await?;
        let mut counter = Counter::default();
        while size > 0 {
            let piece = self.output.fill_buf().await.map_err(&pipe)?;
            if piece.is_empty() {
                return Err(Problem::unexpected(CAT_FILE, "the rest of a blob", b""));
            }
            let taken = piece.len().min(size);
            counter.take(&piece[..taken]);
            self.output.consume(taken);
            size -= taken;
        }
        let mut end = Vec::new();
        self.output.read_until(b'\n', &mut end).await.map_err(&pipe)?;
        Ok(counter.measure())
    }

    /// Reads `<hash> blob <size>`.
    async fn size(&mut self, blob: &str) -> Result<usize, Problem> {
        let mut line = String::new();
        self.output.read_line(&mut line).await.map_err(Problem::pipe(CAT_FILE))?;
        match line.trim_end().split(' ').collect::<Vec<_>>()[..] {
            [_, "blob", size] => {
                size.parse().map_err(|_| Problem::unexpected(CAT_FILE, "a size", line.as_bytes()))
            }
            [_, "missing"] => Err(Problem::NoObject(blob.to_owned())),
            _ => Err(Problem::unexpected(CAT_FILE, "a blob", line.as_bytes())),
        }
    }
}
