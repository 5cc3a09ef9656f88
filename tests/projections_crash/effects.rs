//! A projection that writes to tables of the application's. While its gate is closed, a constraint refuses some of its
//! writes when they are committed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use highwater::{
    Highwater, Position, Query,
    domain::TransactionHook,
    port::ReadFrom,
    projection::{ParkedKeys, Projection, ReceivedEvent},
    stores::{
        PostgresHook, SqliteHook,
        sqlx::{self, AssertSqlSafe, Connection as _},
    },
};
use highwater_test_support::ledger::LedgerEvent;

use crate::{
    checker,
    findings::{Finding, Wrong, of_journal},
};

/// The amount of the movements whose writes need an open gate: one of a hundred.
const GATED_CENTS: i64 = 13;

/// The number of streams whose commits are refused before the gate opens again.
const FEWEST_REFUSED: usize = 3;

/// The number of parked streams of a shard at which the projection stops.
pub(crate) const MOST_PARKED: usize = 100_000;

const TABLES: &str = "
    create table fire_effects (position bigint primary key, account text not null);
    create table fire_lasts (account text primary key, last bigint not null, disorder bigint not null);
    create table fire_orders (id integer primary key);
    create table fire_gates (item integer references fire_orders (id) deferrable initially deferred)";
const OPEN: &str = "insert into fire_orders values (1)";
const CLOSE: &str = "begin; delete from fire_gates; delete from fire_orders; commit";

/// Records the movements, and for each account if they came in order.
pub(crate) struct Effects {
    is_on_sqlite: bool,
}

impl Effects {
    /// Returns the projection for a store with this URL.
    pub(crate) fn of(url: &str) -> Self {
        Self { is_on_sqlite: url.starts_with("sqlite:") }
    }
}

impl Projection for Effects {
    type Event = LedgerEvent;
    const NAME: &'static str = "effects";
    const BY_STREAM: bool = true;

    fn writes(&self, events: Vec<ReceivedEvent<LedgerEvent>>) -> Arc<dyn TransactionHook> {
        let sql: String = events.iter().map(writes_of).collect();
        if self.is_on_sqlite {
            return Arc::new(SqliteHook::writing(move |connection| {
                let sql = sqlx::raw_sql(AssertSqlSafe(sql.clone()));
                Box::pin(async move { Ok(sql.execute(connection).await.map(drop)?) })
            }));
        }
        Arc::new(PostgresHook::writing(move |connection| {
            let sql = sqlx::raw_sql(AssertSqlSafe(sql.clone()));
            Box::pin(async move { Ok(sql.execute(connection).await.map(drop)?) })
        }))
    }
}

fn writes_of(received: &ReceivedEvent<LedgerEvent>) -> String {
    let LedgerEvent::Moved { cents, .. } = &received.event else { return String::new() };
    let (position, account) = (received.envelope.position, received.envelope.stream.key());
    let gate = if *cents == GATED_CENTS { "insert into fire_gates values (1);" } else { "" };
    format!(
        "insert into fire_effects values ({position}, '{account}');
         insert into fire_lasts values ('{account}', {position}, 0)
         on conflict (account) do update set last = excluded.last, disorder = fire_lasts.disorder
             + case when excluded.last <= fire_lasts.last then 1 else 0 end;
         {gate}"
    )
}

/// The tables, and the gate.
pub(crate) struct EffectTables {
    url: String,
    bank: Highwater,
}

impl EffectTables {
    /// Creates the tables, with an open gate.
    pub(crate) async fn create(url: &str, bank: &Highwater) -> Self {
        let tables = Self { url: url.to_owned(), bank: bank.clone() };
        tables.execute(TABLES).await.unwrap();
        tables.execute(OPEN).await.unwrap();
        tables
    }

    /// Refuses commits until some of them have been refused, and their streams parked.
    pub(crate) async fn refuse_commits(&self) {
        self.drain().await;
        // A worker may have used the gate in between.
        while self.execute(CLOSE).await.is_err() {}
        let refused = async {
            while self.parked().await.len() < FEWEST_REFUSED {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(checker::CATCH_UP_TIMEOUT, refused).await.expect("nothing is refused");
        while self.execute(OPEN).await.is_err() {}
        println!("{} streams were parked", self.retry().await);
    }

    /// Retries parked streams until none is left.
    pub(crate) async fn drain(&self) {
        let until = Instant::now() + checker::CATCH_UP_TIMEOUT;
        while self.retry().await > 0 {
            assert!(Instant::now() < until, "streams stay parked: {:?}", self.parked().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn retry(&self) -> usize {
        let parked = self.parked().await;
        for stream in &parked {
            // A worker may have drained it meanwhile, or the store may not answer.
            let _ = self.parked_keys().retry(stream).await;
        }
        parked.len()
    }

    /// Returns the parked streams; none before a worker has opened the view.
    async fn parked(&self) -> Vec<String> {
        let parked = self.parked_keys().list(None, 1_000).await;
        parked.unwrap_or_default().into_iter().map(|parked| parked.key).collect()
    }

    fn parked_keys(&self) -> ParkedKeys {
        ParkedKeys::of(&self.bank, Effects::NAME).unwrap()
    }

    /// Returns the findings of the tables, once all shards have caught up and no stream is parked.
    pub(crate) async fn check(&self) -> Vec<Finding> {
        let head = self.bank.log().head().await.unwrap().get();
        let views = &**self.bank.views();
        let mut findings =
            checker::behind(views, Effects::NAME, head, checker::CATCH_UP_TIMEOUT).await;
        self.drain().await;
        let finding = |account: &str, wrong| Finding::new(Effects::NAME, account, wrong);
        let (right, mut found) = (self.expected().await, BTreeMap::<String, Vec<u64>>::new());
        let effects = "select account, position from fire_effects order by position";
        for (account, position) in self.rows(effects).await {
            found.entry(account).or_default().push(position.cast_unsigned());
        }
        for (account, right) in &right {
            let seen = found.remove(account).unwrap_or_default();
            findings
                .extend(of_journal(right, &seen).into_iter().map(|wrong| finding(account, wrong)));
        }
        findings.extend(found.keys().map(|account| finding(account, Wrong::RowTooMany)));
        let disordered = "select account, last from fire_lasts where disorder > 0";
        for (account, last) in self.rows(disordered).await {
            findings.push(finding(&account, Wrong::Disordered(last.cast_unsigned())));
        }
        println!("{} accounts with effects", right.len());
        findings
    }

    /// Returns the positions of the movements of each account.
    async fn expected(&self) -> BTreeMap<String, Vec<u64>> {
        let (mut expected, mut after) = (BTreeMap::<String, Vec<u64>>::new(), Position::START);
        loop {
            let log = self.bank.log();
            let page = log.read_log(&Query::all(), ReadFrom::After(after), 1_000).await.unwrap();
            for envelope in &page.events {
                for event in envelope.decode::<LedgerEvent>().unwrap() {
                    if let LedgerEvent::Moved { .. } = event {
                        let account = expected.entry(envelope.stream.key().to_owned());
                        account.or_default().push(envelope.position.get());
                    }
                }
            }
            after = page.through;
            if !page.more {
                return expected;
            }
        }
    }

    async fn execute(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        if self.url.starts_with("sqlite:") {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await?;
            return sqlx::raw_sql(sql).execute(&mut connection).await.map(drop);
        }
        let mut connection = sqlx::PgConnection::connect(&self.url).await?;
        sqlx::raw_sql(sql).execute(&mut connection).await.map(drop)
    }

    async fn rows(&self, sql: &'static str) -> Vec<(String, i64)> {
        if self.url.starts_with("sqlite:") {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            return sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        }
        let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
    }
}
