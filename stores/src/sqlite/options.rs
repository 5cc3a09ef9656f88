//! Which file, and how to use it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use highwater_core::{
    Code, Result,
    error::{Invalid, Source},
    port::Limits,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// How long to wait for another process that holds the file's lock, unless told otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Which SQLite file, and how to use it.
#[derive(Clone)]
pub struct SqliteOptions {
    pub(super) connect: SqliteConnectOptions,
    pub(super) prefix: Prefix,
    pub(super) readers: u32,
    pub(super) busy_timeout: Duration,
    pub(super) limits: Limits,
}

impl SqliteOptions {
    /// Options from a URL such as `sqlite:bank.db` or `sqlite:///var/lib/bank.db`.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't be understood, or names SQLite's own
    /// memory, which connections don't share.
    pub fn new(url: &str) -> Result<Self> {
        if url.contains(":memory:") || url.contains("mode=memory") {
            let message = "SQLite's memory isn't shared by connections: use the URL memory:";
            return Err(Invalid::new(Code::BAD_URL, message).into());
        }
        let connect = SqliteConnectOptions::from_str(url).map_err(|error| {
            let message =
                "the URL of the store should read sqlite:FILE, for example sqlite:bank.db";
            Invalid::new(Code::BAD_URL, message).caused_by(Source::new(error))
        })?;
        if connect.get_filename().as_os_str().is_empty() {
            let message = "the URL of the store names no file: write sqlite:FILE";
            return Err(Invalid::new(Code::BAD_URL, message).into());
        }
        let connect = connect
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let prefix = Prefix::new("highwater_")?;
        let (busy_timeout, limits) = (BUSY_TIMEOUT, Limits::default());
        Ok(Self { connect, prefix, readers: 4, busy_timeout, limits })
    }

    /// What the names of the tables begin with, so that they live beside an application's own;
    /// `highwater_` unless another is named.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) unless it is made of `a-z`, `0-9` and `_`,
    /// begins with a letter, and has at most 40 characters.
    pub fn prefix(mut self, prefix: &str) -> Result<Self> {
        self.prefix = Prefix::new(prefix)?;
        Ok(self)
    }

    /// How long to wait for another process that holds the file's lock; 5 seconds unless set.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.connect = self.connect.busy_timeout(timeout);
        self.busy_timeout = timeout;
        self
    }

    /// When to flush. [`SqliteSynchronous::Full`], the default, makes an acknowledged append
    /// durable (W7); anything less doesn't survive a loss of power.
    #[must_use]
    pub fn synchronous(mut self, synchronous: SqliteSynchronous) -> Self {
        self.connect = self.connect.synchronous(synchronous);
        self
    }

    /// How many connections read; 4 unless set.
    #[must_use]
    pub fn readers(mut self, number: u32) -> Self {
        self.readers = number.max(1);
        self
    }

    /// How large an append may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOptions")
            .field("file", &self.connect.get_filename())
            .field("prefix", &self.prefix.0)
            .finish_non_exhaustive()
    }
}

/// A prefix of table names, safe to stand in a statement.
#[derive(Debug, Clone)]
pub(super) struct Prefix(Arc<str>);

impl Prefix {
    fn new(prefix: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins_well = prefix.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins_well || prefix.len() > 40 || !prefix.chars().all(allowed) {
            let right = "use a-z, 0-9 and '_', beginning with a letter, at most 40";
            return Err(Invalid::malformed("table prefix", prefix, right).into());
        }
        Ok(Self(prefix.into()))
    }

    /// A statement with `@prefix@` filled in.
    pub(super) fn fill(&self, sql: &str) -> String {
        sql.replace("@prefix@", &self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
