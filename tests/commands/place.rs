//! The place of a log under fire: a file, or a private server behind a proxy. A copy can take its place.

use highwater::stores::sqlx::{self, AssertSqlSafe, Connection as _, SqliteConnection};
use highwater_test_support::{postgres::PostgresCluster, proxy::Proxy};
use tempfile::TempDir;
use tokio::runtime::Handle;

pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres { cluster: PostgresCluster, proxy: Proxy },
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// Starts a private server. Skips the test if its programs are missing.
    pub(crate) fn postgres(test: &str, runtime: &Handle) -> Option<Self> {
        let cluster = PostgresCluster::start(test)?;
        let proxy = Proxy::start(runtime, (0, cluster.port()));
        Some(Self::Postgres { cluster, proxy })
    }

    /// The URL for the test itself.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("tills.db").display()),
            Self::Postgres { cluster, .. } => cluster.url(),
        }
    }

    /// The URL for the processes, whose network may become silent.
    pub(crate) fn process_url(&self) -> String {
        match self {
            Self::Sqlite(_) => self.url(),
            Self::Postgres { cluster, proxy } => {
                let url = cluster.url_at(proxy.port());
                format!("{url}?connect_timeout=1&answer_timeout=1")
            }
        }
    }

    /// Stops the server as a loss of power does, and starts it again.
    pub(crate) fn crash(&self) {
        if let Self::Postgres { cluster, .. } = self {
            cluster.crash();
            cluster.restart();
        }
    }

    /// Holds all packets.
    pub(crate) fn silence_network(&self) {
        if let Self::Postgres { proxy, .. } = self {
            proxy.hold();
        }
    }

    /// Lets them through again.
    pub(crate) fn end_silence(&self) {
        if let Self::Postgres { proxy, .. } = self {
            proxy.let_through();
        }
    }

    /// Copies the log.
    pub(crate) async fn back_up(&self) {
        match self {
            Self::Sqlite(folder) => {
                let copy = folder.path().join("copy.db");
                let _ = std::fs::remove_file(&copy);
                let copied = format!("vacuum into '{}'", copy.display());
                sqlx::raw_sql(AssertSqlSafe(copied)).execute(&mut self.file().await).await.unwrap();
            }
            Self::Postgres { cluster, .. } => cluster.back_up(),
        }
    }

    /// Puts the copy in the place of the log. On SQLite the file stays open in the processes, as when its shell restores it.
    pub(crate) async fn restore(&self) {
        match self {
            Self::Sqlite(folder) => {
                let copy = folder.path().join("copy.db");
                replace_content(&mut self.file().await, &copy.display().to_string()).await;
            }
            Self::Postgres { cluster, .. } => cluster.restore(),
        }
    }

    async fn file(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.url()).await.unwrap()
    }
}

/// Replaces the rows of all tables by those of a copy, in one transaction.
async fn replace_content(file: &mut SqliteConnection, copy: &str) {
    let attach = format!("pragma foreign_keys = off; attach '{copy}' as copy; begin immediate");
    sqlx::raw_sql(AssertSqlSafe(attach)).execute(&mut *file).await.unwrap();
    let tables =
        "select name from copy.sqlite_master where type = 'table' and name not like 'sqlite_%'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *file).await.unwrap();
    for table in tables {
        let replace = format!(
            "delete from main.{table}; insert into main.{table} select * from copy.{table}"
        );
        sqlx::raw_sql(AssertSqlSafe(replace)).execute(&mut *file).await.unwrap();
    }
    sqlx::raw_sql("commit; detach copy").execute(file).await.unwrap();
}
