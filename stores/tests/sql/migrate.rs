//! Several processes open a fresh database at once; two schemas, or two prefixes, side by side.

use std::collections::BTreeSet;

use highwater_core::{Position, Query, port::EventStore as _};
use highwater_stores::testing::{build, read};

use super::{
    append, commit, error_messages, open_sqlite, processes,
    server::{self, Server},
};

/// The number of concurrent processes, each with several tasks.
const PROCESSES: usize = 6;

#[tokio::test]
async fn a_fresh_file_opened_by_several_processes_at_once_is_migrated_once() {
    error_messages::record_log();
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("log.db").display());
        processes::open_at_once(&url, PROCESSES);
        let store = open_sqlite(&url).await.unwrap();
        assert_eq!(store.head().await.unwrap().get(), processes::OPENERS * PROCESSES as u64);
    }
}

#[tokio::test]
async fn a_fresh_schema_opened_by_several_processes_at_once_is_migrated_once() {
    for _ in 0..3 {
        let Some(server) = Server::of("a_fresh_schema_opened_by_several_processes").await else {
            return;
        };
        processes::open_at_once(&server.url(), PROCESSES);
        let store = server.open().await.unwrap();
        assert_eq!(store.head().await.unwrap().get(), processes::OPENERS * PROCESSES as u64);
        let versions = format!("select version from {}.migrations order by version", server.name);
        let versions: Vec<i32> = sqlx::query_scalar(sqlx::AssertSqlSafe(versions))
            .fetch_all(&mut server.owner().await)
            .await
            .unwrap();
        assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
}

#[tokio::test]
async fn two_prefixes_in_one_file_are_independent() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    let bank = format!("{url}?prefix=bank_");
    let shop = format!("{url}?prefix=shop_");
    let stores = [open_sqlite(&bank).await.unwrap(), open_sqlite(&shop).await.unwrap()];
    live_side_by_side(&stores).await;
}

#[tokio::test]
async fn two_schemas_in_one_database_are_independent() {
    let Some(server) = Server::of("two_schemas_in_one_database_are_independent").await else {
        return;
    };
    let other = server.url().replace("schema=", "schema=other_");
    let stores = [server.open().await.unwrap(), server::open(&other).await.unwrap()];
    live_side_by_side(&stores).await;
}

/// Writes to both stores at the same time. The same command is a different one in each.
async fn live_side_by_side<S: highwater_core::port::Store>(stores: &[S; 2]) {
    let shared = append();
    for (index, store) in stores.iter().enumerate() {
        assert_eq!(commit(store, "balances").await.from, Position::START);
        let mut answers = vec![store.append(shared.clone())];
        answers.extend((0..10 * (index + 1)).map(|_| store.append(append())));
        for answer in answers {
            assert!(!answer.await.unwrap().repeated);
        }
    }
    for (store, events) in stores.iter().zip([11, 21]) {
        let log = read::log(store, &Query::all()).await;
        let positions: BTreeSet<u64> = log.iter().map(|event| event.position.get()).collect();
        assert_eq!(positions, (1..=events).collect());
        assert!(store.append(shared.clone()).await.unwrap().repeated);
        assert_eq!(store.find_command(build::command()).await.unwrap(), None);
    }
}
