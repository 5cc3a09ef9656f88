//! The bounds of work of several statements.

use std::time::Duration;

use highwater_core::{
    Result,
    error::{Source, Unavailable},
};
use sqlx::{PgConnection, Postgres};
use tokio::time::timeout;

use super::error::classify;
use crate::sql::{connection_pool::within, connections::Connections};

/// The time between two looks at a session that seems to do nothing.
const SECOND_LOOK: Duration = Duration::from_secs(1);

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
/// hours. From time to time another connection looks if the session does something. The work is given up
/// if the server doesn't answer, or if the session has done nothing at two looks: its answer got lost.
pub(super) async fn while_active<T>(
    connections: &Connections<Postgres>,
    limit: Duration,
    session: i32,
    doing: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let given_up = async {
        loop {
            tokio::time::sleep(limit).await;
            if is_active(connections, session, doing).await? {
                continue;
            }
            tokio::time::sleep(SECOND_LOOK).await;
            if !is_active(connections, session, doing).await? {
                let source = Source::new("the server has answered, but the answer did not arrive");
                return Err(Unavailable::unreachable(doing, source).into());
            }
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        given_up = given_up => given_up,
    }
}

async fn is_active(
    connections: &Connections<Postgres>,
    session: i32,
    doing: &'static str,
) -> Result<bool> {
    let sql = "select state = 'active' from pg_stat_activity where pid = $1";
    let rows = connections.fetch_all(sqlx::query(sql).bind(session)).await;
    let row = rows.map_err(classify(doing))?.into_iter().next();
    let state: Option<Option<bool>> =
        row.map(|row| sqlx::Row::try_get(&row, 0)).transpose().map_err(classify(doing))?;
    Ok(state.flatten().unwrap_or_default())
}
