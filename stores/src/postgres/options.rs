//! How to connect, and where the tables are.

use std::{fmt, sync::Arc, time::Duration};

use highwater_core::{
    Code, Result,
    error::{Invalid, Source},
    port::Limits,
};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use url::Url;

use super::error::door;
use crate::parameters::Parameters;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to connect to PostgreSQL, and in which schema the tables are. Passwords are never shown.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) connect_timeout: Duration,
    pub(super) schema: Schema,
    pub(super) connections: u32,
    pub(super) limits: Limits,
}

impl PostgresOptions {
    /// Options from a URL such as `postgres://user:password@host:5432/database?schema=bank`. Its
    /// parameters are those of [`Open::open`](crate::Open::open).
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't be understood, or has a parameter
    /// that is unknown or malformed.
    pub fn new(url: &str) -> Result<Self> {
        let mut url = match Url::parse(url) {
            Ok(url) if !url.cannot_be_a_base() => url,
            Ok(_) => return Err(bad_url().into()),
            Err(error) => return Err(bad_url().caused_by(Source::new(error)).into()),
        };
        let mut parameters = Parameters::of(url.query().unwrap_or_default())?;
        let schema = parameters.take("schema");
        let schema = Schema::new(schema.as_deref().unwrap_or("highwater"))?;
        let connections = parameters.take_as("connections", "should be a whole number")?;
        let right = "should be a whole number of seconds";
        let connect_timeout = parameters.take_as("connect_timeout", right)?;
        let limits = parameters.take_limits()?;
        url.query_pairs_mut().clear().extend_pairs(parameters.known_to_driver(is_of_driver)?);
        let connect = PgConnectOptions::from_url(&url).map_err(|error| {
            let message = format!("the URL of the store can't be understood: {error}");
            Invalid::configuration(message).caused_by(Source::new(error))
        })?;
        let connect_timeout = connect_timeout.map_or(CONNECT_TIMEOUT, Duration::from_secs);
        Ok(Self { connect, connect_timeout, schema, connections: 8, limits }
            .connections(connections.unwrap_or(8)))
    }

    /// The PostgreSQL schema of the tables, so that they live beside an application's own;
    /// `highwater` unless another is named.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) unless it is made of `a-z`, `0-9` and `_`,
    /// begins with a letter, and has at most 40 characters.
    pub fn schema(mut self, name: &str) -> Result<Self> {
        self.schema = Schema::new(name)?;
        Ok(self)
    }

    /// How many connections reads may use; appends and notifications have one each beside them.
    #[must_use]
    pub fn connections(mut self, number: u32) -> Self {
        self.connections = number.max(1);
        self
    }

    /// How long to wait for an answer when connecting, and for one of the connections to be free; 10
    /// seconds unless set.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How large an append may be.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl PostgresOptions {
    /// A connection beside the pool, which would try again for long and then hide the reason.
    pub(super) async fn connection(&self) -> Result<PgConnection> {
        let connecting = PgConnection::connect_with(&self.connect);
        let connected = tokio::time::timeout(self.connect_timeout, connecting).await;
        let too_late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        connected.map_err(too_late).flatten().map_err(door(&self.connect))
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

fn bad_url() -> Invalid {
    let message = "the URL of the store should read postgres://user:password@host:port/database";
    Invalid::new(Code::BAD_URL, message)
}

/// The parameters that the driver understands: it passes over others with no more than a warning,
/// which would show their values.
fn is_of_driver(name: &str) -> bool {
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

/// A schema's name, safe to stand in a statement.
#[derive(Debug, Clone)]
pub(super) struct Schema(Arc<str>);

impl Schema {
    fn new(name: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins_well || name.len() > 40 || !name.chars().all(allowed) {
            let right = "use a-z, 0-9 and '_', beginning with a letter, at most 40";
            return Err(Invalid::malformed("schema name", name, right).into());
        }
        Ok(Self(name.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// On which followers are woken.
    pub(super) fn channel(&self) -> String {
        format!("{}_appended", self.0)
    }

    /// On which those are woken who wait for a view.
    pub(super) fn channel_of_views(&self) -> String {
        format!("{}_viewed", self.0)
    }

    /// A statement with `@schema@` and `@channel@` filled in.
    pub(super) fn fill(&self, sql: &str) -> String {
        sql.replace("@schema@", &self.0).replace("@channel@", &self.channel())
    }
}
