//! Which file, and how to use it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use highwater_core::{
    Code, Result,
    error::{Invalid, Source},
    port::Limits,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::parameters::{Parameters, wrong};

/// Which SQLite file, and how to use it.
#[derive(Clone)]
pub struct SqliteOptions {
    pub(super) connect: SqliteConnectOptions,
    pub(super) busy_timeout: Duration,
    pub(super) prefix: Prefix,
    pub(super) readers: u32,
    pub(super) limits: Limits,
}

impl SqliteOptions {
    /// Options from a URL such as `sqlite:bank.db` or `sqlite:///var/lib/bank.db?prefix=bank_`. Its
    /// parameters are those of [`Open::open`](crate::Open::open).
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't be understood, names SQLite's own
    /// memory, which connections don't share, or has a parameter that is unknown or malformed.
    pub fn new(url: &str) -> Result<Self> {
        let (file, query) = url.split_once('?').unwrap_or((url, ""));
        let mut parameters = Parameters::of(query)?;
        let options = Self::of_file(file)?.with(&mut parameters)?;
        parameters.known_to_driver(|_| false)?;
        Ok(options)
    }

    fn of_file(url: &str) -> Result<Self> {
        if url.contains(":memory:") {
            return Err(no_shared_memory().into());
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
            // Pages of 4 KiB. Appends to many streams change the same pages of the indexes again and
            // again: the later they are copied into the file, the fewer there are to copy.
            .pragma("wal_autocheckpoint", "4000");
        let (prefix, limits) = (Prefix::new("highwater_")?, Limits::default());
        Ok(Self { connect, busy_timeout: Duration::ZERO, prefix, readers: 4, limits }
            .busy_timeout(Duration::from_secs(5)))
    }

    fn with(mut self, parameters: &mut Parameters) -> Result<Self> {
        if let Some(prefix) = parameters.take("prefix") {
            self = self.prefix(&prefix)?;
        }
        if let Some(timeout) = parameters.take_duration("busy_timeout")? {
            self = self.busy_timeout(timeout);
        }
        let right = "should be off, normal, full or extra";
        if let Some(synchronous) = parameters.take_as("synchronous", right)? {
            self = self.synchronous(synchronous);
        }
        if let Some(number) = parameters.take_as("readers", "should be a whole number")? {
            self = self.readers(number);
        }
        match parameters.take("mode").as_deref() {
            None | Some("rwc") => {}
            Some("rw") => self.connect = self.connect.create_if_missing(false),
            Some("memory") => return Err(no_shared_memory().into()),
            Some(_) => return Err(wrong("mode", "should be rw or rwc: a store writes")),
        }
        let limits = parameters.take_limits()?;
        Ok(self.limits(limits))
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
        // SQLite counts milliseconds in 31 bits.
        let longest = Duration::from_millis(i32::MAX as u64);
        self.busy_timeout = timeout.min(longest);
        self.connect = self.connect.busy_timeout(self.busy_timeout);
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

fn no_shared_memory() -> Invalid {
    let message = "SQLite's memory isn't shared by connections: use the URL memory:";
    Invalid::new(Code::BAD_URL, message)
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

    pub(super) fn as_str(&self) -> &str {
        &self.0
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
