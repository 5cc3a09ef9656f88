//! Errors of servers that can't be reached, refuse, lack something, or go away.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use highwater_core::{
    Code, NextStep, Position, Query, ReadFrom, SchemaVersion, Version,
    domain::ViewSpec,
    port::{
        EventStore as _, LeaseStore as _, ParkedStore as _, Snapshot, SnapshotStore as _,
        ViewStore as _,
    },
    value::{Epoch, ShardId, Sharding},
};
use highwater_stores::{PostgresOptions, PostgresStore, testing::build};
use highwater_test_support::postgres::PostgresCluster;
use sqlx::Executor as _;

use super::{
    append, commit,
    error_messages::{self, SECRET},
    network::cut_sessions,
    server::{Server, open},
};

fn elsewhere(port: u16) -> String {
    format!("postgres://alice:{SECRET}@127.0.0.1:{port}/bank?connect_timeout=1")
}

#[tokio::test]
async fn a_closed_port_is_named_at_once() {
    error_messages::record_log();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let begun = Instant::now();
    let error = open(&elsewhere(port)).await.unwrap_err();
    let place = format!("127.0.0.1:{port}");
    error_messages::check(&error, Code::UNREACHABLE, NextStep::Retry, &[&place, "refused"]);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_port_that_never_answers_times_out() {
    error_messages::record_log();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let begun = Instant::now();
    let error = open(&elsewhere(port)).await.unwrap_err();
    let place = format!("127.0.0.1:{port}");
    error_messages::check(&error, Code::UNREACHABLE, NextStep::Retry, &[&place, "timed out"]);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn missing_encryption_does_not_fall_back_to_plain_text() {
    let Some(server) = Server::of("missing_encryption_does_not_fall_back_to_plain_text").await
    else {
        return;
    };
    let error = open(&format!("{}&sslmode=require", server.url())).await.unwrap_err();
    error_messages::check(&error, Code::BAD_CONFIGURATION, NextStep::FixRequest, &["TLS"]);
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_the_user() {
    let Some(server) = Server::of("a_wrong_password").await else { return };
    let wrong = format!("not-{SECRET}");
    let error = open(&server.url_of(&server.name, &wrong, "postgres")).await.unwrap_err();
    let words = [server.name.as_str(), "password"];
    error_messages::check(&error, Code::BAD_CREDENTIALS, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn a_password_changed_while_the_store_is_open_is_a_permanent_error() {
    let Some(server) =
        Server::of("a_password_changed_while_the_store_is_open_is_a_permanent_error").await
    else {
        return;
    };
    let store = server.open().await.unwrap();
    store.append(append()).await.unwrap();
    server.execute("alter role @ password 'another'").await;
    let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '@'";
    server.execute(end).await;
    let mut refused = 0;
    // A statement on a dead connection only detects that the connection is dead.
    for _ in 0..12 {
        for error in [store.append(append()).await.unwrap_err(), store.head().await.unwrap_err()] {
            if !error.is_retryable() {
                let words = [server.name.as_str(), "password"];
                error_messages::check(&error, Code::BAD_CREDENTIALS, NextStep::FixRequest, &words);
                refused += 1;
            }
        }
    }
    assert!(refused > 12, "{refused}");
    server.execute(&format!("alter role @ password '{SECRET}'")).await;
    retry_call(|| store.append(append())).await;
}

#[tokio::test]
async fn an_unknown_user_is_refused_with_its_name() {
    let Some(server) = Server::of("an_unknown_user").await else { return };
    let error = open(&server.url_of("nobody", SECRET, "postgres")).await.unwrap_err();
    error_messages::check(&error, Code::BAD_CREDENTIALS, NextStep::FixRequest, &["nobody"]);
}

#[tokio::test]
async fn an_unknown_database_is_named() {
    let Some(server) = Server::of("an_unknown_database").await else { return };
    let error = open(&server.url_of(&server.name, SECRET, "nowhere")).await.unwrap_err();
    error_messages::check(
        &error,
        Code::BAD_DATABASE,
        NextStep::FixRequest,
        &["nowhere", "not exist"],
    );
}

#[tokio::test]
async fn a_user_without_the_right_to_create_the_schema_is_refused() {
    let Some(server) = Server::of("a_user_without_the_right_to_create_the_schema_is_refused").await
    else {
        return;
    };
    server.execute("revoke create on database postgres from @").await;
    let error = server.open().await.unwrap_err();
    let words = [server.name.as_str(), "schema", "permission denied"];
    error_messages::check(&error, Code::BAD_DATABASE, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn a_schema_of_another_user_is_refused_until_it_is_granted() {
    let Some(server) = Server::of("a_schema_of_another_user_is_refused_until_it_is_granted").await
    else {
        return;
    };
    server.execute("create schema @; revoke create on database postgres from @").await;
    let error = server.open().await.unwrap_err();
    let words = [server.name.as_str(), "permission denied for schema"];
    error_messages::check(&error, Code::BAD_DATABASE, NextStep::FixRequest, &words);
    server.execute("grant usage, create on schema @ to @").await;
    server.open().await.unwrap().append(append()).await.unwrap();
}

#[tokio::test]
async fn tables_of_another_user_are_refused() {
    let Some(server) = Server::of("tables_of_another_user_are_refused").await else { return };
    open(&server.url_of("postgres", SECRET, "postgres")).await.unwrap().close().await;
    server.execute("grant usage on schema @ to @").await;
    let error = server.open().await.unwrap_err();
    let words = ["permission denied for table migrations"];
    error_messages::check(&error, Code::BAD_DATABASE, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn a_schema_from_a_newer_highwater_is_refused() {
    let Some(server) = Server::of("a_schema_from_a_newer_highwater").await else { return };
    server.open().await.unwrap().close().await;
    server.execute("insert into @.migrations (version) values (99)").await;
    let error = server.open().await.unwrap_err();
    let words = ["version 99", "use a newer Highwater"];
    error_messages::check(&error, Code::NEWER_DATABASE, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn foreign_tables_with_highwaters_names_are_refused_and_left_alone() {
    for (sql, word) in [
        ("create table @.events (id integer)", "events"),
        ("create table @.migrations (id integer)", "migrations"),
        ("create table @.migrations (name text); create table @.events (id integer)", "version"),
        (
            "create table @.migrations (version text); create table @.events (id integer);
             insert into @.migrations values ('2024_first')",
            "not Highwater's",
        ),
        ("create table @.snapshots (id integer)", "snapshots"),
    ] {
        let Some(server) = Server::of("foreign_tables_with_highwaters_names").await else { return };
        let sql = format!("create schema @; grant all on schema @ to @; set role @; {sql}");
        server.execute(&sql).await;
        let error = server.open().await.unwrap_err();
        error_messages::check(&error, Code::FOREIGN_DATABASE, NextStep::FixRequest, &[word]);
        let count = "select count(*) from information_schema.tables where table_schema = $1";
        let tables: i64 = sqlx::query_scalar(count)
            .bind(&server.name)
            .fetch_one(&mut server.owner().await)
            .await
            .unwrap();
        assert_eq!(tables as usize, sql.matches("create table").count());
    }
}

#[tokio::test]
async fn an_isolation_level_other_than_read_committed_is_refused() {
    let Some(server) = Server::of("an_isolation_level_other_than_read_committed_is_refused").await
    else {
        return;
    };
    server.execute("alter role @ set default_transaction_isolation = 'repeatable read'").await;
    let error = server.open().await.unwrap_err();
    let words = ["default_transaction_isolation", "repeatable read"];
    error_messages::check(&error, Code::BAD_DATABASE, NextStep::FixRequest, &words);
}

#[tokio::test]
async fn a_read_only_server_is_reported_and_is_written_to_once_it_is_writable() {
    let Some(server) =
        Server::of("a_read_only_server_is_reported_and_is_written_to_once_it_is_writable").await
    else {
        return;
    };
    let switched_off = "alter role @ reset default_transaction_read_only";
    let words = ["default_transaction_read_only is on"];
    server.execute("alter role @ set default_transaction_read_only = on").await;
    let error = server.open().await.unwrap_err();
    error_messages::check(&error, Code::UNREACHABLE, NextStep::Retry, &words);
    server.execute(switched_off).await;
    let store = server.open().await.unwrap();
    assert_eq!(store.append(append()).await.unwrap().position.get(), 1);
    // A session that has begun goes on. Those that follow are refused.
    server.execute("alter role @ set default_transaction_read_only = on").await;
    assert_eq!(store.append(append()).await.unwrap().position.get(), 2);
    cut_sessions(&server).await;
    // The session may have stored what was sent before it was ended.
    let error = store.append(append()).await.unwrap_err();
    error_messages::check(&error, Code::UNKNOWN_OUTCOME, NextStep::RetrySameId, &words);
    for error in [store.append(append()).await.unwrap_err(), store.head().await.unwrap_err()] {
        error_messages::check(&error, Code::UNREACHABLE, NextStep::Retry, &words);
    }
    server.execute(switched_off).await;
    assert_eq!(store.append(append()).await.unwrap().position.get(), 3);
    assert_eq!(store.head().await.unwrap().get(), 3);
}

#[tokio::test]
async fn too_many_connections_are_named_at_once() {
    let Some(server) = Server::of("too_many_connections").await else { return };
    server.execute("alter role @ connection limit 0").await;
    let begun = Instant::now();
    let error = server.open().await.unwrap_err();
    error_messages::check(&error, Code::UNREACHABLE, NextStep::Retry, &["too many connections"]);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_table_dropped_while_the_store_is_open_is_named() {
    let Some(server) = Server::of("a_table_dropped_while_the_store_is_open").await else { return };
    let store = server.open().await.unwrap();
    store.append(append()).await.unwrap();
    let refused = commit(&store, "balances").await;
    let again = commit(&store, "balances").await;
    let view = again.view.clone();
    let stream = build::stream("a");
    let snapshot = Snapshot {
        stream: stream.clone(),
        version: Version::new(1),
        head: build::event_id(),
        schema: SchemaVersion::FIRST,
        state: b"{}"[..].into(),
    };
    server.execute("drop table @.rows_balances cascade").await;
    named(store.read_view(&view, &["a".into()]).await, "rows_balances");
    named(store.commit_view(refused).await, "rows_balances");
    let spec = ViewSpec::rows(view.clone());
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
    store.commit_view(again).await.unwrap();
    server.execute("drop table @.parked_keys cascade").await;
    named(store.read_view(&view, &["a".into()]).await, "parked_keys");
    named(store.parked_keys(&view, None, 1).await, "parked_keys");
    server.execute("drop table @.shards").await;
    named(store.read_view(&view, &[]).await, "shards");
    named(store.release_shard(&view, ShardId::FIRST, Epoch::new(1)).await, "shards");
    server.execute("drop table @.views").await;
    named(store.open_view(&spec, Sharding::SINGLE).await, "views");
    server.execute("drop table @.snapshots").await;
    named(store.load_snapshot(&stream).await, "snapshots");
    named(store.save_snapshot(snapshot).await, "snapshots");
    server.execute("drop table @.commands").await;
    named(store.find_command(build::command()).await, "commands");
    named(store.append(append()).await, "commands");
    server.execute("drop table @.events").await;
    named(store.read_stream(&stream, ReadFrom::After(Version::NONE), 1).await, "events");
    named(store.read_log(&Query::all(), ReadFrom::After(Position::START), 1).await, "events");
    named(store.head().await, "events");
    named(store.append(append()).await, "events");
    let drop_append = "do $$ declare p regprocedure; begin \
         for p in select oid from pg_proc where oid::regproc::text = '@.append' loop \
             execute 'drop procedure ' || p; end loop; end $$";
    server.execute(drop_append).await;
    named(store.append(append()).await, "append");
    server.execute("drop schema @ cascade").await;
    named(store.append(append()).await, &server.name);
}

#[track_caller]
fn named<T: std::fmt::Debug>(outcome: highwater_core::Result<T>, table: &str) {
    error_messages::check(
        &outcome.unwrap_err(),
        Code::BAD_DATABASE,
        NextStep::FixRequest,
        &[table],
    );
}

#[tokio::test]
async fn a_row_that_cannot_be_decoded_is_an_error_for_the_operator() {
    let Some(server) =
        Server::of("a_row_that_cannot_be_decoded_is_an_error_for_the_operator").await
    else {
        return;
    };
    let store = server.open().await.unwrap();
    store.append(append()).await.unwrap();
    server.execute("update @.events set stream = 'no stream id'").await;
    let error =
        store.read_log(&Query::all(), ReadFrom::After(Position::START), 9).await.unwrap_err();
    error_messages::check(
        &error,
        Code::UNDECODABLE,
        NextStep::AskOperator,
        &["a row of the store"],
    );
}

/// Opens a session that holds the advisory lock of the log.
async fn holder(server: &Server) -> sqlx::PgConnection {
    let mut other = server.owner().await;
    let lock = format!(
        "begin; select pg_advisory_xact_lock(1751738216, '{}.events'::regclass::oid::integer)",
        server.name
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut other).await.unwrap();
    other
}

#[tokio::test]
async fn a_lock_timeout_of_the_user_is_reported_as_a_lock() {
    let Some(server) = Server::of("a_lock_timeout_of_the_user_is_reported_as_a_lock").await else {
        return;
    };
    server.execute("alter role @ set lock_timeout = '100ms'").await;
    let store = server.open().await.unwrap();
    store.append(append()).await.unwrap();
    let mut holder = holder(&server).await;
    let error = store.append(append()).await.unwrap_err();
    error_messages::check(&error, Code::LOCKED, NextStep::Retry, &["locked"]);
    holder.execute("rollback").await.unwrap();
    assert_eq!(store.append(append()).await.unwrap().position.get(), 2);
}

#[tokio::test]
async fn w4_the_same_command_can_be_retried_after_a_statement_timeout_of_the_user() {
    let Some(server) =
        Server::of("w4_the_same_command_can_be_retried_after_a_statement_timeout_of_the_user")
            .await
    else {
        return;
    };
    server.execute("alter role @ set statement_timeout = '300ms'").await;
    let store = server.open().await.unwrap();
    let mut holder = holder(&server).await;
    let append = append();
    let error = store.append(append.clone()).await.unwrap_err();
    error_messages::check(
        &error,
        Code::UNKNOWN_OUTCOME,
        NextStep::RetrySameId,
        &["statement timeout"],
    );
    holder.execute("rollback").await.unwrap();
    assert_eq!(store.append(append).await.unwrap().position.get(), 1);
    assert_eq!(store.head().await.unwrap().get(), 1);
}

#[tokio::test]
async fn the_password_is_in_no_debug_output() {
    let Some(server) = Server::of("the_password_is_in_no_debug_output").await else { return };
    let options = PostgresOptions::new(&server.url()).unwrap();
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    assert!(!format!("{options:?} {store:?}").contains(SECRET));
    assert!(!error_messages::logged().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_w7_a_store_survives_a_restart_of_the_server_between_two_appends() {
    error_messages::record_log();
    let Some(cluster) = PostgresCluster::start_with_password(
        "w4_w7_a_store_survives_a_restart_of_the_server_between_two_appends",
        SECRET,
    ) else {
        return;
    };
    let store = open(&format!("{}?connect_timeout=1", cluster.url())).await.unwrap();
    for number in 1..=3 {
        let append = append();
        assert_eq!(store.append(append.clone()).await.unwrap().position.get(), number);
        assert_eq!(store.head().await.unwrap().get(), number);
        cluster.crash();
        let error = store.append(append.clone()).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert!(store.head().await.unwrap_err().is_unavailable());
        cluster.restart();
        // Each connection detects by itself that it is dead.
        let again = retry_call(|| store.append(append.clone())).await;
        assert_eq!((again.position.get(), again.repeated), (number, true));
        assert_eq!(retry_call(|| store.head()).await.get(), number);
    }
    assert!(!error_messages::logged().contains(SECRET));
}

/// Retries as often as there may be dead connections.
async fn retry_call<T, F: Future<Output = highwater_core::Result<T>>>(send: impl Fn() -> F) -> T {
    let mut last = None;
    for _ in 0..12 {
        match send().await {
            Ok(value) => return value,
            Err(error) => last = Some(error),
        }
    }
    panic!("still: {last:?}");
}
