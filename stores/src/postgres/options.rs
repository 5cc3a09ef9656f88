//! The connection settings, and the schema of the tables.

use std::{fmt, num::NonZeroU64, sync::Arc, time::Duration};

use highwater_core::{
    Code, Result,
    domain::ViewName,
    error::{Invalid, Source},
    port::Limits,
};
use sqlx::{AssertSqlSafe, ConnectOptions, SqlSafeStr, SqlStr, postgres::PgConnectOptions};
use url::Url;

use super::tls;
use crate::{parameters::Parameters, sql::identifier::check_identifier};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The connection settings for PostgreSQL, and the schema of the tables. Passwords are never shown.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) connect_timeout: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) schema: Schema,
    pub(super) connections: u32,
    pub(super) limits: Limits,
}

impl PostgresOptions {
    /// Parses a URL such as `postgres://user:password@host:5432/database?schema=bank`. The
    /// parameters are those of [`Open::open`](crate::Open::open).
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't be parsed, or has a parameter
    /// that is unknown or malformed, or names a file that can't be read.
    pub fn new(url: &str) -> Result<Self> {
        let mut url = match Url::parse(url) {
            Ok(url) if !url.cannot_be_a_base() => url,
            Ok(_) => return Err(bad_url().into()),
            Err(error) => return Err(bad_url().caused_by(Source::new(error)).into()),
        };
        let mut parameters = Parameters::parse(url.query().unwrap_or_default())?;
        let schema = parameters.take("schema");
        let schema = Schema::new(schema.as_deref().unwrap_or("highwater"))?;
        let connections = parameters.take_as("connections", "should be a whole number")?;
        let connect_timeout = take_seconds(&mut parameters, "connect_timeout")?;
        let answer_timeout = take_seconds(&mut parameters, "answer_timeout")?;
        let limits = parameters.take_limits()?;
        let parameters = parameters.into_driver_parameters(is_driver_parameter)?;
        url.query_pairs_mut().clear().extend_pairs(&parameters);
        let connect = PgConnectOptions::from_url(&url).map_err(|error| {
            let message = format!("the URL of the store can't be parsed: {error}");
            Invalid::configuration(message).caused_by(Source::new(error))
        })?;
        let connect = tls::complete(connect, &parameters)?;
        let connect_timeout = connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        let answer_timeout = answer_timeout.unwrap_or(ANSWER_TIMEOUT);
        let connections = connections.unwrap_or(8).max(1);
        Ok(Self { connect, connect_timeout, answer_timeout, schema, connections, limits })
    }

    /// Sets the PostgreSQL schema of the tables, which keeps them apart from the application's own tables;
    /// `highwater` by default.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) unless it is made of `a-z`, `0-9` and `_`,
    /// begins with a letter, and has at most 40 characters.
    pub fn schema(mut self, name: &str) -> Result<Self> {
        self.schema = Schema::new(name)?;
        Ok(self)
    }

    /// Sets the number of connections for reads and for work on views; 8 by default. Appends, notifications, and reads of
    /// the log while work on views holds all of these, have one more each.
    #[must_use]
    pub fn connections(mut self, number: u32) -> Self {
        self.connections = number.max(1);
        self
    }

    /// Sets how long to wait for an answer when connecting, and for a free connection; 10 seconds by
    /// default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long to wait for the answer to a statement; 30 seconds by default. Then the connection is given
    /// up, because a network that is silent never answers. The outcome of an append is unknown then, and it can
    /// be sent again with its command id; all else is
    /// [`Unavailable`](highwater_core::Error::Unavailable). A transaction hook, a commit of a view and a reshard
    /// are bounded as a whole. A migration, and the opening of a view, which may build an index for hours, take
    /// as long as the server works on them. The connection that listens for notifications is asked for an answer when it
    /// has heard nothing for as long, and replaced if none comes; followers poll meanwhile.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Sets how large an append may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("host", &self.connect.get_host())
            .field("port", &self.connect.get_port())
            .field("database", &self.connect.get_database())
            .field("schema", &self.schema.0)
            .finish_non_exhaustive()
    }
}

fn take_seconds(parameters: &mut Parameters, name: &str) -> Result<Option<Duration>> {
    let right = "should be a whole number of seconds, at least 1";
    let seconds: Option<NonZeroU64> = parameters.take_as(name, right)?;
    Ok(seconds.map(|seconds| Duration::from_secs(seconds.get())))
}

fn bad_url() -> Invalid {
    let message = "the URL of the store should read postgres://user:password@host:port/database";
    Invalid::new(Code::BAD_URL, message)
}

/// Returns true for a parameter that the driver knows. It ignores others with a warning, which would show
/// their values.
fn is_driver_parameter(name: &str) -> bool {
    let known = [
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "options",
        "password",
        "port",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "user",
    ];
    known.contains(&name) || (name.starts_with("options[") && name.ends_with(']'))
}

/// A checked name of a schema.
#[derive(Debug, Clone)]
pub(super) struct Schema(Arc<str>);

impl Schema {
    fn new(name: &str) -> Result<Self> {
        check_identifier("schema name", name)?;
        Ok(Self(name.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel that notifies of appends.
    pub(super) fn append_channel(&self) -> String {
        format!("{}_appended", self.0)
    }

    /// The channel that notifies of changes of views.
    pub(super) fn view_channel(&self) -> String {
        format!("{}_viewed", self.0)
    }

    /// Fills in `@schema@` and `@channel@`. The result is safe: the text is the program's, and the name is
    /// checked.
    pub(super) fn sql(&self, statement: &'static str) -> AssertSqlSafe<String> {
        let sql = statement.replace("@schema@", &self.0);
        // Statements of hot paths name no channel, and need no second copy.
        if !sql.contains("@channel@") {
            return AssertSqlSafe(sql);
        }
        AssertSqlSafe(sql.replace("@channel@", &self.append_channel()))
    }

    /// As [`Schema::sql`], for a statement that is filled in once.
    pub(super) fn shared_sql(&self, statement: &'static str) -> SqlStr {
        let AssertSqlSafe(sql) = self.sql(statement);
        AssertSqlSafe(Arc::<str>::from(sql)).into_sql_str()
    }

    /// Fills in `@schema@` and `@view@`, the checked name of a view.
    pub(super) fn view_sql(
        &self,
        statement: &'static str,
        view: &ViewName,
    ) -> AssertSqlSafe<String> {
        let sql = statement.replace("@schema@", &self.0);
        AssertSqlSafe(sql.replace("@view@", view.as_str()))
    }

    /// Fills in `@schema@` and one more part of the program's text.
    pub(super) fn sql_with(
        &self,
        statement: &'static str,
        placeholder: &str,
        part: &'static str,
    ) -> AssertSqlSafe<String> {
        AssertSqlSafe(statement.replace("@schema@", &self.0).replace(placeholder, part))
    }
}
