//! The bounds of work of several statements.

use std::time::Duration;

use highwater_core::{
    Result,
    error::{Source, Unavailable},
};
use sqlx::{PgConnection, Postgres, Row as _};
use tokio::time::timeout;

use super::error::classify;
use crate::sql::{connection_pool::within, connections::Connections};

/// Begins a transaction that the server ends if it is idle: the locks of a machine that is gone, or on a network that
/// went silent, must not keep other processes from opening a view or from taking over. Its statements follow each other
/// at once.
pub(super) const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '10s'";

/// Begins a transaction with a hook, in which the application may work on between two statements.
pub(super) const BEGIN_WITH_HOOK: &str =
    "begin; set local idle_in_transaction_session_timeout = '60s'";

/// Waits for the end of work, but no longer than `limit`.
pub(super) async fn bounded<T>(
    limit: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let late = |_| {
        let source = Source::new(format!("timed out: no answer within {limit:?}"));
        Err(Unavailable::unreachable(doing, source).into())
    };
    timeout(limit, work).await.unwrap_or_else(late)
}

/// Returns the number by which the server knows the session of a connection.
pub(super) async fn number(
    connection: &mut PgConnection,
    limit: Duration,
    doing: &'static str,
) -> Result<i32> {
    let number = sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection);
    within(limit, number).await.map_err(classify(doing))
}

/// Waits for the end of work in a session, however long it takes: to build an index of a large table takes
/// hours. Every `limit` another connection looks if the session does something. The work is given up if the
/// server doesn't answer, or if the session has done nothing between two looks: an answer got lost.
pub(super) async fn while_active<T>(
    connections: &Connections<Postgres>,
    limit: Duration,
    session: i32,
    doing: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let given_up = async {
        let mut last = None;
        loop {
            tokio::time::sleep(limit).await;
            let seen = idle_since(connections, session).await.map_err(classify(doing))?;
            if seen.is_some() && seen == last {
                let source = Source::new("the server has answered, but the answer did not arrive");
                return Err(Unavailable::unreachable(doing, source).into());
            }
            last = seen;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        given_up = given_up => given_up,
    }
}

/// Returns the time since which the session has done nothing, `None` while it executes a statement. A session
/// that is gone has done nothing for ever.
async fn idle_since(
    connections: &Connections<Postgres>,
    session: i32,
) -> Result<Option<String>, sqlx::Error> {
    let sql = "select case when state <> 'active' then state_change::text end \
               from pg_stat_activity where pid = $1";
    match connections.fetch_all(sqlx::query(sql).bind(session)).await?.first() {
        Some(row) => row.try_get(0),
        None => Ok(Some(String::new())),
    }
}
