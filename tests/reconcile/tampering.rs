//! Rows that are changed behind the framework.

use std::time::Duration;

use highwater::{
    Highwater, View,
    port::{ClaimMode, ShardClaim, ViewCommit, WorkerId},
    stores::sqlx::{self, AssertSqlSafe, Connection as _},
    value::ShardId,
};
use highwater_test_support::bank::Bank;

/// The table of a view's rows.
fn table<V: View>() -> String {
    format!("rows_{}", V::NAME)
}

/// Writes or deletes the row of a key, as an operator with a database client would who knows how to get around the guard
/// of the rows.
pub(crate) async fn tamper<V: View>(
    bank: &Bank,
    highwater: &Highwater,
    key: &str,
    row: Option<&str>,
) {
    let table = table::<V>();
    match bank {
        Bank::Memory(_) => write_by_hand::<V>(highwater, key, row).await,
        Bank::Sqlite(folder) => {
            let url = format!("sqlite:{}", folder.path().join("bank.db").display());
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            if row.is_none() {
                let unguard = format!("drop trigger if exists bank_keep_{}", V::NAME);
                sqlx::query(AssertSqlSafe(unguard)).execute(&mut connection).await.unwrap();
            }
            let sql = match row {
                Some(_) => format!(
                    "insert into bank_{table} (key, value) values (?, ?) \
                     on conflict (key) do update set value = excluded.value"
                ),
                None => format!("delete from bank_{table} where key = ?"),
            };
            let query = sqlx::query(AssertSqlSafe(sql)).bind(key);
            match row {
                Some(row) => query.bind(row).execute(&mut connection).await.unwrap(),
                None => query.execute(&mut connection).await.unwrap(),
            };
            connection.close().await.unwrap();
        }
        Bank::Postgres(url) => {
            let schema = url.split("schema=").nth(1).unwrap().split('&').next().unwrap();
            let server = url.split('?').next().unwrap();
            let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
            let unguard = "set highwater.deleting = 'on'";
            sqlx::query(unguard).execute(&mut connection).await.unwrap();
            let sql = match row {
                Some(_) => format!(
                    "insert into {schema}.{table} (key, value) values ($1, $2::json) \
                     on conflict (key) do update set value = excluded.value"
                ),
                None => format!("delete from {schema}.{table} where key = $1"),
            };
            let query = sqlx::query(AssertSqlSafe(sql)).bind(key);
            match row {
                Some(row) => query.bind(row).execute(&mut connection).await.unwrap(),
                None => query.execute(&mut connection).await.unwrap(),
            };
            connection.close().await.unwrap();
        }
    }
}

/// The memory store has no other client: its shards are taken, and released.
async fn write_by_hand<V: View>(highwater: &Highwater, key: &str, row: Option<&str>) {
    let views = highwater.views();
    let spec = V::spec().unwrap();
    let state = views.read_view(&spec.name, &[]).await.unwrap().state;
    let shard = match V::KEYED_BY {
        highwater::domain::KeyedBy::Stream(category) if state.sharding.shards > 1 => {
            state.sharding.shard_of(&format!("{category}-{key}"))
        }
        _ => state.sharding.shard_of(key),
    };
    write_to_shard(highwater, &spec.name, shard, key, row).await;
}

async fn write_to_shard(
    highwater: &Highwater,
    view: &highwater::domain::ViewName,
    shard: ShardId,
    key: &str,
    row: Option<&str>,
) {
    let views = highwater.views();
    let state = views.read_view(view, &[]).await.unwrap().state;
    loop {
        let claim = views.claim_shard(ShardClaim {
            view: view.clone(),
            sharding: state.sharding,
            shard,
            worker: WorkerId::new("by hand").unwrap(),
            mode: ClaimMode::Always,
            lease: Duration::from_secs(60),
            definition: None,
        });
        let claim = claim.await.unwrap().unwrap();
        let mut commit = ViewCommit::new(view.clone(), &claim, claim.progress.clone());
        commit.rows = vec![(key.to_owned(), row.map(|row| row.to_owned().into()))];
        let committed = views.commit_view(commit).await;
        views.release_shard(view, shard, claim.epoch).await.unwrap();
        match committed {
            Ok(()) => return,
            Err(error) => assert!(error.is_conflict(), "{error}"),
        }
    }
}
