//! A store on a SQL database, as the code sees it that both stores share.

use highwater_core::{
    Error, Result,
    domain::{ViewName, ViewSpec},
    port::StoredView,
    value::Sharding,
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{row::SqlRow, spec_cache::SpecCache, view_changes::ViewChange};

/// A statement with its names filled in.
pub(crate) type Sql = AssertSqlSafe<String>;

/// The values of a statement, in the order of their placeholders.
pub(crate) type SqlValues<'a> = &'a [SqlValue<'a>];

/// A store on a SQL database. Its statements write the schema of the tables as `@schema@.`, which on SQLite
/// is a prefix of their names, and placeholders as `$1`, which both databases understand.
///
/// The statements of views differ. They select progress as the sharding of view `$1`, the head of the log, the hash of
/// the definition and the columns of [`SqlRow::shards`].
pub(crate) trait SqlStore: Send + Sync + 'static {
    type Row: SqlRow;

    /// Selects the progress.
    const PROGRESS: &'static str;

    /// Selects the progress if the view has its table `$3`, or needs none (`$2` is false). The head may be
    /// null.
    const OPENED: &'static str;

    /// Selects a row for each of the keys `$2`: its index, its value, the position since which it is parked
    /// and, in the row of the first key, the progress.
    const ROWS: &'static str;

    /// Selects up to `$2` rows whose keys are in `@range@`: key, value, the position since which the key is
    /// parked, and the progress. There is a row even if there is no key.
    const RANGE: &'static str;

    /// Fills in `@schema@.`.
    fn sql(&self, statement: &'static str) -> Sql;

    /// Fills in `@schema@.` and `@view@`.
    fn view_sql(&self, statement: &'static str, view: &ViewName) -> Sql {
        let AssertSqlSafe(sql) = self.sql(statement);
        AssertSqlSafe(sql.replace("@view@", view.as_str()))
    }

    /// Returns the rows of a statement that only reads, and may read a view.
    async fn fetch(&self, sql: Sql, values: SqlValues<'_>) -> sqlx::Result<Vec<Self::Row>>;

    /// As [`fetch`](Self::fetch), for a statement that waits for no view: it finds a connection although statements on
    /// views hold all of theirs.
    async fn fetch_for_log(&self, sql: Sql, values: SqlValues<'_>) -> sqlx::Result<Vec<Self::Row>>;

    /// Runs a statement that writes, twice if the connection was cut. Returns the number of changed rows.
    async fn execute(&self, doing: &'static str, sql: Sql, values: SqlValues<'_>) -> Result<u64>;

    /// As [`execute`](Self::execute), for a statement that waits for no view.
    async fn execute_for_log(
        &self,
        doing: &'static str,
        sql: Sql,
        values: SqlValues<'_>,
    ) -> Result<u64>;

    /// Reads a single row of a view, which needs no list of keys.
    async fn read_row(&self, view: &ViewName, key: &str) -> sqlx::Result<Result<StoredView>>;

    /// Opens a view in one transaction, with its table.
    async fn open_table(&self, spec: &ViewSpec, sharding: Sharding) -> Result<()>;

    fn specs(&self) -> &SpecCache;

    fn changed(&self, change: ViewChange);

    /// Classifies an error of a read, or of a write that was rolled back.
    fn classify(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error + Send;

    fn is_missing_table(error: &sqlx::Error) -> bool;
}

/// A value of a shared statement.
#[derive(Clone, Copy)]
pub(crate) enum SqlValue<'a> {
    Text(&'a str),
    OptionalText(Option<&'a str>),
    Number(u64),
    Flag(bool),
    Bytes(&'a [u8]),
    Id(Uuid),
    /// An array; on SQLite, which has none, JSON.
    Keys(&'a [&'a str]),
}
