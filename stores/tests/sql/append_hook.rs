//! Hooks in the transaction of an append: committed with the events, or not at all.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use highwater_core::{Code, NextStep, Query, ReadFrom, Version, port::Append, value::Expected};
use highwater_stores::{
    PostgresHook, SqliteHook,
    testing::{build, read},
};
use tokio::sync::Notify;

use super::{
    append, error_messages,
    outbox::{Outbox, Then, outboxes},
    processes,
};

#[tokio::test]
async fn w2_rows_of_the_hook_are_committed_with_the_events() {
    for outbox in outboxes("w2_rows_of_the_hook_are_committed_with_the_events").await {
        let append = outbox.append(&[], Then::Well);
        let command = append.command.to_string();
        outbox.store.append(append).await.unwrap();
        assert_eq!(outbox.commands().await, [command]);
        assert_eq!(outbox.rows_and_events().await, (1, 1));
    }
}

#[tokio::test]
async fn the_server_ends_the_transaction_of_a_hook_whose_machine_is_lost_on_postgres() {
    let test = "the_server_ends_the_transaction_of_a_hook_whose_machine_is_lost_on_postgres";
    let Some(outbox) = Outbox::on_postgres(test).await else { return };
    let setting =
        "insert into outbox select current_setting('idle_in_transaction_session_timeout')";
    let append = outbox.append(&[setting], Then::Well);
    let command = append.command.to_string();
    outbox.store.append(append).await.unwrap();
    assert_eq!(outbox.commands().await, [command, "1min".to_owned()]);
}

#[tokio::test]
async fn w2_a_conflict_rolls_the_hook_back() {
    for outbox in outboxes("w2_a_conflict_rolls_the_hook_back").await {
        outbox.store.append(append()).await.unwrap();
        let stale = build::append_to(&build::stream("a"), Expected::NoStream, build::events(1));
        let hook = Some(outbox.work(&[], Then::Well));
        let error = outbox.store.append(Append { hook, ..stale }).await.unwrap_err();
        assert_eq!(error.code(), Code::STALE_VERSION);
        assert_eq!(outbox.rows_and_events().await, (0, 1));
        outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap();
        assert_eq!(outbox.rows_and_events().await, (1, 2));
    }
}

#[tokio::test]
async fn w2_a_hook_that_fails_rolls_the_events_back_and_returns_its_own_error() {
    for outbox in
        outboxes("w2_a_hook_that_fails_rolls_the_events_back_and_returns_its_own_error").await
    {
        let error = outbox.store.append(outbox.append(&[], Then::Fail)).await.unwrap_err();
        let words = ["the work does not want to"];
        error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &words);
        let statement = outbox.append(&["insert into outbox values (null)"], Then::Well);
        let error = outbox.store.append(statement).await.unwrap_err();
        let words = ["the transaction hook failed", "outbox"];
        error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &words);
        assert_eq!(outbox.rows_and_events().await, (0, 0));
        outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap();
        assert_eq!(outbox.rows_and_events().await, (1, 1));
    }
}

/// The locks that sessions of this log hold after their work.
const HELD: &str = "select l.pid::text from pg_locks l join pg_stat_activity a using (pid) \
     where a.state like 'idle in transaction%' and l.relation = 'outbox'::regclass";

#[tokio::test]
async fn w3_an_append_that_is_refused_leaves_no_lock_behind_its_hook_on_postgres() {
    let test = "w3_an_append_that_is_refused_leaves_no_lock_behind_its_hook_on_postgres";
    let Some(outbox) = Outbox::on_postgres(test).await else { return };
    let first = outbox.append(&[], Then::Well);
    outbox.store.append(first.clone()).await.unwrap();
    assert!(outbox.store.append(first).await.unwrap().repeated);
    assert_eq!(outbox.texts(HELD).await, [] as [&str; 0], "after a command that was repeated");
    let stale = build::append_to(&build::stream("a"), Expected::NoStream, build::events(1));
    let hook = Some(outbox.work(&[], Then::Well));
    outbox.store.append(Append { hook, ..stale }).await.unwrap_err();
    assert_eq!(outbox.texts(HELD).await, [] as [&str; 0], "after a conflict");
    outbox.store.append(outbox.append(&[], Then::Fail)).await.unwrap_err();
    assert_eq!(outbox.texts(HELD).await, [] as [&str; 0], "after a hook that failed");
    outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap();
}

#[tokio::test]
async fn w4_the_hook_of_a_repeated_command_writes_nothing() {
    for outbox in outboxes("w4_the_hook_of_a_repeated_command_writes_nothing").await {
        let append = outbox.append(&[], Then::Well);
        let first = outbox.store.append(append.clone()).await.unwrap();
        let again = outbox.store.append(append).await.unwrap();
        assert_eq!((first.position, again.repeated), (again.position, true));
        assert_eq!(outbox.rows_and_events().await, (1, 1));
    }
}

#[tokio::test]
async fn a_hook_that_panics_fails_alone() {
    for outbox in outboxes("a_hook_that_panics_fails_alone").await {
        let panicking = outbox.store.append(outbox.append(&[], Then::Panic));
        let others: Vec<_> = (0..20).map(|_| outbox.store.append(append())).collect();
        let error = panicking.await.unwrap_err();
        error_messages::check(
            &error,
            Code::PANICKED,
            NextStep::FixProgram,
            &["transaction hook panicked"],
        );
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(outbox.rows_and_events().await, (0, 20));
    }
}

#[tokio::test]
async fn a_hook_for_another_store_is_refused() {
    for outbox in outboxes("a_hook_for_another_store_is_refused").await {
        let hook: Arc<dyn highwater_core::domain::TransactionHook> = if outbox.is_postgres() {
            Arc::new(SqliteHook::new(|_, _| Box::pin(async { Ok(()) })))
        } else {
            Arc::new(PostgresHook::new(|_, _| Box::pin(async { Ok(()) })))
        };
        let foreign = Append { hook: Some(hook), ..append() };
        let error = outbox.store.append(foreign).await.unwrap_err();
        error_messages::check(
            &error,
            Code::BAD_REQUEST,
            NextStep::FixRequest,
            &["is not a hook for"],
        );
        assert_eq!(outbox.rows_and_events().await, (0, 0));
    }
}

#[tokio::test]
async fn a_slow_hook_does_not_block_readers() {
    for outbox in outboxes("a_slow_hook_does_not_block_readers").await {
        outbox.store.append(append()).await.unwrap();
        let there = Arc::new(Notify::new());
        let go = Arc::new(Notify::new());
        let slow = outbox.append(&[], Then::Wait(Arc::clone(&there), Arc::clone(&go)));
        let slow = outbox.store.append(slow);
        let next = outbox.store.append(append());
        there.notified().await;
        let stream = build::stream("a");
        let page = outbox.store.read_stream(&stream, ReadFrom::After(Version::NONE), 9);
        let page = tokio::time::timeout(Duration::from_secs(5), page).await.unwrap().unwrap();
        assert_eq!(page.events.len(), 1);
        go.notify_one();
        assert_eq!(slow.await.unwrap().position.get(), 2);
        assert_eq!(next.await.unwrap().position.get(), 3);
    }
}

#[tokio::test]
async fn w2_a_hook_that_ends_the_transaction_is_refused_before_an_event_is_stored() {
    for ending in [&["commit"][..], &["rollback"], &["commit", "begin"], &["rollback", "begin"]] {
        for outbox in
            outboxes("w2_a_hook_that_ends_the_transaction_is_refused_before_an_event_is_stored")
                .await
        {
            let rows = usize::from(ending[0] == "commit");
            let error = outbox.store.append(outbox.append(ending, Then::Well)).await.unwrap_err();
            let words = ["ended the transaction"];
            error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &words);
            assert_eq!(outbox.rows_and_events().await, (rows, 0), "{ending:?}");
            // Later appends run in a separate transaction again.
            let stale = build::append_to(&build::stream("a"), Expected::Any, build::events(3));
            let hook = Some(outbox.work(&[], Then::Fail));
            outbox.store.append(Append { hook, ..stale }).await.unwrap_err();
            outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap();
            assert_eq!(outbox.rows_and_events().await, (rows + 1, 1), "{ending:?}");
        }
    }
}

#[tokio::test]
async fn a_hook_that_ends_the_transaction_and_fails_or_panics_leaves_the_store_usable() {
    for then in [Then::Fail, Then::Panic] {
        for outbox in
            outboxes("a_hook_that_ends_the_transaction_and_fails_or_panics_leaves_the_store_usable")
                .await
        {
            let failing = outbox.append(&["rollback"], then.clone());
            outbox.store.append(failing).await.unwrap_err();
            outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap();
            outbox.store.append(append()).await.unwrap();
            assert_eq!(outbox.rows_and_events().await, (1, 2));
        }
    }
}

#[tokio::test]
async fn a_hook_may_use_savepoints() {
    for outbox in outboxes("a_hook_may_use_savepoints").await {
        let statements = [
            "savepoint mine",
            "insert into outbox values ('undone')",
            "rollback to savepoint mine",
        ];
        outbox.store.append(outbox.append(&statements, Then::Well)).await.unwrap();
        assert_eq!(outbox.rows_and_events().await, (1, 1));
    }
}

#[tokio::test]
async fn a_hook_that_ignores_its_own_error_is_refused_on_postgres() {
    let Some(outbox) =
        Outbox::on_postgres("a_hook_that_ignores_its_own_error_is_refused_on_postgres").await
    else {
        return;
    };
    let careless = PostgresHook::new(|connection, _| {
        Box::pin(async move {
            let _ = sqlx::raw_sql("select 1 / 0").execute(connection).await;
            Ok(())
        })
    });
    let careless = Append { hook: Some(Arc::new(careless)), ..append() };
    let error = outbox.store.append(careless).await.unwrap_err();
    error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &["ignored an error"]);
    outbox.store.append(append()).await.unwrap();
    assert_eq!(outbox.rows_and_events().await, (0, 1));
}

#[tokio::test]
async fn a_hook_that_loses_the_connection_writes_nothing_on_postgres() {
    let Some(outbox) =
        Outbox::on_postgres("a_hook_that_loses_the_connection_writes_nothing_on_postgres").await
    else {
        return;
    };
    let losing = outbox.append(&["select pg_terminate_backend(pg_backend_pid())"], Then::Well);
    let error = outbox.store.append(losing).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap();
    assert_eq!(outbox.rows_and_events().await, (1, 1));
}

#[tokio::test]
async fn w2_what_a_constraint_refuses_at_the_commit_is_a_refusal_and_stores_nothing() {
    for outbox in
        outboxes("w2_what_a_constraint_refuses_at_the_commit_is_a_refusal_and_stores_nothing").await
    {
        let violation = outbox.deferred_constraint().await;
        for _ in 0..2 {
            let violating = outbox.append(&[violation], Then::Well);
            let error = outbox.store.append(violating).await.unwrap_err();
            let words = ["the transaction hook failed"];
            error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &words);
            assert_eq!(outbox.rows_and_events().await, (0, 0));
        }
        outbox.store.append(append()).await.unwrap();
        outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap();
        assert_eq!(outbox.rows_and_events().await, (1, 2));
    }
}

/// A trigger that refuses its row, at once or when the row is committed.
const REFUSING: &str = "
    create or replace function outbox_refuses() returns trigger language plpgsql as $$
    begin raise exception 'no such order'; end $$;
    create constraint trigger refuses after insert on outbox deferrable initially ";

#[tokio::test]
async fn w2_what_a_trigger_refuses_is_a_refusal_and_stores_nothing_on_postgres() {
    for when in ["immediate", "deferred"] {
        let Some(outbox) = Outbox::on_postgres(
            "w2_what_a_trigger_refuses_is_a_refusal_and_stores_nothing_on_postgres",
        )
        .await
        else {
            return;
        };
        let trigger = format!("{REFUSING}{when} for each row execute function outbox_refuses()");
        outbox.execute(&trigger).await;
        let error = outbox.store.append(outbox.append(&[], Then::Well)).await.unwrap_err();
        let words = ["the transaction hook failed", "no such order"];
        error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &words);
        assert_eq!(outbox.rows_and_events().await, (0, 0));
    }
}

/// A trigger that terminates the connection when its row is committed.
const DEADLY: &str = "
    create or replace function outbox_dies() returns trigger language plpgsql as $$
    begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
    create constraint trigger dies after insert on outbox deferrable initially deferred
    for each row execute function outbox_dies()";

#[tokio::test]
async fn w2_w4_a_commit_of_unknown_outcome_can_be_retried_with_its_hook_on_postgres() {
    let Some(outbox) = Outbox::on_postgres(
        "w2_w4_a_commit_of_unknown_outcome_can_be_retried_with_its_hook_on_postgres",
    )
    .await
    else {
        return;
    };
    outbox.execute(DEADLY).await;
    let append = outbox.append(&[], Then::Well);
    let error = outbox.store.append(append.clone()).await.unwrap_err();
    let words = [append.command.to_string()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    error_messages::check(&error, Code::UNKNOWN_OUTCOME, NextStep::RetrySameId, &words);
    assert_eq!(outbox.rows_and_events().await, (0, 0));
    outbox.execute("drop trigger dies on outbox").await;
    assert!(!outbox.store.append(append.clone()).await.unwrap().repeated);
    assert!(outbox.store.append(append).await.unwrap().repeated);
    assert_eq!(outbox.rows_and_events().await, (1, 1));
}

/// Kills a process that appends with a hook several times. Exactly the stored commands have a row.
#[tokio::test]
async fn w2_w7_rows_and_events_stay_together_over_kills_of_the_process() {
    for outbox in outboxes("w2_w7_rows_and_events_stay_together").await {
        for _ in 0..4 {
            processes::appends_until_killed(outbox.url(), 40);
        }
        let log = read::log(&*outbox.store, &Query::all()).await;
        let stored: BTreeSet<String> = log.iter().map(|event| event.command.to_string()).collect();
        assert!(stored.len() >= 160, "{}", stored.len());
        assert_eq!(outbox.commands().await, Vec::from_iter(stored));
    }
}
