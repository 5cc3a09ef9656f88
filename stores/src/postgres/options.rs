//! How to connect, and where the tables are.

use std::{fmt, str::FromStr, sync::Arc};

use highwater_core::{
    Code, Result,
    error::{Invalid, Source},
    port::Limits,
};
use sqlx::postgres::PgConnectOptions;

/// How to connect to PostgreSQL, and in which schema the tables are. Passwords are never shown.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) schema: Schema,
    pub(super) connections: u32,
    pub(super) limits: Limits,
}

impl PostgresOptions {
    /// Options from a URL such as `postgres://user:password@host:5432/database?sslmode=require`.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't be understood.
    pub fn new(url: &str) -> Result<Self> {
        let connect = PgConnectOptions::from_str(url).map_err(|error| {
            let message = "the URL of the store should read \
                           postgres://user:password@host:port/database";
            Invalid::new(Code::BAD_URL, message).caused_by(Source::new(error))
        })?;
        let schema = Schema::new("highwater")?;
        Ok(Self { connect, schema, connections: 8, limits: Limits::default() })
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

    /// How large an append may be.
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

    /// A statement with `@schema@` and `@channel@` filled in.
    pub(super) fn fill(&self, sql: &str) -> String {
        sql.replace("@schema@", &self.0).replace("@channel@", &self.channel())
    }
}
