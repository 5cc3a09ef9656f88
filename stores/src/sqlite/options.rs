//! The file, and how to use it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use highwater_core::{
    Code, Result,
    domain::ViewName,
    error::{Invalid, Source},
    port::Limits,
};
use sqlx::{
    AssertSqlSafe,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    parameters::{Parameters, invalid_parameter},
    sql::identifier::check_identifier,
};

/// The SQLite file, and how to use it.
#[derive(Clone)]
pub struct SqliteOptions {
    pub(super) connect: SqliteConnectOptions,
    pub(super) busy_timeout: Duration,
    pub(super) prefix: Prefix,
    pub(super) readers: u32,
    pub(super) limits: Limits,
}

impl SqliteOptions {
    /// Parses a URL such as `sqlite:bank.db` or `sqlite:///var/lib/bank.db?prefix=bank_`. The
    /// parameters are those of [`Open::open`](crate::Open::open).
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the URL can't be parsed, names SQLite's own
    /// memory, which connections don't share, or has a parameter that is unknown or malformed.
    pub fn new(url: &str) -> Result<Self> {
        let (file, query) = url.split_once('?').unwrap_or((url, ""));
        let mut parameters = Parameters::parse(query)?;
        let options = Self::of_file(file)?.with(&mut parameters)?;
        parameters.into_driver_parameters(|_| false)?;
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
            // In pages of 4 KiB. Appends to many streams change the same pages of the indexes repeatedly:
            // the later the pages are copied into the file, the fewer there are to copy.
            .pragma("wal_autocheckpoint", "4000");
        let prefix = Prefix::new("highwater_")?;
        let limits = Limits::default();
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
            Some(_) => {
                return Err(invalid_parameter("mode", "should be rw or rwc: a store writes"));
            }
        }
        let limits = parameters.take_limits()?;
        Ok(self.limits(limits))
    }

    /// Sets the prefix of the table names, which keeps them apart from the application's own tables;
    /// `highwater_` by default.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) unless it is made of `a-z`, `0-9` and `_`,
    /// begins with a letter, and has at most 40 characters.
    pub fn prefix(mut self, prefix: &str) -> Result<Self> {
        self.prefix = Prefix::new(prefix)?;
        Ok(self)
    }

    /// Sets how long to wait for another process that holds the file's lock; 5 seconds by default.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        // SQLite counts milliseconds in 31 bits.
        let longest = Duration::from_millis(i32::MAX as u64);
        self.busy_timeout = timeout.min(longest);
        self.connect = self.connect.busy_timeout(self.busy_timeout);
        self
    }

    /// Sets when to flush. [`SqliteSynchronous::Full`], the default, makes an acknowledged append
    /// durable (W7); with a lower level it may be lost after a power failure.
    #[must_use]
    pub fn synchronous(mut self, synchronous: SqliteSynchronous) -> Self {
        self.connect = self.connect.synchronous(synchronous);
        self
    }

    /// Sets the number of connections for reads; 4 by default. Reads of the log have one more while reads of views hold
    /// all of these.
    #[must_use]
    pub fn readers(mut self, number: u32) -> Self {
        self.readers = number.max(1);
        self
    }

    /// Sets how large an append may be.
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
    let message = "connections don't share SQLite's own memory: use the URL memory:";
    Invalid::new(Code::BAD_URL, message)
}

/// A checked prefix of table names.
#[derive(Debug, Clone)]
pub(super) struct Prefix(Arc<str>);

impl Prefix {
    fn new(prefix: &str) -> Result<Self> {
        check_identifier("table prefix", prefix)?;
        Ok(Self(prefix.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Fills in `@prefix@`. The result is safe: the text is the program's, and the prefix is checked.
    pub(super) fn sql(&self, statement: &'static str) -> AssertSqlSafe<String> {
        AssertSqlSafe(statement.replace("@prefix@", &self.0))
    }

    /// Fills in `@prefix@` and `@view@`, the checked name of a view.
    pub(super) fn view_sql(
        &self,
        statement: &'static str,
        view: &ViewName,
    ) -> AssertSqlSafe<String> {
        let AssertSqlSafe(sql) = self.sql(statement);
        AssertSqlSafe(sql.replace("@view@", view.as_str()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
