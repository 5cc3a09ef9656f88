//! Outcomes of verbs, failures, exit codes.

use std::{
    error::Error as StdError,
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;

/// The outcome of a verb that met no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolOutcome {
    /// It was done, or something was found. Exit code 0.
    Done,
    /// Something is wrong with the store, at so many places. They have been printed. Exit code 1.
    Findings(usize),
    /// Nothing was found, or nothing was done, for this reason. Exit code 3.
    NotDone(String),
}

/// A verb that failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToolFailure {
    /// The error of a store. Exit code 1.
    Store(highwater::Error),
    /// The answer can't be written. Exit code 1.
    Output(io::Error),
    /// A file can't be used, for this reason. Exit code 1.
    Refused(String),
    /// The arguments lack something. Exit code 2, as for arguments that can't be parsed.
    Usage(String),
}

impl fmt::Display for ToolFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Output(error) => write!(f, "the answer can't be written: {error}"),
            Self::Refused(message) | Self::Usage(message) => f.write_str(message),
        }
    }
}

impl StdError for ToolFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            Self::Output(error) => Some(error),
            Self::Refused(_) | Self::Usage(_) => None,
        }
    }
}

impl From<highwater::Error> for ToolFailure {
    fn from(error: highwater::Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for ToolFailure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// The end of a run, as the caller of the program sees it.
pub(crate) enum Verdict<'a> {
    Done,
    Findings,
    NotDone(&'a str),
    Failed(&'a ToolFailure),
}

impl<'a> Verdict<'a> {
    /// A reader that has seen enough and closes the pipe is no failure.
    pub(crate) fn of(ended: &'a Result<ToolOutcome, ToolFailure>) -> Self {
        match ended {
            Ok(ToolOutcome::Done) => Self::Done,
            Ok(ToolOutcome::Findings(_)) => Self::Findings,
            Ok(ToolOutcome::NotDone(reason)) => Self::NotDone(reason),
            Err(ToolFailure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Self::Done
            }
            Err(failure) => Self::Failed(failure),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::NotDone(_) => ExitCode::from(3),
            Self::Failed(ToolFailure::Usage(_)) => ExitCode::from(2),
            Self::Findings | Self::Failed(_) => ExitCode::FAILURE,
        }
    }

    pub(crate) fn print(&self, err: &mut impl Write, json: bool) -> io::Result<()> {
        match self {
            Self::Done | Self::Findings => Ok(()),
            Self::NotDone(reason) if json => writeln!(err, "{}", json!({ "not_done": reason })),
            Self::NotDone(reason) => writeln!(err, "{reason}"),
            Self::Failed(failure) if json => writeln!(err, "{}", failure.to_json()),
            Self::Failed(failure) => failure.print(err),
        }
    }
}

impl ToolFailure {
    fn print(&self, err: &mut impl Write) -> io::Result<()> {
        let Self::Store(error) = self else {
            return writeln!(err, "error: {self}");
        };
        writeln!(err, "{error:?}\n\nsee {}", page_of(error))
    }

    fn to_json(&self) -> serde_json::Value {
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        let (code, page) = match self {
            Self::Store(error) => (Some(error.code().as_str()), Some(page_of(error))),
            Self::Output(_) | Self::Refused(_) | Self::Usage(_) => (None, None),
        };
        json!({ "error": {
            "code": code, "message": self.to_string(), "causes": causes, "page": page
        } })
    }
}

fn page_of(error: &highwater::Error) -> String {
    format!("docs/errors/{}.md", error.code())
}
