//! The errors of the program, with the next step of its user.

use std::{io, path::PathBuf};

/// Why the program can't go on. Whatever has been recorded until then is kept, and is right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// Highwater's own errors, among them a rejection by an invariant.
    #[error("{0} ({code})", code = .0.code())]
    Highwater(#[from] highwater::Error),
    #[error("what was found can't be printed: {0}")]
    Print(#[from] io::Error),
    #[error("git can't be run; is it installed? ({0})")]
    NoGit(#[source] io::Error),
    #[error("git {command} failed: {message}")]
    Git { command: String, message: String },
    #[error("reading from git {command} failed: {source}")]
    Pipe { command: &'static str, source: io::Error },
    #[error("git {command} printed {found:?} where {expected} was expected")]
    Unexpected { command: &'static str, expected: &'static str, found: String },
    #[error("{0} has no commit yet: there is nothing to read")]
    NoCommit(String),
    #[error("{0:?} names no commit")]
    NoSuchCommit(String),
    #[error("commit {commit}: the path {path} can't name a stream: {reason}")]
    Path { commit: String, path: String, reason: String },
    #[error("git has no object {0}; in a partial clone, fetch what is missing first")]
    NoObject(String),
    #[error(
        "the database holds the history that begins with commit {recorded}, and this repository's \
         begins with {found}: name another one with --db"
    )]
    OtherRepository { recorded: String, found: String },
    #[error(
        "the recorded history ends with commit {recorded}, which is not on the line of first \
         parents of {head}: that is another branch, or the history was rewritten. Name another \
         database with --db"
    )]
    OtherBranch { recorded: String, head: String },
    #[error(
        "commit {0} is not recorded: it is not on the line of first parents, or it is new. Without \
         --tree the program records what is missing"
    )]
    NotRecorded(String),
    #[error("the folder {0:?} can't be entered, or its name is not Unicode")]
    Folder(PathBuf),
    #[error(
        "the log grew while it was compared with git, so another run is recording: run this again \
         when that one has finished"
    )]
    StillRecording,
}

impl Problem {
    /// Something in git's output that is not as documented. It is shown shortened: it may be long.
    pub(crate) fn unexpected(command: &'static str, expected: &'static str, found: &[u8]) -> Self {
        let found = String::from_utf8_lossy(found).chars().take(100).collect();
        Self::Unexpected { command, expected, found }
    }

    pub(crate) fn pipe(command: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Pipe { command, source }
    }
}
