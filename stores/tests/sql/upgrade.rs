//! Databases of the versions before views had shards: an upgrade preserves their rows and progress.

use highwater_core::{
    Code, Position, Query, ReadFrom, Tag,
    domain::{GenerationSpec, ViewDefinition, ViewName, ViewSpec},
    port::{EventStore as _, ShardStop, Store, ViewState, ViewStore as _},
    value::{Epoch, Expected, ShardId, Sharding},
};
use highwater_stores::testing::build;
use jiff::Timestamp;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection,
};
use uuid::Uuid;

use super::{commit, error_messages, open_sqlite, server::Server};

/// The former schema, up to each version; `@` stands for the prefix of table names.
const ON_POSTGRES: [&str; 11] = [
    include_str!("../../src/postgres/sql/001_tables.sql"),
    include_str!("../../src/postgres/sql/002_append.sql"),
    include_str!("../../src/postgres/sql/003_append_all.sql"),
    include_str!("../../src/postgres/sql/004_views.sql"),
    include_str!("../../src/postgres/sql/005_identity.sql"),
    include_str!("../../src/postgres/sql/006_layout.sql"),
    include_str!("../../src/postgres/sql/007_order_lock.sql"),
    include_str!("../../src/postgres/sql/008_stopped.sql"),
    include_str!("../../src/postgres/sql/009_definition.sql"),
    include_str!("../../src/postgres/sql/010_generations.sql"),
    include_str!("../../src/postgres/sql/011_kept_rows.sql"),
];
const ON_SQLITE: [&str; 6] = [
    include_str!("../../src/sqlite/sql/001_tables.sql"),
    include_str!("../../src/sqlite/sql/002_views.sql"),
    include_str!("../../src/sqlite/sql/003_identity.sql"),
    include_str!("../../src/sqlite/sql/004_stopped.sql"),
    include_str!("../../src/sqlite/sql/005_lease_start.sql"),
    include_str!("../../src/sqlite/sql/006_definition.sql"),
];

/// The rows of these versions are bytes.
fn views(prefix: &str, bytes: &str, time: &str) -> String {
    format!(
        "create table {prefix}view_balances (key text primary key, value {bytes} not null);
         create table {prefix}view_empty (key text primary key, value {bytes} not null);
         insert into {prefix}view_balances values
             ('a', cast('{{\"owner\": \"ü\", \"cents\":1}}' as {bytes})),
             ('it''s', cast('[]' as {bytes}));
         insert into {prefix}checkpoints values
             ('balances', 7, {time}), ('empty', 0, {time}), ('dropped', 3, {time})"
    )
}

async fn has_kept(store: &dyn Store) {
    let view = ViewName::new("balances").unwrap();
    let keys = ["it's", "b", "a"].map(str::to_owned);
    let read = store.read_view(&view, &keys).await.unwrap();
    let rows: Vec<_> = read.rows.iter().map(|row| row.value.as_deref()).collect();
    let a = "{\"owner\": \"ü\", \"cents\":1}";
    assert_eq!(rows, [Some(&b"[]"[..]), None, Some(a.as_bytes())]);
    let ViewState { sharding: layout, shards, .. } = read.state;
    assert_eq!((layout, shards.len()), (Sharding::SINGLE, 1));
    assert_eq!(shards[0].position, Position::new(7));
    assert_eq!(shards[0].as_of, Timestamp::from_second(1_700_000_000).unwrap());
    // The view continues from its former progress, with rows like the former ones.
    let commit = commit(store, "balances").await;
    assert_eq!((commit.shard, commit.from), (ShardId::FIRST, Position::new(7)));
    store.commit_view(commit).await.unwrap();
    let read = store.read_view(&view, &keys[2..]).await.unwrap();
    assert_eq!(read.rows[0].value.as_deref(), Some(&b"1"[..]));
    // A table that was dropped is created again.
    for view in ["empty", "dropped"] {
        let spec = ViewSpec::rows(ViewName::new(view).unwrap());
        store.open_view(&spec, Sharding::SINGLE).await.unwrap();
        assert_eq!(store.read_view(&spec.name, &keys).await.unwrap().rows[0].value, None);
    }
}

#[tokio::test]
async fn r1_views_of_version_3_keep_rows_and_progress_on_postgres() {
    let Some(server) = Server::of("r1_views_of_version_3").await else { return };
    let name = &server.name;
    let views = views(&format!("{name}."), "bytea", "to_timestamp(1700000000)");
    make(&server, 3, &views).await;
    let stores = futures_util::future::join_all((0..4).map(|_| server.open())).await;
    for store in &stores {
        assert!(store.is_ok(), "{store:?}");
    }
    has_kept(stores[0].as_ref().unwrap()).await;
}

/// Creates a database of this version with this content.
async fn make(server: &Server, version: usize, filled: &str) {
    let name = &server.name;
    let fill = |sql: &&str| {
        sql.replace("@schema@", name).replace("@channel@", &format!("{name}_appended"))
    };
    let migrations: Vec<String> = ON_POSTGRES[..version].iter().map(fill).collect();
    let migrations = migrations.join(";");
    let old = format!(
        "create schema {name} authorization {name}; set role {name};
         create table {name}.migrations (
             version integer primary key, applied_at timestamptz not null default now());
         {migrations};
         insert into {name}.migrations select generate_series(1, {version}); {filled}"
    );
    server.owner().await.execute(AssertSqlSafe(old)).await.unwrap();
}

/// Upgrades a database in which one view was removed in part.
#[tokio::test]
async fn r1_views_of_version_5_keep_rows_sharding_and_progress_on_postgres() {
    let Some(server) =
        Server::of("r1_views_of_version_5_keep_rows_sharding_and_progress_on_postgres").await
    else {
        return;
    };
    let name = &server.name;
    let filled = format!(
        "create table {name}.view_balances (key text primary key, value json not null);
         insert into {name}.view_balances values ('a', '1');
         insert into {name}.views values ('balances', 'streams/4');
         insert into {name}.shards (view, shard, epoch, position, as_of, cursor)
             select view, shard, 3, 7 + shard, to_timestamp(1700000000), ''
             from unnest(array['balances', 'removed']) view cross join generate_series(3, 0, -1) shard"
    );
    make(&server, 5, &filled).await;
    let store = server.open().await.unwrap();
    let read = |view: &str, keys: &[&str]| {
        let store = store.clone();
        let view = ViewName::new(view).unwrap();
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        async move { store.read_view(&view, &keys).await }
    };
    for keys in [&[][..], &["a"], &["a", "b"]] {
        let found = read("balances", keys).await.unwrap();
        assert_eq!(found.state.sharding, Sharding::by_stream(4));
        let positions = found.state.shards.iter().map(|shard| shard.position.get());
        assert_eq!(positions.collect::<Vec<_>>(), [7, 8, 9, 10]);
        assert!(found.rows.first().is_none_or(|row| row.value.as_deref() == Some(b"1")));
    }
    let gone = read("removed", &["a"]).await.unwrap_err();
    assert_eq!(gone.code(), Code::VIEW_MISSING);
    let spec = ViewSpec::rows(ViewName::new("removed").unwrap());
    assert_eq!(store.open_view(&spec, Sharding::by_key(2)).await.unwrap().shards.len(), 2);
    assert_eq!(read("removed", &["a"]).await.unwrap().state.sharding, Sharding::by_key(2));
}

/// A process of version 6, which appends single events with a lock of another key.
struct FormerProcess {
    connection: PgConnection,
    statement: String,
    stream: String,
    version: i64,
}

impl FormerProcess {
    async fn start(server: &Server, stream: &str) -> Self {
        let (name, sql) = (&server.name, include_str!("../fixtures/single_event_006.sql"));
        let statement =
            sql.replace("@schema@", name).replace("@channel@", &format!("{name}_appended"));
        let connection = PgConnection::connect(&server.url_for_driver()).await.unwrap();
        Self { connection, statement, stream: stream.to_owned(), version: 0 }
    }

    /// Appends an event. Returns its position, or `None` if nothing was stored.
    async fn append(&mut self) -> Option<i64> {
        let position = sqlx::query_scalar(AssertSqlSafe(self.statement.as_str()))
            .bind(&self.stream)
            .bind(self.version)
            .bind(None::<Uuid>)
            .bind(*build::event_id().as_uuid())
            .bind(*build::command().as_uuid())
            .bind(7_i64)
            .bind("opened")
            .bind(1_i32)
            .bind(None::<Vec<String>>)
            .bind(&b"{}"[..])
            .bind(None::<&[u8]>)
            .bind(self.version + 1);
        let position = position.fetch_optional(&mut self.connection).await.unwrap();
        self.version += i64::from(position.is_some());
        position
    }
}

/// Waits until a session waits for the lock of this log. Those of other tests wait for theirs.
async fn until_a_session_waits(server: &Server) {
    let waits = format!(
        "select exists (select from pg_locks where locktype = 'advisory' and not granted \
             and classid = 1751738216 and objid = '{}.events'::regclass::oid)",
        server.name
    );
    let mut observer = server.owner().await;
    let mut waits = async || {
        let waits = sqlx::query_scalar::<_, bool>(AssertSqlSafe(waits.as_str()));
        waits.fetch_one(&mut observer).await.unwrap()
    };
    while !waits().await {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w3_a_process_of_version_6_waits_for_the_order_of_this_one_on_postgres() {
    let test = "w3_a_process_of_version_6_waits_for_the_order_of_this_one_on_postgres";
    let Some(server) = Server::of(test).await else { return };
    make(&server, 6, "select 1").await;
    let store = server.open().await.unwrap();
    let mut former = FormerProcess::start(&server, "former-1").await;
    let mut holder = server.owner().await;
    let lock = format!(
        "begin; select pg_advisory_xact_lock(1751738216, '{}.events'::regclass::oid::integer)",
        server.name
    );
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut holder).await.unwrap();
    let appending = tokio::spawn(async move { (former.append().await, former) });
    until_a_session_waits(&server).await;
    let insert = format!(
        "insert into {}.events (position, stream, version, event_id, command_id, type, \
             schema_version, recorded_at, payload) \
         values (1, 'other-1', 1, gen_random_uuid(), gen_random_uuid(), 'opened', 1, now(), '{{}}'); \
         commit",
        server.name
    );
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut holder).await.unwrap();
    let (appended, mut former) = appending.await.unwrap();
    assert_eq!(appended, None, "its position has been taken meanwhile");
    assert_eq!(former.append().await, Some(2));
    assert_eq!(store.append(super::append()).await.unwrap().position, Position::new(3));
}

/// Appends an event with a tag as a process of version 11 does, unless one with this tag is after a position. Returns the
/// status and the position.
async fn append_as_version_11(
    connection: &mut PgConnection,
    name: &str,
    after: i64,
) -> (i16, Option<i64>) {
    let sql = include_str!("../fixtures/append_011.sql").replace("@schema@", name);
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(*build::command().as_uuid())
        .bind(*build::event_id().as_uuid())
        .bind(after);
    let row = row.fetch_one(connection).await.unwrap();
    let status: Vec<i16> = row.get("a_status");
    let position: Vec<Option<i64>> = row.get("a_position");
    (status[0], position[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w6_a_process_of_version_11_checks_conditions_beside_this_one_on_postgres() {
    let test = "w6_a_process_of_version_11_checks_conditions_beside_this_one_on_postgres";
    let Some(server) = Server::of(test).await else { return };
    make(&server, 11, "select 1").await;
    let mut former = PgConnection::connect(&server.url_for_driver()).await.unwrap();
    assert_eq!(append_as_version_11(&mut former, &server.name, 0).await, (0, Some(1)));
    let store = server.open().await.unwrap();
    assert_eq!(append_as_version_11(&mut former, &server.name, 0).await.0, 4, "it is a conflict");
    assert_eq!(append_as_version_11(&mut former, &server.name, 1).await, (0, Some(2)));
    let query = Query::tags([Tag::new("seat", 1)]);
    let attempt = async |after| {
        let condition = build::nothing_like(query.clone(), Position::new(after));
        store.append(super::append().only_if(condition)).await
    };
    assert!(attempt(1).await.unwrap_err().is_conflict());
    assert_eq!(attempt(2).await.unwrap().position, Position::new(3));
}

/// The number of events of each process.
const EVENTS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w1_w3_processes_of_version_6_append_beside_this_one_on_postgres() {
    let test = "w1_w3_processes_of_version_6_append_beside_this_one_on_postgres";
    let Some(server) = Server::of(test).await else { return };
    make(&server, 6, "select 1").await;
    let store = server.open().await.unwrap();
    let mut formers = Vec::new();
    for number in 0..3 {
        formers.push(FormerProcess::start(&server, &format!("former-{number}")).await);
    }
    let former = formers.into_iter().map(|mut former| {
        tokio::spawn(async move {
            let mut stored = 0;
            while stored < EVENTS {
                stored += usize::from(former.append().await.is_some());
            }
        })
    });
    let former: Vec<_> = former.collect();
    let ours = (0..3).map(|number| {
        let (store, stream) = (store.clone(), build::stream_of("ours", &number.to_string()));
        tokio::spawn(async move {
            for version in 0..EVENTS as u64 {
                // One event, and several, take different ways.
                let events = build::events(1 + version as usize % 2);
                let append = build::append_to(&stream, Expected::Any, events);
                store.append(append).await.unwrap();
            }
        })
    });
    let ours: Vec<_> = ours.collect();
    for task in former.into_iter().chain(ours) {
        task.await.unwrap();
    }
    let page = store.read_log(&Query::all(), ReadFrom::After(Position::START), 10_000).await;
    let positions: Vec<u64> =
        page.unwrap().events.iter().map(|event| event.position.get()).collect();
    let all = 3 * EVENTS + 3 * EVENTS * 3 / 2;
    assert_eq!(positions, (1..=all as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn r1_views_of_version_1_keep_rows_and_progress_on_sqlite() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    make_sqlite(&url, 1, &views("highwater_", "blob", "1700000000000000")).await;
    let stores = futures_util::future::join_all((0..4).map(|_| open_sqlite(&url))).await;
    has_kept(stores[0].as_ref().unwrap()).await;
}

/// Creates a file of this version with this content.
async fn make_sqlite(url: &str, version: usize, filled: &str) {
    let mut old = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    let migrations = ON_SQLITE[..version].join(";").replace("@prefix@", "highwater_");
    let sql = format!(
        "create table highwater_migrations (
             version integer primary key, applied_at text not null default current_timestamp);
         {migrations};
         insert into highwater_migrations (version)
             with recursive n (v) as (select 1 union all select v + 1 from n where v < {version})
             select v from n;
         {filled}"
    );
    old.execute(AssertSqlSafe(sql)).await.unwrap();
    old.close().await.unwrap();
}

/// The progress of a view of four shards, before shards could be marked as stopped.
async fn has_not_stopped(store: &dyn Store) {
    let view = ViewName::new("balances").unwrap();
    let state = store.read_view(&view, &[]).await.unwrap().state;
    let positions: Vec<_> = state.shards.iter().map(|shard| shard.position.get()).collect();
    assert_eq!((positions, state.stops), (vec![7, 8, 9, 10], Vec::new()));
    let stop = ShardStop {
        shard: ShardId::new(2),
        at: Timestamp::from_second(1_700_000_000).unwrap(),
        error: "HW506: a test".to_owned(),
    };
    store.stop_shard(&view, Epoch::new(3), stop.clone()).await.unwrap();
    let state = store.read_view(&view, &["a".to_owned()]).await.unwrap().state;
    assert_eq!(state.stops, [stop]);
}

/// A view of four shards from before definitions were stored.
async fn takes_a_definition(store: &dyn Store) {
    let view = ViewName::new("balances").unwrap();
    assert_eq!(store.view_definition(&view).await.unwrap(), None);
    let definition = ViewDefinition {
        row: "{cents:i64}".to_owned(),
        keyed_by: "by key".to_owned(),
        types: vec!["account.opened".to_owned()],
        scope: String::new(),
        version: 1,
    };
    let spec = ViewSpec { definition: Some(definition.clone()), ..ViewSpec::rows(view.clone()) };
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
    for keys in [&[][..], &["a".to_owned()]] {
        let state = store.read_view(&view, keys).await.unwrap().state;
        assert_eq!((state.shards.len(), state.definition), (4, Some(definition.hash())));
    }
    let stored = store.view_definition(&view).await.unwrap().unwrap();
    assert_eq!(stored.definition, definition);
}

#[tokio::test]
async fn r5_views_of_version_8_take_a_definition_on_postgres() {
    let Some(server) = Server::of("r5_views_of_version_8_take_a_definition").await else { return };
    make(&server, 8, &four_shards_on_postgres(&server.name)).await;
    takes_a_definition(&server.open().await.unwrap()).await;
}

#[tokio::test]
async fn r5_views_of_version_5_take_a_definition_on_sqlite() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    make_sqlite(&url, 5, FOUR_SHARDS_ON_SQLITE).await;
    takes_a_definition(&open_sqlite(&url).await.unwrap()).await;
}

/// A view of four shards and a row from before generations: it is the first one, and live.
async fn is_first_generation(store: &dyn Store) {
    let view = ViewName::new("balances").unwrap();
    let found = store.generations(&view).await.unwrap();
    let [first] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first.number, &first.view, first.is_live), (1, &view, true));
    assert!(first.is_complete() && !first.was_promoted);
    assert_eq!(first.position, Position::new(7));
    let read = store.read_view(&view, &["a".to_owned()]).await.unwrap();
    assert_eq!(read.rows[0].value.as_deref(), Some(&b"1"[..]));
    let generation = GenerationSpec { number: 2, complete_at: Position::START };
    let spec = ViewSpec { generation, ..ViewSpec::rows(view.clone()) };
    store.open_view(&spec, Sharding::by_key(4)).await.unwrap();
    assert_eq!(store.generations(&view).await.unwrap().len(), 2);
}

/// Those who could read the table can read what plain SQL sees now.
#[tokio::test]
async fn r5_views_of_version_9_are_first_generations_on_postgres() {
    let Some(server) = Server::of("r5_views_of_version_9_are_first").await else { return };
    let name = &server.name;
    let filled = format!(
        "{}; insert into {name}.view_balances values ('a', '1'); \
         grant select on {name}.view_balances to public",
        four_shards_on_postgres(name)
    );
    make(&server, 9, &filled).await;
    is_first_generation(&server.open().await.unwrap()).await;
    let shown = format!(
        "select key || value || has_table_privilege('public', '{name}.live_balances', 'select') \
         from {name}.live_balances"
    );
    let shown = sqlx::query_scalar(AssertSqlSafe(shown)).fetch_all(&mut server.owner().await).await;
    let shown: Vec<String> = shown.unwrap();
    assert_eq!(shown, ["a1true"]);
    // Statements of processes that still run with an earlier version are refused, and told why.
    for former in [
        "select value from @.view_balances where key = 'a'",
        "insert into @.view_balances (key, value) values ('b', '1') \
         on conflict (key) do update set value = excluded.value",
        "delete from @.view_balances where key = 'a'",
    ] {
        let statement = sqlx::raw_sql(AssertSqlSafe(former.replace('@', name)));
        let refused = statement.execute(&mut server.owner().await).await.unwrap_err().to_string();
        assert!(refused.contains("view_balances"), "{refused}");
        let is_read = former.starts_with("select");
        assert!(!is_read || refused.contains("must be restarted"), "{refused}");
    }
}

#[tokio::test]
async fn r5_views_of_version_6_are_first_generations_on_sqlite() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    let row = "insert into highwater_view_balances values ('a', '1')";
    make_sqlite(&url, 6, &format!("{FOUR_SHARDS_ON_SQLITE}; {row}")).await;
    is_first_generation(&open_sqlite(&url).await.unwrap()).await;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let shown = sqlx::query_scalar("select key || value from highwater_live_balances");
    let shown: Vec<String> = shown.fetch_all(&mut connection).await.unwrap();
    assert_eq!(shown, ["a1"]);
}

fn four_shards_on_postgres(schema: &str) -> String {
    format!(
        "create table {schema}.view_balances (key text primary key, value json not null);
         insert into {schema}.views values ('balances', 'keys/4');
         insert into {schema}.shards (view, shard, epoch, position, as_of, cursor, layout)
             select 'balances', shard, 3, 7 + shard, to_timestamp(1700000000), '', 'keys/4'
             from generate_series(0, 3) shard"
    )
}

const FOUR_SHARDS_ON_SQLITE: &str = "\
    create table highwater_view_balances (key text primary key, value text not null);
    insert into highwater_views (view, layout) values ('balances', 'keys/4');
    insert into highwater_shards (view, shard, epoch, position, as_of, cursor)
        select 'balances', value, 3, 7 + value, 1700000000000000, x''
        from json_each('[0, 1, 2, 3]')";

#[tokio::test]
async fn r2_shards_of_version_6_have_not_stopped_on_postgres() {
    let test = "r2_shards_of_version_6_have_not_stopped_on_postgres";
    let Some(server) = Server::of(test).await else { return };
    make(&server, 6, &four_shards_on_postgres(&server.name)).await;
    has_not_stopped(&server.open().await.unwrap()).await;
}

#[tokio::test]
async fn r2_shards_of_version_3_have_not_stopped_on_sqlite() {
    error_messages::record_log();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("log.db").display());
    make_sqlite(&url, 3, FOUR_SHARDS_ON_SQLITE).await;
    has_not_stopped(&open_sqlite(&url).await.unwrap()).await;
}
