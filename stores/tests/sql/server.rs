//! A PostgreSQL that asks for passwords. Concurrent tests share it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use highwater_core::Result;
use highwater_stores::{PostgresOptions, PostgresStore};
use highwater_test_support::postgres::PostgresCluster;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, postgres::PgConnectOptions};

use super::error_messages::{self, SECRET};

/// The server, with a user and a schema for one test.
pub(super) struct Server {
    cluster: Arc<PostgresCluster>,
    /// The name of the user and the schema.
    pub(super) name: String,
}

impl Server {
    /// Starts or shares the server. Skips the test if the programs of the server are missing.
    pub(super) async fn of(test: &str) -> Option<Self> {
        error_messages::record_log();
        let cluster = shared(test)?;
        let server = Self { cluster, name: format!("test_{:x}", fastrand::u32(..)) };
        let name = &server.name;
        let create = format!("create role {name} login password '{SECRET}'");
        server.execute(&format!("{create}; grant create on database postgres to {name}")).await;
        Some(server)
    }

    /// Returns the URL for the user.
    pub(super) fn url(&self) -> String {
        self.url_of(&self.name, SECRET, "postgres")
    }

    /// Returns the URL for the user through a proxy at this port.
    pub(super) fn url_at(&self, port: u16) -> String {
        self.url().replace(&format!(":{}/", self.port()), &format!(":{port}/"))
    }

    pub(super) fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// Returns the URL for the user, without parameters of Highwater.
    pub(super) fn url_for_driver(&self) -> String {
        self.cluster.url_of(&self.name, SECRET, "postgres")
    }

    pub(super) fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        let url = self.cluster.url_of(user, password, database);
        format!("{url}?schema={}&connections=4", self.name)
    }

    pub(super) async fn open(&self) -> Result<PostgresStore> {
        open(&self.url()).await
    }

    /// Connects as the owner of the server.
    pub(super) async fn owner(&self) -> PgConnection {
        let options: PgConnectOptions = self.cluster.url().parse().unwrap();
        // The statements of the tests contain passwords, those of the store don't.
        options.disable_statement_logging().connect().await.unwrap()
    }

    /// Executes statements as the owner of the server; `@` stands for the name. One at a time,
    /// because they change the catalogue of the server.
    pub(super) async fn execute(&self, sql: &str) {
        let sql = sql.replace('@', &self.name);
        let sql = AssertSqlSafe(format!("begin; select pg_advisory_xact_lock(1); {sql}; commit"));
        sqlx::raw_sql(sql).execute(&mut self.owner().await).await.unwrap();
    }
}

pub(super) async fn open(url: &str) -> Result<PostgresStore> {
    PostgresStore::connect(PostgresOptions::new(url)?).await
}

/// Stops the server when the last test that uses it ends.
fn shared(test: &str) -> Option<Arc<PostgresCluster>> {
    static SHARED: Mutex<Weak<PostgresCluster>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = shared.upgrade() {
        return Some(cluster);
    }
    let cluster = Arc::new(PostgresCluster::start_with_password(test, SECRET)?);
    *shared = Arc::downgrade(&cluster);
    Some(cluster)
}
