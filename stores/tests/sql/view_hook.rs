//! Hooks in the commit of a view: committed with its rows and progress, or not at all.

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Code, NextStep, Position,
    domain::TransactionHook,
    port::{Append, Progress, ViewCommit},
};
use highwater_stores::{PostgresHook, SqliteHook};
use tokio::sync::Notify;

use super::{
    append, commit, error_messages,
    outbox::{Outbox, Then, outboxes},
};

const INSERT: &str = "insert into outbox values ('written')";

/// Returns a commit with a hook that inserts a row, executes these statements, and ends like this.
async fn with_work(outbox: &Outbox, statements: &[&str], then: Then) -> ViewCommit {
    let statements: Vec<&str> = [INSERT].iter().chain(statements).copied().collect();
    let hook = Some(outbox.writing(&statements, then));
    ViewCommit { hook, ..commit(&*outbox.store, "balances").await }
}

/// Returns the number of rows of the hook, the position of the view, and true if its row exists.
async fn state(outbox: &Outbox) -> (usize, u64, bool) {
    let view = commit(&*outbox.store, "balances").await.view;
    let read = outbox.store.read_view(&view, &["a".into()]).await.unwrap();
    let position = read.state.shards[0].position.get();
    (outbox.commands().await.len(), position, read.rows[0].value.is_some())
}

const NOTHING: (usize, u64, bool) = (0, 0, false);
const EVERYTHING: (usize, u64, bool) = (1, 1, true);

#[tokio::test]
async fn r1_rows_of_the_hook_are_committed_with_the_progress() {
    for outbox in outboxes("r1_rows_of_the_hook_are_committed_with_the_progress").await {
        let commit = with_work(&outbox, &[], Then::Well).await;
        outbox.store.commit_view(commit).await.unwrap();
        assert_eq!(state(&outbox).await, EVERYTHING);
    }
}

#[tokio::test]
async fn r1_a_conflict_rolls_the_hook_back() {
    for outbox in outboxes("r1_a_conflict_rolls_the_hook_back").await {
        let fenced = with_work(&outbox, &[], Then::Well).await;
        let stale = with_work(&outbox, &[], Then::Well).await;
        let to = Progress { position: Position::new(8), ..Progress::default() };
        let stale = ViewCommit { from: Position::new(7), to, ..stale };
        for (commit, code) in [(fenced, Code::FENCED), (stale, Code::STALE_CHECKPOINT)] {
            let error = outbox.store.commit_view(commit).await.unwrap_err();
            assert_eq!(error.code(), code);
        }
        assert_eq!(state(&outbox).await, NOTHING);
    }
}

#[tokio::test]
async fn r1_a_hook_that_fails_rolls_the_commit_back_and_returns_its_own_error() {
    for outbox in
        outboxes("r1_a_hook_that_fails_rolls_the_commit_back_and_returns_its_own_error").await
    {
        for (statements, then, word) in [
            (&[][..], Then::Fail, "the work does not want to"),
            (&["insert into outbox values (null)"], Then::Well, "outbox"),
        ] {
            let commit = with_work(&outbox, statements, then).await;
            let error = outbox.store.commit_view(commit).await.unwrap_err();
            error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &[word]);
            assert_eq!(state(&outbox).await, NOTHING);
        }
        let panicking = with_work(&outbox, &[], Then::Panic).await;
        let error = outbox.store.commit_view(panicking).await.unwrap_err();
        error_messages::check(
            &error,
            Code::PANICKED,
            NextStep::FixProgram,
            &["transaction hook panicked"],
        );
        assert_eq!(state(&outbox).await, NOTHING);
        let well = with_work(&outbox, &[], Then::Well).await;
        outbox.store.commit_view(well).await.unwrap();
        assert_eq!(state(&outbox).await, EVERYTHING);
    }
}

#[tokio::test]
async fn r1_what_a_constraint_refuses_at_the_commit_is_a_refusal_and_writes_nothing() {
    for outbox in
        outboxes("r1_what_a_constraint_refuses_at_the_commit_is_a_refusal_and_writes_nothing").await
    {
        let violation = outbox.deferred_constraint().await;
        let violating = with_work(&outbox, &[violation], Then::Well).await;
        let error = outbox.store.commit_view(violating).await.unwrap_err();
        let words = ["the transaction hook failed"];
        error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &words);
        assert_eq!(state(&outbox).await, NOTHING);
        let well = with_work(&outbox, &[], Then::Well).await;
        outbox.store.commit_view(well).await.unwrap();
        assert_eq!(state(&outbox).await, EVERYTHING);
    }
}

#[tokio::test]
async fn r1_a_refused_row_rolls_the_hook_back() {
    for outbox in outboxes("r1_a_refused_row_rolls_the_hook_back").await {
        let mut bad = with_work(&outbox, &[], Then::Well).await;
        bad.rows.push(("b".to_owned(), Some(b"{"[..].into())));
        assert!(outbox.store.commit_view(bad).await.unwrap_err().is_invalid());
        assert_eq!(state(&outbox).await, NOTHING);
    }
}

#[tokio::test]
async fn r1_a_hook_that_ends_the_transaction_is_refused_before_the_progress_moves() {
    for ending in [&["commit"][..], &["rollback"], &["commit", "begin"], &["rollback", "begin"]] {
        for outbox in
            outboxes("r1_a_hook_that_ends_the_transaction_is_refused_before_the_progress_moves")
                .await
        {
            let rows = usize::from(ending[0] == "commit");
            let commit = with_work(&outbox, ending, Then::Well).await;
            let error = outbox.store.commit_view(commit).await.unwrap_err();
            let words = ["ended the transaction"];
            error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &words);
            assert_eq!(state(&outbox).await, (rows, 0, false), "{ending:?}");
            let well = with_work(&outbox, &[], Then::Well).await;
            outbox.store.commit_view(well).await.unwrap();
            assert_eq!(state(&outbox).await, (rows + 1, 1, true), "{ending:?}");
        }
    }
}

#[tokio::test]
async fn a_hook_for_another_store_or_for_an_append_is_refused() {
    for outbox in outboxes("a_hook_for_another_store_or_for_an_append_is_refused").await {
        let postgres = PostgresHook::writing(|_| Box::pin(async { Ok(()) }));
        let sqlite = SqliteHook::writing(|_| Box::pin(async { Ok(()) }));
        let foreign: Arc<dyn TransactionHook> =
            if outbox.is_postgres() { Arc::new(sqlite) } else { Arc::new(postgres) };
        for (hook, word) in
            [(foreign, "is not a hook for"), (outbox.work(&[], Then::Well), "::writing")]
        {
            let hook = Some(hook);
            let commit = ViewCommit { hook, ..commit(&*outbox.store, "balances").await };
            let error = outbox.store.commit_view(commit).await.unwrap_err();
            error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &[word]);
        }
        assert_eq!(state(&outbox).await, NOTHING);
    }
}

#[tokio::test]
async fn w2_a_hook_that_needs_no_append_runs_with_appends_too() {
    for outbox in outboxes("w2_a_hook_that_needs_no_append_runs_with_appends_too").await {
        let hook = Some(outbox.writing(&[INSERT], Then::Well));
        outbox.store.append(Append { hook, ..append() }).await.unwrap();
        let hook = Some(outbox.writing(&[INSERT], Then::Fail));
        outbox.store.append(Append { hook, ..append() }).await.unwrap_err();
        assert_eq!(outbox.rows_and_events().await, (1, 1));
    }
}

#[tokio::test]
async fn r1_a_slow_hook_blocks_neither_readers_nor_a_takeover_on_postgres() {
    let Some(outbox) =
        Outbox::on_postgres("r1_a_slow_hook_blocks_neither_readers_nor_a_takeover_on_postgres")
            .await
    else {
        return;
    };
    let there = Arc::new(Notify::new());
    let go = Arc::new(Notify::new());
    let slow = Then::Wait(Arc::clone(&there), Arc::clone(&go));
    let slow = with_work(&outbox, &[], slow).await;
    let store = Arc::clone(&outbox.store);
    let slow = tokio::spawn(async move { store.commit_view(slow).await });
    there.notified().await;
    let taking_over = tokio::time::timeout(Duration::from_secs(20), async {
        let next = commit(&*outbox.store, "balances").await;
        outbox.store.commit_view(next).await.unwrap();
    });
    taking_over.await.unwrap();
    go.notify_one();
    assert_eq!(slow.await.unwrap().unwrap_err().code(), Code::FENCED);
    assert_eq!(state(&outbox).await, (0, 1, true));
}

#[tokio::test]
async fn r1_the_server_ends_the_transaction_of_a_lost_machine_on_postgres() {
    let Some(outbox) =
        Outbox::on_postgres("r1_the_server_ends_the_transaction_of_a_lost_machine_on_postgres")
            .await
    else {
        return;
    };
    let setting =
        "insert into outbox select current_setting('idle_in_transaction_session_timeout')";
    let commit = with_work(&outbox, &[setting], Then::Well).await;
    outbox.store.commit_view(commit).await.unwrap();
    assert_eq!(outbox.commands().await, ["1min", "written"]);
}

#[tokio::test]
async fn r1_a_hook_that_ignores_its_own_error_is_refused_on_postgres() {
    let Some(outbox) =
        Outbox::on_postgres("r1_a_hook_that_ignores_its_own_error_is_refused_on_postgres").await
    else {
        return;
    };
    let careless = PostgresHook::writing(|connection| {
        Box::pin(async move {
            let _ = sqlx::raw_sql("select 1 / 0").execute(connection).await;
            Ok(())
        })
    });
    let hook: Option<Arc<dyn TransactionHook>> = Some(Arc::new(careless));
    let careless = ViewCommit { hook, ..commit(&*outbox.store, "balances").await };
    let error = outbox.store.commit_view(careless).await.unwrap_err();
    error_messages::check(&error, Code::BAD_REQUEST, NextStep::FixRequest, &["ignored an error"]);
    assert_eq!(state(&outbox).await, NOTHING);
}

#[tokio::test]
async fn r1_a_hook_that_loses_the_connection_writes_nothing_on_postgres() {
    let Some(outbox) =
        Outbox::on_postgres("r1_a_hook_that_loses_the_connection_writes_nothing_on_postgres").await
    else {
        return;
    };
    let losing = ["select pg_terminate_backend(pg_backend_pid())"];
    let losing = with_work(&outbox, &losing, Then::Well).await;
    assert!(outbox.store.commit_view(losing).await.unwrap_err().is_unavailable());
    assert_eq!(state(&outbox).await, NOTHING);
    let well = with_work(&outbox, &[], Then::Well).await;
    outbox.store.commit_view(well).await.unwrap();
    assert_eq!(state(&outbox).await, EVERYTHING);
}

/// The test would take twenty seconds if the waiter polled twenty times.
#[tokio::test]
async fn r3_another_process_is_notified_of_a_commit_before_it_polls_on_postgres() {
    let Some(outbox) = Outbox::on_postgres(
        "r3_another_process_is_notified_of_a_commit_before_it_polls_on_postgres",
    )
    .await
    else {
        return;
    };
    let other = super::open_any(outbox.url()).await.unwrap();
    let first = commit(&*outbox.store, "balances").await;
    let view = first.view.clone();
    let begun = tokio::time::Instant::now();
    for position in (0..20).map(Position::new) {
        let seen = other.read_view(&view, &[]).await.unwrap().state;
        let waiting = tokio::spawn({
            let other = Arc::clone(&other);
            let view = view.clone();
            async move { other.wait_for_view_change(&view, &seen).await }
        });
        let mut next = ViewCommit { from: position, ..first.clone() };
        next.to.position = Position::new(position.get() + 1);
        outbox.store.commit_view(next).await.unwrap();
        waiting.await.unwrap().unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
