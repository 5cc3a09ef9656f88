//! Findings: each fault is produced and found, and a healthy store has none.

use std::{
    fs::OpenOptions,
    io::{Seek as _, SeekFrom, Write as _},
    sync::Arc,
};

use highwater::{
    Highwater,
    domain::ViewSpec,
    stores::sqlx::{
        AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, raw_sql,
        sqlite::SqliteConnectOptions,
    },
    worker::Worker,
};
use highwater_cli::ToolOutcome;
use highwater_test_support::bank::{Balance, Bank, banks};
use serde_json::Value;

use crate::{
    deposit,
    process::{file_url, program, url},
    views::{at, name, park, spec},
};

/// Returns the exit code of the program and its document.
async fn examined(url: &str, arguments: &[&str]) -> (i32, Value) {
    let arguments = [&["doctor", "--json"], arguments].concat();
    let ended = crate::process::run(&mut program(url), &arguments).await;
    let document = serde_json::from_str(&ended.out);
    (ended.code, document.unwrap_or_else(|_| panic!("{}{}", ended.out, ended.err)))
}

/// Returns the findings, each as severity, code, message and what to do.
fn texts(document: &Value) -> Vec<String> {
    let text = |finding: &Value| {
        let field = |name: &str| finding[name].as_str().unwrap_or("-").to_owned();
        [field("severity"), field("code"), field("message"), field("to_do")].join("|")
    };
    document["findings"].as_array().unwrap().iter().map(text).collect()
}

/// Returns the only finding of the program, and checks the exit code.
async fn only_finding(url: &str, arguments: &[&str]) -> String {
    let (code, document) = examined(url, arguments).await;
    let mut found = texts(&document);
    assert_eq!((code, found.len()), (1, 1), "{found:#?}");
    found.remove(0)
}

/// Executes statements on the database of a store; `@` stands for what is before the name of a table.
async fn tamper(bank: &Bank, sql: &str) {
    match bank {
        Bank::Memory(_) => panic!("no database"),
        Bank::Sqlite(folder) => {
            let file = SqliteConnectOptions::new().filename(folder.path().join("bank.db"));
            let mut connection = file.connect().await.unwrap();
            let sql = AssertSqlSafe(sql.replace('@', "bank_"));
            raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        Bank::Postgres(url) => {
            let (server, parameters) = url.split_once("schema=").unwrap();
            let schema = parameters.split('&').next().unwrap();
            let server = server.trim_end_matches(['?', '&']);
            let mut connection = PgConnection::connect(server).await.unwrap();
            let sql = AssertSqlSafe(sql.replace('@', &format!("{schema}.")));
            raw_sql(sql).execute(&mut connection).await.unwrap();
        }
    }
}

/// The stores that have a database.
fn databases() -> impl Iterator<Item = (Bank, String)> {
    banks().into_iter().filter_map(|bank| url(&bank).map(|url| (bank, url)))
}

fn with_parameter(url: &str, parameter: &str) -> String {
    format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
}

async fn four_deposits(app: &Highwater) {
    for cents in 1..=2 {
        deposit(app, "alice", cents).await;
        deposit(app, "bob", cents).await;
    }
}

#[tokio::test]
async fn cli_doctor_finds_nothing_in_a_healthy_store() {
    for bank in banks() {
        let app = bank.open().await;
        four_deposits(&app).await;
        let worker = Worker::new(&app).view::<Balance>().start().await.unwrap();
        crate::guide::follow_to(&app, "balances", 4).await;
        for complete in [&[][..], &["--complete"]] {
            let arguments = [&["doctor"], complete].concat();
            let expected = "no findings\n\nevents 1 to 4 of 4\n  events  schema  type\n       4       1  \
                            account.deposited\n";
            assert_eq!(crate::printed(&app, &arguments).await, expected);
            let Some(url) = url(&bank) else { continue };
            let (code, document) = examined(&url, complete).await;
            assert_eq!((code, texts(&document)), (0, Vec::new()));
            assert_eq!(document["log"]["types"][0]["events"], 4);
        }
        worker.stop().await.unwrap();
        assert_eq!(crate::printed(&app, &["doctor"]).await.lines().next(), Some("no findings"));
        if let Some(url) = url(&bank) {
            assert_eq!(examined(&url, &[]).await.0, 0);
        }
    }
}

#[tokio::test]
async fn cli_doctor_finds_gaps_in_the_log_and_in_streams() {
    for (bank, url) in databases() {
        let app = bank.open().await;
        for _ in 0..3 {
            four_deposits(&app).await;
        }
        tamper(&bank, "delete from @events where position in (3, 4, 8)").await;
        let (code, document) = examined(&url, &[]).await;
        let found = texts(&document);
        assert_eq!((code, found.len()), (1, 2), "{found:#?}");
        assert!(
            found[0].starts_with("error|HW504|the log has no event at 3 to 4, 8|stop writing"),
            "{found:#?}"
        );
        let holes = "error|HW504|streams have holes: account-alice has version 3 after version 1 at position 5, \
                     account-bob has version 3 after version 1 at position 6, account-bob has version 5 after version 3 \
                     at position 10|";
        assert!(found[1].starts_with(holes), "{found:#?}");
        assert_eq!(document["errors"], 2);

        tamper(&bank, "delete from @events where position = 1").await;
        let found = texts(&examined(&url, &["--complete"]).await.1);
        assert!(found[0].contains("no event at 1, 3 to 4, 8|"), "{found:#?}");
        assert!(found[1].contains("account-alice has version 3 after version 0"), "{found:#?}");
    }
}

#[tokio::test]
async fn cli_doctor_finds_times_that_go_back() {
    for (bank, url) in databases() {
        four_deposits(&bank.open().await).await;
        let past = if matches!(bank, Bank::Postgres(_)) {
            "'2020-01-01T00:00:00Z'"
        } else {
            "1577836800000000"
        };
        tamper(&bank, &format!("update @events set recorded_at = {past} where position = 3")).await;
        let found = only_finding(&url, &[]).await;
        let expected =
            "warning|HW504|the times of events go back: 2020-01-01T00:00:00Z at position 3, after ";
        assert!(found.starts_with(expected), "{found}");
    }
}

#[tokio::test]
async fn cli_doctor_finds_events_that_cannot_be_read() {
    for (bank, url) in databases() {
        four_deposits(&bank.open().await).await;
        tamper(&bank, "update @events set stream = 'nonsense' where position = 3").await;
        let found = only_finding(&url, &[]).await;
        assert!(
            found.starts_with("error|HW503|the log can't be read after position 0: "),
            "{found}"
        );
        assert!(found.contains("nonsense"), "{found}");
    }
}

#[tokio::test]
async fn cli_doctor_finds_views_that_are_ahead_stopped_or_parked() {
    for bank in banks() {
        let app = bank.open().await;
        four_deposits(&app).await;
        at(&app, &spec("ahead", 1, 0), 9).await;
        let stopped = at(&app, &spec("totals", 1, 0), 4).await;
        stopped.stop("HW506: view totals can't apply event 5\u{1b}[2J").await;
        let mut persons = at(&app, &spec("persons", 1, 0), 2).await;
        persons.move_to(4, vec![park("alice", 3, "no")]).await;
        let mut second = at(&app, &spec("persons", 2, 0), 2).await;
        second.move_to(4, vec![park("alice", 3, "no"), park("bob", 4, "no")]).await;
        let (ended, printed) = crate::run(&app, &["doctor"]).await;
        assert_eq!(ended.unwrap(), ToolOutcome::Findings(4));
        let findings = printed.split("\nevents 1 to").next().unwrap();
        assert_eq!(findings, AHEAD_STOPPED_PARKED, "{printed}");
    }
}

const AHEAD_STOPPED_PARKED: &str = "\
2 errors, 2 warnings

error: generation 1 of view ahead is at position 9, and the log ends at 4: the
  log was restored from a backup that is older than the view, or is another one
  to do: stop its workers, and restore the view of the same backup, or build the
    view anew as another generation
  see docs/errors/HW511.md

error: generation 1 of view totals has stopped at shard 0 since
  2026-11-30T21:00:00Z: HW506: view totals can't apply event 5\\u{1b}[2J
  to do: end the cause, and start its worker again
  see docs/errors/HW506.md

warning: generation 1 of view persons has 1 parked key
  to do: see the errors with `highwater parked list persons`, and after a fix
    run `highwater parked retry persons --all`
  see docs/errors/HW508.md

warning: generation 2 of view persons has 2 parked keys
  to do: see the errors with `highwater parked list persons --generation 2`, and
    after a fix run `highwater parked retry persons --all --generation 2`
  see docs/errors/HW508.md
";

#[tokio::test]
async fn cli_doctor_finds_generations_without_a_worker_and_leases_that_ran_out() {
    for (bank, url) in databases() {
        let app = bank.open().await;
        four_deposits(&app).await;
        at(&app, &spec("behind", 1, 0), 3).await.leave().await;
        at(&app, &spec("rebuilt", 1, 0), 4).await.leave().await;
        at(&app, &spec("rebuilt", 2, 4), 3).await.leave().await;
        at(&app, &spec("rebuilt", 3, 4), 4).await.leave().await;
        at(&app, &ViewSpec::without_rows(name("relay_log")), 4).await.leave().await;
        let found = texts(&examined(&url, &[]).await.1);
        let expected = [
            "warning|-|generation 1 of view behind lacks 1 event, and no worker of it is alive|start the worker of behind",
            "warning|HW309|generation 2 of view rebuilt is being rebuilt, and no worker of it is alive: it is at \
             position 3, and complete from 4 on|start the program of this definition, or run `highwater remove rebuilt 2`",
            "warning|-|generation 3 of view rebuilt is not the live one, and no worker of it is alive|if no program \
             needs it any more, run `highwater remove rebuilt 3`",
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");

        let alive = at(&app, &spec("behind", 1, 0), 3).await;
        alive.is_alive().await;
        let found = texts(&examined(&url, &[]).await.1);
        assert_eq!(found.len(), 2, "{found:#?}");
        let past = if matches!(bank, Bank::Postgres(_)) { "'epoch'" } else { "0" };
        tamper(&bank, &format!("update @shards set lease_until = {past} where view = 'behind'"))
            .await;
        let found = texts(&examined(&url, &[]).await.1);
        let expected = "warning|-|the worker that has shard 0 of generation 1 of view behind let its lease run out";
        assert!(found[0].starts_with(expected), "{found:#?}");
    }
}

#[tokio::test]
async fn cli_doctor_looks_at_another_version_of_the_tables_without_migrating_it() {
    for (bank, url) in databases() {
        deposit(&bank.open().await, "alice", 1).await;
        tamper(
            &bank,
            "delete from @migrations where version = (select max(version) from @migrations)",
        )
        .await;
        for _ in 0..2 {
            // The second one shows that the first one has not migrated anything.
            let found = only_finding(&url, &[]).await;
            assert!(found.starts_with("warning|-|the tables are of version "), "{found}");
            assert!(
                found.contains("start a program of this version, which migrates it"),
                "{found}"
            );
        }
        tamper(&bank, "insert into @migrations (version) values (99)").await;
        let found = only_finding(&url, &[]).await;
        assert!(found.starts_with("error|HW607|the database is at version 99 "), "{found}");
    }
}

#[tokio::test]
async fn cli_doctor_finds_that_the_tables_are_missing() {
    for (bank, url) in databases() {
        bank.open().await;
        let other = url.replace("prefix=bank_", "prefix=bink_").replace("schema=", "schema=other_");
        let found = only_finding(&other, &[]).await;
        assert!(
            found.starts_with("error|HW606|the database has no tables of Highwater"),
            "{found}"
        );
        tamper(&bank, "drop table @events").await;
        let found = only_finding(&url, &[]).await;
        assert!(found.starts_with("error|HW606|"), "{found}");
    }
}

#[tokio::test]
async fn cli_doctor_finds_settings_of_postgresql_that_endanger_data_or_migrations() {
    for (bank, url) in databases() {
        let Bank::Postgres(_) = bank else { continue };
        bank.open().await;
        for (parameter, expected) in [
            (
                "options[statement_timeout]=60000",
                "warning|-|statement_timeout is 60000 ms: migrations",
            ),
            ("options[lock_timeout]=60000", "warning|-|lock_timeout is 60000 ms: migrations"),
            ("options[synchronous_commit]=off", "warning|-|synchronous_commit is off: "),
            (
                "options[default_transaction_isolation]=serializable",
                "error|HW608|default_transaction_isolation is ",
            ),
            ("options[default_transaction_read_only]=on", "error|HW301|"),
        ] {
            let found = only_finding(&with_parameter(&url, parameter), &[]).await;
            assert!(found.starts_with(expected), "{found}");
            let name = parameter.split(['[', ']']).nth(1).unwrap();
            assert!(found.contains(name), "{found}");
        }
    }
}

#[tokio::test]
async fn cli_doctor_finds_what_endangers_a_file() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let bank = Bank::Sqlite(Arc::clone(&folder));
    let url = file_url(folder.path());
    let app = bank.open().await;
    for cents in 1..=200 {
        deposit(&app, "alice", cents).await;
    }
    let found = only_finding(&with_parameter(&url, "synchronous=normal"), &[]).await;
    assert!(
        found.starts_with("error|-|the URL of the store sets synchronous below full"),
        "{found}"
    );
    drop(app);

    let file = folder.path().join("bank.db");
    let (code, _) = examined(&url, &[]).await;
    assert_eq!(code, 0);
    tamper(&bank, "pragma wal_checkpoint(truncate)").await;
    let mut pages = OpenOptions::new().write(true).open(&file).unwrap();
    let end = pages.metadata().unwrap().len();
    pages.seek(SeekFrom::Start(end - 4_096)).unwrap();
    pages.write_all(&[0xff; 2_048]).unwrap();
    let found = texts(&examined(&url, &[]).await.1);
    assert!(found[0].starts_with("error|HW503|the database file is damaged: "), "{found:#?}");
    assert!(found[0].contains("restore a backup"), "{found:#?}");
}

#[tokio::test]
async fn cli_doctor_finds_a_file_whose_journal_another_program_changed() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let bank = Bank::Sqlite(Arc::clone(&folder));
    {
        let store = bank.store().await;
        assert_eq!(store.head().await.unwrap().get(), 0);
    }
    let url = file_url(folder.path());
    // The connections of the store are closed in the background.
    let mut found = Vec::new();
    while found.is_empty() {
        let file = SqliteConnectOptions::new().filename(folder.path().join("bank.db"));
        let mut connection = file.connect().await.unwrap();
        let changed = raw_sql("pragma journal_mode = delete").execute(&mut connection).await;
        connection.close().await.unwrap();
        if changed.is_ok() {
            found = texts(&examined(&url, &[]).await.1);
        }
        tokio::task::yield_now().await;
    }
    assert!(
        found[0].starts_with("warning|-|the journal of the file is delete, and not WAL"),
        "{found:#?}"
    );
    // Opening the store has set it.
    assert_eq!(examined(&url, &[]).await.0, 0);
}

#[tokio::test]
async fn cli_doctor_finds_that_a_store_cannot_be_reached() {
    let secret = "postgres://alice:hunter2@127.0.0.1:1/bank?connect_timeout=1";
    let found = only_finding(secret, &[]).await;
    assert!(found.starts_with("error|HW301|"), "{found}");
    assert!(found.contains("127.0.0.1:1") && !found.contains("hunter2"), "{found}");
    let unnamed = crate::process::run(program("").env_remove("HIGHWATER_STORE"), &["doctor"]).await;
    assert_eq!(unnamed.code, 2, "{}", unnamed.err);
}
