//! Looks at the database of a store without changing it: what a program would be refused for, and what puts its data at
//! risk. The tables are not migrated, and not created.

use highwater_core::{Code, Error, Result, error::Invalid};

/// The weight of a finding. The worst is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is broken, or data may be lost.
    Error,
    /// Something waits for an operator, or will not work later.
    Warning,
}

/// A fault, and what an operator does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFinding {
    /// Its weight.
    pub severity: Severity,
    /// The code whose page has more; `None` if there is none.
    pub code: Option<Code>,
    /// The fault. Text from the database is as it is stored.
    pub message: String,
    /// The remedy, in one sentence.
    pub to_do: String,
}

/// The result of looking at a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// The version of the tables; 0 if there are none.
    pub schema: usize,
    /// The version that this program knows.
    pub known_schema: usize,
    /// The faults. Tables of another version are none of them.
    pub findings: Vec<StoreFinding>,
    /// The workers of each stored generation, in the order of their names; none unless the tables are of the version that
    /// this program knows.
    pub workers: Vec<ViewWorkers>,
}

/// The workers of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewWorkers {
    /// The name under which the generation is stored.
    pub view: String,
    /// The number of workers that are alive.
    pub alive: u64,
    /// The shards whose worker let its lease run out, and that no other worker has taken over.
    pub expired: Vec<u32>,
}

impl StoreFinding {
    /// Creates an error.
    pub fn error(message: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::new(Severity::Error, message, to_do)
    }

    /// Creates a warning.
    pub fn warning(message: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message, to_do)
    }

    fn new(severity: Severity, message: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { severity, code: None, message: message.into(), to_do: to_do.into() }
    }

    /// Names the code whose page has more.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Creates the finding of an error that a program would get, with its causes.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::error(message, "follow the page of the error").with_code(error.code())
    }
}

impl Examination {
    /// Looks at the database that a URL names, as [`Open::open`](crate::Open::open) takes it. The memory has nothing to
    /// look at.
    ///
    /// # Errors
    /// As [`Open::open`](crate::Open::open); of a database that can't be opened as it is, and of one of a newer Highwater.
    pub async fn of(url: &str) -> Result<Self> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            Some("sqlite") => crate::sqlite::examine(&crate::SqliteOptions::new(url)?).await,
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => {
                crate::postgres::examine(&crate::PostgresOptions::new(url)?).await
            }
            _ => {
                let message = "only stores on SQLite and PostgreSQL that this program was built for can be examined";
                Err(Invalid::new(Code::BAD_URL, message).into())
            }
        }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn of_schema(schema: usize, known_schema: usize) -> Self {
        Self { schema, known_schema, findings: Vec::new(), workers: Vec::new() }
    }

    /// Returns true if the tables are of the version that this program knows.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.schema > 0 && self.schema == self.known_schema
    }
}
