//! Networks that go silent, connections that are cut, and servers that are not what they were.

use std::{
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{join_all, join3};
use highwater_core::{
    Code, Error, NextStep, Position, Query, ReadFrom, Result, SchemaVersion, Version,
    domain::{ViewName, ViewSpec},
    port::{
        Append, ClaimMode, EventStore as _, KeyRange, LeaseStore as _, ParkedStore as _,
        ShardClaim, Snapshot, SnapshotStore as _, Store, ViewCommit, ViewStore as _, WorkerId,
    },
    value::{Epoch, Expected, ShardId, Sharding},
};
use highwater_stores::{PostgresHook, PostgresStore, testing::build};
use highwater_test_support::{postgres::PostgresCluster, proxy::Proxy};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::{runtime::Handle, time::timeout};

use super::{
    append, commit,
    error_messages::{self, SECRET},
    server::{Server, open},
};

/// The longest time that a call may take which has a bound of a second. Without a bound it never ends.
const ENDS: Duration = Duration::from_secs(120);

fn worker() -> WorkerId {
    WorkerId::new("worker").unwrap()
}

fn claim_of(view: &ViewName) -> ShardClaim {
    ShardClaim {
        view: view.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker(),
        mode: ClaimMode::Always,
        lease: Duration::from_secs(3_600),
        definition: None,
    }
}

/// Waits for the end of a call, and returns its outcome without its value.
async fn ends<T>(call: impl Future<Output = Result<T>>) -> Result<()> {
    timeout(ENDS, call).await.unwrap().map(drop)
}

fn snapshot() -> Snapshot {
    Snapshot {
        stream: build::stream("a"),
        version: Version::new(1),
        head: build::event_id(),
        schema: SchemaVersion::FIRST,
        state: b"{}"[..].into(),
    }
}

/// Makes every call that reads, and every one that may be made again.
async fn call_everything(store: &dyn Store, view: &ViewName) -> Vec<Result<()>> {
    let (first, lease) = (ShardId::FIRST, Duration::from_secs(3_600));
    let (stream, keys) = (build::stream("a"), ["a".to_owned(), "b".to_owned()]);
    let all = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
    let reads = async {
        vec![
            ends(store.read_stream(&stream, ReadFrom::After(Version::NONE), 9)).await,
            ends(store.read_log(&Query::all(), ReadFrom::After(Position::START), 9)).await,
            ends(store.head()).await,
            ends(store.find_command(build::command())).await,
            ends(store.load_snapshot(&stream)).await,
            ends(store.read_view(view, &keys[..1])).await,
            ends(store.read_view(view, &keys)).await,
            ends(store.read_range(view, &all, 9)).await,
            ends(store.parked_keys(view, None, 9)).await,
            ends(store.queued_events(view, "a", Position::START, 9)).await,
        ]
    };
    let writes = async {
        vec![
            ends(store.save_snapshot(snapshot())).await,
            ends(store.retry_parked(view, "a")).await,
            ends(store.heartbeat(view, &worker(), lease)).await,
            ends(store.release_shard(view, first, Epoch::new(99))).await,
        ]
    };
    let others = async {
        vec![
            ends(store.claim_shard(claim_of(view))).await,
            ends(store.open_view(&ViewSpec::rows(view.clone()), Sharding::SINGLE)).await,
            ends(store.open_view(&ViewSpec::rows(ViewName::new("new").unwrap()), Sharding::SINGLE))
                .await,
            ends(store.leave(view, &worker())).await,
        ]
    };
    let (reads, writes, others) = join3(reads, writes, others).await;
    reads.into_iter().chain(writes).chain(others).collect()
}

/// A store behind a proxy, with connections that have been used.
pub(super) struct BehindProxy {
    pub(super) server: Server,
    pub(super) proxy: Arc<Proxy>,
    pub(super) store: PostgresStore,
}

impl BehindProxy {
    pub(super) async fn start(test: &str) -> Option<Self> {
        let server = Server::of(test).await?;
        let proxy = Proxy::start(&Handle::current(), (0, server.port()));
        let url = server.url_at(proxy.port());
        let store = open(&format!("{url}&connect_timeout=1&answer_timeout=1")).await.unwrap();
        store.append(append()).await.unwrap();
        Some(Self { server, proxy: Arc::new(proxy), store })
    }

    /// Opens all connections.
    async fn warm_up(&self) {
        let store: Arc<dyn Store> = Arc::new(self.store.clone());
        let heads = (0..32).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.head().await.unwrap() })
        });
        join_all(heads).await;
    }
}

/// Returns a hook that executes a statement.
fn select_one() -> PostgresHook {
    PostgresHook::writing(|connection| {
        Box::pin(async move { Ok(connection.execute("select 1").await.map(drop)?) })
    })
}

fn silent(outcome: Result<()>) {
    let error = outcome.unwrap_err();
    assert_eq!((error.code(), error.next_step()), (Code::UNREACHABLE, NextStep::Retry), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w4_every_call_ends_while_the_network_is_silent_on_postgres() {
    let test = "w4_every_call_ends_while_the_network_is_silent_on_postgres";
    let Some(fixture) = BehindProxy::start(test).await else { return };
    let BehindProxy { proxy, store, .. } = &fixture;
    let commit = commit(store, "balances").await;
    let view = commit.view.clone();
    let sent = append();
    proxy.hold();
    let appending = timeout(ENDS, store.append(sent.clone()));
    let committing = ends(store.commit_view(commit));
    let (appended, committed, all) =
        join3(appending, committing, call_everything(store, &view)).await;
    let error = appended.expect("the append does not end").unwrap_err();
    let id = sent.command.to_string();
    error_messages::check(&error, Code::UNKNOWN_OUTCOME, NextStep::RetrySameId, &[&id, "1s"]);
    silent(committed);
    all.into_iter().for_each(silent);

    // Everything goes on when the network does.
    proxy.let_through();
    assert_eq!(store.append(sent).await.unwrap().position.get(), 2);
    for outcome in call_everything(store, &view).await {
        outcome.unwrap();
    }

    // No two of them share a transaction: each would wait for its own bound.
    let hook: Arc<PostgresHook> = Arc::new(select_one());
    proxy.hold();
    let apart = || Append { hook: Some(Arc::clone(&hook) as _), ..append() };
    let queued: Vec<_> = (0..200).map(|_| store.append(apart())).collect();
    timeout(ENDS, store.close()).await.expect("closing does not end");
    for late in join_all(queued).await {
        assert!(late.as_ref().is_err_and(Error::is_retryable), "{late:?}");
    }
}

/// One event, several at known versions, and events at any version are sent in different ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w4_every_kind_of_append_ends_while_the_network_is_silent_on_postgres() {
    let test = "w4_every_kind_of_append_ends_while_the_network_is_silent_on_postgres";
    let Some(fixture) = BehindProxy::start(test).await else { return };
    let BehindProxy { proxy, store, .. } = &fixture;
    let first = |stream: &str, events: usize| {
        build::append_to(&build::stream(stream), Expected::NoStream, build::events(events))
    };
    for sent in [first("one", 1), first("several", 3), append()] {
        // After one that was accepted, the next is sent in the way that is cheapest for it.
        store.append(append()).await.unwrap();
        proxy.hold();
        let appended = timeout(ENDS, store.append(sent.clone())).await;
        let error = appended.expect("the append does not end").unwrap_err();
        assert_eq!(error.code(), Code::UNKNOWN_OUTCOME, "{error}");
        proxy.let_through();
        store.append(sent).await.unwrap();
    }
    assert_eq!(store.head().await.unwrap().get(), 9, "each was stored once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_ends_while_the_network_is_silent_on_postgres() {
    let test = "a_hook_ends_while_the_network_is_silent_on_postgres";
    let Some(fixture) = BehindProxy::start(test).await else { return };
    let BehindProxy { proxy, store, .. } = &fixture;
    let commit = commit(store, "balances").await;
    let held = Arc::clone(proxy);
    let hook = PostgresHook::writing(move |connection| {
        held.hold();
        Box::pin(async move { Ok(connection.execute("select 1").await.map(drop)?) })
    });
    let hook = Some(Arc::new(hook) as _);
    silent(ends(store.append(Append { hook: hook.clone(), ..append() })).await);
    proxy.let_through();
    silent(ends(store.commit_view(ViewCommit { hook: hook.clone(), ..commit })).await);
    proxy.let_through();
    assert_eq!(store.append(append()).await.unwrap().position.get(), 2);
    proxy.hold();
    silent(ends(store.append(Append { hook, ..append() })).await);
    proxy.let_through();
    store.append(append()).await.unwrap();
}

/// The server doesn't answer what comes after the hook, because another session holds a lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_with_a_hook_ends_while_its_events_or_its_commit_wait_on_postgres() {
    let test = "an_append_with_a_hook_ends_while_its_events_or_its_commit_wait_on_postgres";
    let Some(server) = Server::of(test).await else { return };
    let store = open(&format!("{}&answer_timeout=1", server.url())).await.unwrap();
    server
        .execute(
            "create table @.waits (id integer); grant insert on @.waits to @; \
             create function @.waits() returns trigger language plpgsql as $$ \
             begin perform pg_advisory_xact_lock(77, 7); return null; end $$; \
             create constraint trigger waits after insert on @.waits \
             deferrable initially deferred for each row execute function @.waits()",
        )
        .await;
    let name = &server.name;
    let waits = format!("insert into {name}.waits values (1)");
    let commits_late = PostgresHook::writing(move |connection| {
        let waits = AssertSqlSafe(waits.clone());
        Box::pin(async move { Ok(connection.execute(waits).await.map(drop)?) })
    });
    let order = format!("1751738216, '{name}.events'::regclass::oid::integer");
    let mut holder = server.owner().await;
    for (lock, hook, code) in [
        (order.as_str(), select_one(), Code::UNREACHABLE),
        ("77, 7", commits_late, Code::UNKNOWN_OUTCOME),
    ] {
        let lock = AssertSqlSafe(format!("select pg_advisory_lock({lock})"));
        holder.execute(lock).await.unwrap();
        let appending = ends(store.append(Append { hook: Some(Arc::new(hook)), ..append() }));
        let error = appending.await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        holder.execute("select pg_advisory_unlock_all()").await.unwrap();
    }
}

/// Ends all sessions of a user, as a restart or a gateway does, and waits until they are gone.
pub(super) async fn cut_sessions(server: &Server) {
    let mut owner = server.owner().await;
    let user = &server.name;
    let cut =
        format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{user}'");
    owner.execute(AssertSqlSafe(cut)).await.unwrap();
    let left = format!("select count(*) from pg_stat_activity where usename = '{user}'");
    while sqlx::query_scalar::<_, i64>(AssertSqlSafe(left.as_str()))
        .fetch_one(&mut owner)
        .await
        .unwrap()
        > 0
    {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w4_reads_and_commands_go_on_where_idle_connections_were_cut_on_postgres() {
    let test = "w4_reads_and_commands_go_on_where_idle_connections_were_cut_on_postgres";
    let Some(fixture) = BehindProxy::start(test).await else { return };
    let BehindProxy { server, proxy, store } = &fixture;
    let view = commit(store, "balances").await.view;
    for by_proxy in [false, true] {
        fixture.warm_up().await;
        match by_proxy {
            true => proxy.cut(),
            false => cut_sessions(server).await,
        }
        store.append(append()).await.unwrap();
        let heads = (0..8).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.head().await })
        });
        for head in join_all(heads).await {
            head.unwrap().unwrap();
        }
        fixture.warm_up().await;
        cut_sessions(server).await;
        for outcome in call_everything(store, &view).await {
            outcome.unwrap();
        }
        cut_sessions(server).await;
        store.append(Append { hook: Some(Arc::new(select_one())), ..append() }).await.unwrap();
    }
    assert_eq!(store.head().await.unwrap().get(), 5, "every append was stored once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w4_commits_go_on_where_connections_were_cut_a_while_ago_on_postgres() {
    let test = "w4_commits_go_on_where_connections_were_cut_a_while_ago_on_postgres";
    let Some(fixture) = BehindProxy::start(test).await else { return };
    let BehindProxy { server, store, .. } = &fixture;
    let commit = commit(store, "balances").await;
    let spec = ViewSpec::rows(ViewName::new("other").unwrap());
    fixture.warm_up().await;
    cut_sessions(server).await;
    // A connection that was idle for a moment is pinged before a commit uses it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    store.commit_view(commit).await.unwrap();
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
}

/// Each call is the first after the cut. The error of another one would have closed all connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w4_each_write_goes_on_where_its_connection_was_just_cut_on_postgres() {
    let test = "w4_each_write_goes_on_where_its_connection_was_just_cut_on_postgres";
    let Some(fixture) = BehindProxy::start(test).await else { return };
    let BehindProxy { server, store, .. } = &fixture;
    let view = commit(store, "balances").await.view;
    let cut = async || {
        fixture.warm_up().await;
        cut_sessions(server).await;
    };
    cut().await;
    store.save_snapshot(snapshot()).await.unwrap();
    cut().await;
    store.retry_parked(&view, "a").await.unwrap();
    cut().await;
    store.release_shard(&view, ShardId::FIRST, Epoch::new(99)).await.unwrap();
    cut().await;
    let spec = ViewSpec::rows(ViewName::new("other").unwrap());
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
}

/// Waits until a session of the user listens, or none does any more.
pub(super) async fn until_it_listens(server: &Server, is_wanted: bool) {
    let mut owner = server.owner().await;
    let listens = format!(
        "select exists (select from pg_stat_activity where usename = '{}' and query like 'LISTEN%')",
        server.name
    );
    let waiting = async {
        while sqlx::query_scalar::<_, bool>(AssertSqlSafe(listens.as_str()))
            .fetch_one(&mut owner)
            .await
            .unwrap()
            != is_wanted
        {}
    };
    timeout(Duration::from_secs(60), waiting).await.unwrap();
}

/// Counts the reads of a follower, which waits between them.
async fn follow(store: PostgresStore, reads: Arc<AtomicU64>) {
    let mut position = Position::START;
    loop {
        store.wait_for_append(position).await.unwrap();
        let page = store.read_log(&Query::all(), ReadFrom::After(position), 100).await.unwrap();
        position = page.through;
        reads.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w3_a_notification_beyond_the_head_makes_no_follower_spin_on_postgres() {
    let test = "w3_a_notification_beyond_the_head_makes_no_follower_spin_on_postgres";
    let Some(server) = Server::of(test).await else { return };
    let store = server.open().await.unwrap();
    store.append(append()).await.unwrap();
    let reads = Arc::new(AtomicU64::new(0));
    let following = tokio::spawn(follow(store.clone(), Arc::clone(&reads)));
    until_it_listens(&server, true).await;
    let mut owner = server.owner().await;
    let notify = format!("notify {}_appended, '999999999'", server.name);
    owner.execute(AssertSqlSafe(notify)).await.unwrap();
    for _ in 0..3 {
        store.append(append()).await.unwrap();
    }
    // The follower polls every second: two or three times.
    let before = reads.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let reads = reads.load(Ordering::SeqCst) - before;
    assert!(reads < 20, "{reads} reads of a log to which nothing is appended");
    following.abort();
}

fn refused_as_standby(outcome: Result<()>) {
    let words = ["standby", "primary", "URL"];
    error_messages::check(&outcome.unwrap_err(), Code::UNREACHABLE, NextStep::Retry, &words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_a_standby_is_refused_when_opened_and_after_a_fail_over_on_postgres() {
    error_messages::record_log();
    let test = "r3_a_standby_is_refused_when_opened_and_after_a_fail_over_on_postgres";
    let Some(primary) = PostgresCluster::start_with_password(test, SECRET) else { return };
    let proxy = Proxy::start(&Handle::current(), (0, primary.port()));
    let url = |port: u16| format!("postgres://postgres:{SECRET}@127.0.0.1:{port}/postgres");
    let store = open(&format!("{}?connect_timeout=2", url(proxy.port()))).await.unwrap();
    let view = commit(&store, "balances").await.view;
    store.append(append()).await.unwrap();
    let standby = primary.start_standby();
    refused_as_standby(open(&url(standby.port())).await.map(drop));

    // The address leads to the standby before it is promoted.
    proxy.lead_to(standby.port());
    proxy.cut();
    for outcome in call_everything(&store, &view).await {
        refused_as_standby(outcome);
    }
    // The primary may have stored what was sent on the connection that was cut.
    let sent = append();
    let error = store.append(sent.clone()).await.unwrap_err();
    let words = ["standby", "primary", "URL"];
    error_messages::check(&error, Code::UNKNOWN_OUTCOME, NextStep::RetrySameId, &words);
    refused_as_standby(store.append(sent.clone()).await.map(drop));
    standby.promote();
    store.head().await.unwrap();
    store.append(sent).await.unwrap();
    open(&url(standby.port())).await.unwrap().close().await;
}

#[tokio::test]
async fn an_application_may_lock_the_number_of_the_table_on_postgres() {
    let test = "an_application_may_lock_the_number_of_the_table_on_postgres";
    let Some(server) = Server::of(test).await else { return };
    let store = open(&format!("{}&answer_timeout=2", server.url())).await.unwrap();
    let mut application = server.owner().await;
    let number = format!("select '{}.events'::regclass::oid::bigint", server.name);
    let number: i64 =
        sqlx::query_scalar(AssertSqlSafe(number)).fetch_one(&mut application).await.unwrap();
    sqlx::query("select pg_advisory_lock($1)")
        .bind(number)
        .execute(&mut application)
        .await
        .unwrap();
    let batch: Vec<_> = (0..20).map(|_| store.append(append())).collect();
    for appended in join_all(batch).await {
        appended.unwrap();
    }
    store
        .append(build::append_to(&build::stream("b"), build::at(0), build::events(3)))
        .await
        .unwrap();
    application.close().await.unwrap();
}

/// Waits until a session waits for an advisory lock of this key.
async fn until_it_is_waited_for(owner: &mut PgConnection, key: &str) {
    let waits = format!(
        "select exists (select from pg_locks where locktype = 'advisory' and not granted \
             and classid = (({key} >> 32) & 4294967295)::oid and objid = ({key} & 4294967295)::oid)"
    );
    let mut waits = async || {
        let waits = sqlx::query_scalar::<_, bool>(AssertSqlSafe(waits.as_str()));
        waits.fetch_one(&mut *owner).await.unwrap()
    };
    while !waits().await {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_machine_lost_while_it_opens_a_view_keeps_no_other_from_it_on_postgres() {
    let test = "r5_a_machine_lost_while_it_opens_a_view_keeps_no_other_from_it_on_postgres";
    let Some(fixture) = BehindProxy::start(test).await else { return };
    let BehindProxy { server, proxy, store } = &fixture;
    let mut owner = server.owner().await;
    let key = format!("hashtextextended('highwater views {}', 0)", server.name);
    let lock = AssertSqlSafe(format!("select pg_advisory_lock({key})"));
    owner.execute(lock).await.unwrap();
    let spec = ViewSpec::rows(ViewName::new("balances").unwrap());
    let (lost, lost_spec) = (store.clone(), spec.clone());
    tokio::spawn(async move { lost.open_view(&lost_spec, Sharding::SINGLE).await });
    until_it_is_waited_for(&mut owner, &key).await;
    // Its session gets the lock, and its answer goes nowhere.
    proxy.silence();
    owner.execute(AssertSqlSafe(format!("select pg_advisory_unlock({key})"))).await.unwrap();

    let other = open(&server.url()).await.unwrap();
    let opened = timeout(ENDS, other.open_view(&spec, Sharding::SINGLE)).await;
    opened.expect("the lock of the lost machine stays").unwrap();
}
