//! Export and import: a log that goes through files and stores is the same log.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use highwater::{
    Highwater, Position, Query,
    domain::{EventType, Fingerprint, Metadata},
    port::{Append, KeyRange, NewEvent, ReadFrom},
    prelude::*,
    stores::{
        MemoryStore,
        sqlx::{
            AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, raw_sql,
            sqlite::SqliteConnectOptions,
        },
    },
    value::{Expected, SchemaVersion},
};
use highwater_cli::{ToolFailure, ToolOutcome};
use highwater_test_support::bank::{Account, Balance, Bank, Deposit, banks};
use tokio::time::timeout;

use crate::{
    deposit, printed,
    process::{program, url},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn sqlite() -> Bank {
    Bank::Sqlite(Arc::new(tempfile::tempdir().unwrap()))
}

fn memory() -> Bank {
    Bank::Memory(MemoryStore::default())
}

/// Returns an empty store of every kind, that of the log to export first: it counts microseconds.
fn chain() -> Vec<Bank> {
    let mut all: Vec<_> = banks().into_iter().rev().collect();
    all.extend(banks().into_iter().filter(|bank| !matches!(bank, Bank::Memory(_))));
    all
}

/// The id of a command that appended nothing.
fn nothing() -> CommandId {
    CommandId::derive(["nothing"])
}

/// The id of a command that appended an event.
fn something() -> CommandId {
    CommandId::derive(["something"])
}

/// Appends what a log can have: several events of one command, tags, metadata, bytes that are no JSON, commands
/// without events.
async fn filled(app: &Highwater) {
    app.aggregate::<Account>("alice")
        .execute(Request::new(Deposit { cents: 0 }).id(nothing()))
        .await
        .unwrap();
    let request = Request::new(Deposit { cents: 7 }).id(something()).actor("Zoë \"Z\"");
    app.aggregate::<Account>("alice").execute(request).await.unwrap();
    append(app, "odd", &[b"{\"owner\":\r\n\"a\"}", b"\xff\x00", b" {\"cents\": 1.10}", b"null"])
        .await;
    deposit(app, "bob", 3).await;
    let last = Request::new(Deposit { cents: 0 }).id(CommandId::derive(["last"]));
    app.aggregate::<Account>("bob").execute(last).await.unwrap();
}

/// Appends events with these payloads in one append.
async fn append(app: &Highwater, category: &str, payloads: &[&[u8]]) {
    let stream = StreamId::new(category, "1").unwrap();
    let event = |payload: &&[u8]| NewEvent {
        id: app.ids().event_id(),
        event_type: EventType { name: "odd.happened", version: SchemaVersion::new(2) },
        tags: [Tag::new("odd", "{\"x\",}"), Tag::new("size", payload.len())].into(),
        payload: payload.to_vec().into(),
    };
    let events = payloads.iter().map(event).collect();
    let mut append = Append::new(app.ids().command_id(), Fingerprint::from_bits(u64::MAX - 5));
    let metadata = Metadata { actor: Some("alice".to_owned()), ..Metadata::default() };
    append.metadata = Some(serde_json::to_vec(&metadata).unwrap().into());
    app.log().append(append.stream(stream, Expected::Any, events)).await.unwrap();
}

async fn events(app: &Highwater) -> Vec<Envelope> {
    let from = ReadFrom::After(Position::START);
    app.log().read_log(&Query::all(), from, 100_000).await.unwrap().events
}

async fn export(app: &Highwater, file: &Path) -> String {
    printed_lines(app, &["export", file.to_str().unwrap()]).await
}

async fn import(app: &Highwater, file: &Path) -> String {
    printed_lines(app, &["import", file.to_str().unwrap(), "--yes"]).await
}

async fn printed_lines(app: &Highwater, arguments: &[&str]) -> String {
    let (ended, printed) = crate::run(app, arguments).await;
    assert_eq!(ended.unwrap(), ToolOutcome::Done, "{arguments:?}");
    printed
}

/// Returns the reason for which a file was refused.
async fn refused(app: &Highwater, arguments: &[&str]) -> String {
    match crate::run(app, arguments).await.0.unwrap_err() {
        ToolFailure::Refused(reason) => reason,
        other => panic!("{arguments:?}: {other}"),
    }
}

/// Reads the tables of the log with plain SQL, in one form for both databases.
async fn tables(bank: &Bank) -> Vec<String> {
    const POSTGRES: &str = "
        select concat_ws('|', 1, position, stream, version, replace(event_id::text, '-', ''),
            replace(command_id::text, '-', ''), type, schema_version, (extract(epoch from recorded_at) * 1000000)::bigint,
            coalesce(array_to_string(tags, ','), ''), encode(payload, 'hex'), coalesce(encode(metadata, 'hex'), ''))
        from @events
        union all select concat_ws('|', 2, tag, position) from @event_tags
        union all select concat_ws('|', 3, replace(command_id::text, '-', ''), fingerprint, first_position, last_position)
        from @commands";
    const SQLITE: &str = "
        select concat_ws('|', 1, position, stream, version, lower(hex(event_id)), lower(hex(command_id)), type,
            schema_version, recorded_at, coalesce((select group_concat(value, ',') from json_each(tags)), ''),
            lower(hex(payload)), coalesce(lower(hex(metadata)), ''))
        from @events
        union all select concat_ws('|', 2, tag, position) from @event_tags
        union all select concat_ws('|', 3, lower(hex(command_id)), fingerprint, first_position, last_position)
        from @commands";
    let mut rows: Vec<String> = match bank {
        Bank::Memory(_) => Vec::new(),
        Bank::Sqlite(folder) => {
            let file = SqliteConnectOptions::new().filename(folder.path().join("bank.db"));
            let mut connection = file.connect().await.unwrap();
            let sql = AssertSqlSafe(SQLITE.replace('@', "bank_"));
            let rows = raw_sql(sql).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        }
        Bank::Postgres(url) => {
            let (server, parameters) = url.split_once("schema=").unwrap();
            let schema = parameters.split('&').next().unwrap();
            let mut connection =
                PgConnection::connect(server.trim_end_matches(['?', '&'])).await.unwrap();
            let sql = AssertSqlSafe(POSTGRES.replace('@', &format!("{schema}.")));
            let rows = raw_sql(sql).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        }
    };
    rows.sort_unstable();
    rows
}

/// Builds the view, and returns its rows.
async fn balances(app: &Highwater) -> Vec<(String, Option<Vec<u8>>)> {
    let worker = Worker::new(app).view::<Balance>().start().await.unwrap();
    let head = app.log().head().await.unwrap();
    crate::guide::follow_to(app, "balances", head.get()).await;
    worker.stop().await.unwrap();
    let all = KeyRange { from: std::ops::Bound::Unbounded, to: std::ops::Bound::Unbounded };
    let view = crate::views::name("balances");
    let rows = app.views().read_range(&view, &all, 1_000).await.unwrap().rows;
    rows.into_iter().map(|(key, row)| (key, row.value.map(|value| value.to_vec()))).collect()
}

#[tokio::test]
async fn cli_a_log_that_went_through_every_store_is_the_same_log() {
    let folder = tempfile::tempdir().unwrap();
    let banks = chain();
    let first = banks[0].open().await;
    filled(&first).await;
    let (log, rows) = (events(&first).await, balances(&first).await);
    assert_eq!((log.len(), rows.len()), (6, 2));
    let mut files: Vec<PathBuf> = Vec::new();
    for (number, bank) in banks.iter().enumerate() {
        let app = bank.open().await;
        if let Some(last) = files.last() {
            let said = import(&app, last).await;
            assert!(said.starts_with("events 1 to 6 are imported from "), "{said}");
            let again = import(&app, last).await;
            assert!(again.starts_with("the log has every event of "), "{again}");
        }
        assert_eq!(events(&app).await, log);
        assert_eq!(balances(&app).await, rows);
        let expected = tables(&banks[0]).await;
        if !matches!(bank, Bank::Memory(_)) {
            assert_eq!(tables(bank).await, expected);
            assert_eq!(expected.len(), 6 + 8 + 5);
        }
        let file = folder.path().join(format!("{number}.ndjson"));
        let said = export(&app, &file).await;
        assert!(said.starts_with("events 1 to 6 are exported to "), "{said}");
        files.push(file);
    }
    for file in &files {
        assert_eq!(fs::read(file).unwrap(), fs::read(&files[0]).unwrap(), "{}", file.display());
    }
}

#[tokio::test]
async fn cli_a_command_that_is_sent_again_after_an_import_gets_its_first_answer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bank.ndjson");
    let source = sqlite().open().await;
    filled(&source).await;
    export(&source, &file).await;
    for bank in banks() {
        let app = bank.open().await;
        import(&app, &file).await;
        for (id, cents) in [(something(), 7), (nothing(), 0)] {
            let send = |app: &Highwater, cents| {
                let alice = app.aggregate::<Account>("alice");
                async move { alice.execute(Request::new(Deposit { cents }).id(id)).await }
            };
            let receipt = send(&app, cents).await.unwrap();
            let first = send(&source, cents).await.unwrap();
            assert_eq!(receipt.position(), first.position());
            assert!(receipt.versions().eq(first.versions()));
            assert_eq!(send(&app, 8).await.unwrap_err().code(), highwater::Code::COMMAND_ID_REUSED);
        }
        assert_eq!(app.log().head().await.unwrap(), Position::new(6));
    }
}

#[tokio::test]
async fn cli_an_export_that_ended_anywhere_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    let (file, whole) = (folder.path().join("cut.ndjson"), folder.path().join("whole.ndjson"));
    let app = sqlite().open().await;
    filled(&app).await;
    export(&app, &file).await;
    // The log goes on, with another command without events at the same position.
    let late = Request::new(Deposit { cents: 0 }).id(CommandId::derive(["late"]));
    app.aggregate::<Account>("bob").execute(late).await.unwrap();
    deposit(&app, "bob", 4).await;
    let said = export(&app, &file).await;
    assert!(said.starts_with("events 7 to 7 are exported to "), "{said}");
    let lines = |file: &Path| {
        let mut lines: Vec<_> =
            fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    export(&app, &whole).await;
    assert_eq!(lines(&file), lines(&whole));
    let bytes = fs::read(&whole).unwrap();
    for length in lengths(&bytes) {
        fs::write(&file, &bytes[..length]).unwrap();
        export(&app, &file).await;
        assert_eq!(fs::read(&file).unwrap(), bytes, "cut after {length} bytes");
    }
    assert!(export(&app, &whole).await.ends_with(" has every event up to 7\n"));
}

#[tokio::test]
async fn cli_an_import_of_a_file_that_was_cut_is_refused_by_its_line_and_continued() {
    let folder = tempfile::tempdir().unwrap();
    let (cut, whole) = (folder.path().join("cut.ndjson"), folder.path().join("whole.ndjson"));
    let source = sqlite().open().await;
    filled(&source).await;
    export(&source, &whole).await;
    let log = events(&source).await;
    let bytes = fs::read(&whole).unwrap();
    let mut begun = 0;
    for length in lengths(&bytes) {
        fs::write(&cut, &bytes[..length]).unwrap();
        let app = memory().open().await;
        let (ended, _) = crate::run(&app, &["import", cut.to_str().unwrap(), "--yes"]).await;
        let number = bytes[..length].iter().filter(|byte| **byte == b'\n').count();
        match ended {
            Ok(_) => assert_eq!(bytes[length - 1], b'\n'),
            Err(ToolFailure::Refused(reason)) => {
                let is_cut = length == 0 || bytes[length - 1] != b'\n';
                let line = format!("line {}: it is ", number + usize::from(is_cut));
                assert!(reason.contains(&line) && reason.contains("continues it"), "{reason}");
            }
            Err(other) => panic!("{other}"),
        }
        let part = events(&app).await;
        begun += usize::from(!part.is_empty());
        assert_eq!(part, log[..part.len()]);
        // Never a part of the append that has four events.
        assert!(![2, 3, 4].contains(&part.len()), "{length}");
        import(&app, &whole).await;
        assert_eq!(events(&app).await, log);
    }
    assert!(begun > 20);
}

#[tokio::test]
async fn cli_a_file_that_is_not_how_the_log_begins_is_refused_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.ndjson"), folder.path().join("bad.ndjson"));
    let source = sqlite().open().await;
    filled(&source).await;
    export(&source, &good).await;
    let text = fs::read_to_string(&good).unwrap();
    let changed = |number: usize, change: &dyn Fn(&str) -> String| {
        let lines = text.lines().enumerate();
        let lines =
            lines.map(|(at, line)| if at + 1 == number { change(line) } else { line.to_owned() });
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let (to_bad, from_bad) =
        (["export", bad.to_str().unwrap()], ["import", bad.to_str().unwrap(), "--yes"]);
    for (file, line) in [
        (changed(1, &|_| "my shopping list".to_owned()), 1),
        ("my shopping list".to_owned(), 1),
        (changed(4, &|_| "garbage".to_owned()), 4),
        (changed(4, &|_| "{\"command\":{}}".to_owned()), 4),
        (changed(4, &|line| line[..line.len() / 2].to_owned()), 4),
        (changed(5, &|_| String::new()), 5),
        // Two events in the wrong order.
        (changed(3, &|line| line.replace("\"position\":1,", "\"position\":2,")), 3),
    ] {
        fs::write(&bad, &file).unwrap();
        let place = format!("bad.ndjson, line {line}: ");
        for reason in
            [refused(&source, &to_bad).await, refused(&memory().open().await, &from_bad).await]
        {
            assert!(reason.contains(&place), "{reason}");
        }
        assert_eq!(fs::read_to_string(&bad).unwrap(), file);
    }
    // Each value of an event counts, and that of its command.
    for (from, to) in [
        ("\"cents\":7", "\"cents\":8"),
        ("\"actor\":\"Zoë", "\"actor\":\"Zoe"),
        ("account.deposited", "account.withdrawn"),
        ("\"schema_version\":1", "\"schema_version\":9"),
        ("\"fingerprint\":\"", "\"fingerprint\":\"0000000000000000\",\"x\":\""),
    ] {
        let file = changed(3, &|line| line.replacen(from, to, 1));
        assert_ne!(file, text, "{from}");
        fs::write(&bad, &file).unwrap();
        let reason = refused(&source, &to_bad).await;
        assert!(reason.contains("bad.ndjson, line 3: "), "{reason}");
        let target = memory().open().await;
        import(&target, &good).await;
        let reason = refused(&target, &from_bad).await;
        assert!(reason.contains("bad.ndjson, line 3: "), "{reason}");
        assert_eq!(events(&target).await, events(&source).await);
    }
}

#[tokio::test]
async fn cli_an_import_into_a_log_that_has_other_events_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bank.ndjson");
    let source = sqlite().open().await;
    filled(&source).await;
    export(&source, &file).await;
    let arguments = ["import", file.to_str().unwrap(), "--yes"];
    for bank in banks() {
        let other = bank.open().await;
        deposit(&other, "alice", 7).await;
        let before = events(&other).await;
        let reason = refused(&other, &arguments).await;
        assert!(reason.contains("line 3: the log has another event at position 1"), "{reason}");
        assert_eq!(events(&other).await, before);
        assert!(refused(&other, &["export", file.to_str().unwrap()]).await.contains("line 3: "));
    }
    // The commands of a file that has nothing else are not stored for a log that has events.
    let empty = sqlite().open().await;
    let id = CommandId::derive(["only"]);
    let nothing = Request::new(Deposit { cents: 0 }).id(id);
    empty.aggregate::<Account>("bob").execute(nothing).await.unwrap();
    let commands = folder.path().join("commands.ndjson");
    export(&empty, &commands).await;
    for bank in banks() {
        let other = bank.open().await;
        deposit(&other, "alice", 7).await;
        let reason = refused(&other, &["import", commands.to_str().unwrap(), "--yes"]).await;
        assert!(reason.contains("past command") || reason.contains("goes on after"), "{reason}");
        assert_eq!(other.log().find_command(id).await.unwrap(), None);
    }
    let longer = memory().open().await;
    import(&longer, &file).await;
    deposit(&longer, "alice", 7).await;
    let reason = refused(&longer, &arguments).await;
    assert!(reason.contains("the log goes on after position 6 up to 7"), "{reason}");
    // Times that were recorded in memory have nanoseconds.
    let nanoseconds = folder.path().join("memory.ndjson");
    export(&longer, &nanoseconds).await;
    if events(&longer).await[6].recorded_at.subsec_nanosecond() % 1_000 != 0 {
        let (ended, _) =
            crate::run(&sqlite().open().await, &["import", nanoseconds.to_str().unwrap(), "--yes"])
                .await;
        assert!(ended.unwrap_err().to_string().contains("a database keeps microseconds"));
    }
    let (ended, _) = crate::run(&source, &["import", "/no/such/file", "--yes"]).await;
    assert!(ended.unwrap_err().to_string().starts_with("/no/such/file: "));
}

#[tokio::test]
async fn cli_a_program_that_was_killed_is_started_again_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bank.ndjson");
    let source = sqlite();
    let app = source.open().await;
    for _ in 0..40 {
        append(&app, "many", &[&b"{\"cents\":1}"[..]; 250]).await;
    }
    let killed = |url: String, arguments: Vec<String>| async move {
        let mut program = program(&url);
        program.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        program.spawn().unwrap()
    };
    let name = file.to_str().unwrap().to_owned();
    let mut export = killed(url(&source).unwrap(), vec!["export".to_owned(), name.clone()]).await;
    let is_begun = || fs::metadata(&file).is_ok_and(|file| file.len() > 0);
    let begun = async {
        while !is_begun() && export.try_wait().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    export.start_kill().unwrap();
    export.wait().await.unwrap();
    let again = crate::process::run(&mut program(&url(&source).unwrap()), &["export", &name]).await;
    assert_eq!((again.code, again.err.as_str()), (0, ""), "{}", again.out);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 10_001);

    for bank in banks() {
        let Some(url) = url(&bank) else { continue };
        let target = bank.open().await;
        let arguments = ["import", &name, "--yes"].map(str::to_owned).to_vec();
        let mut import = killed(url.clone(), arguments).await;
        timeout(PATIENCE, target.log().wait_for_append(Position::START)).await.ok();
        import.start_kill().unwrap();
        import.wait().await.unwrap();
        let again = crate::process::run(&mut program(&url), &["import", &name, "--yes"]).await;
        assert_eq!((again.code, again.err.as_str()), (0, ""), "{}", again.out);
        assert_eq!(events_in_pages(&target).await, events_in_pages(&app).await);
        assert!(printed(&target, &["doctor", "--complete"]).await.starts_with("no findings"));
    }
}

/// Returns lengths at which a file is cut: in all lines, and at both sides of their ends.
fn lengths(bytes: &[u8]) -> Vec<usize> {
    let is_end = |at: usize| bytes.get(at).is_some_and(|byte| *byte == b'\n');
    let is_near = |length: usize| is_end(length) || length > 0 && is_end(length - 1);
    (0..bytes.len()).filter(|length| length % 41 == 0 || is_near(*length)).collect()
}

async fn events_in_pages(app: &Highwater) -> Vec<Envelope> {
    let (mut all, mut through) = (Vec::new(), Position::START);
    loop {
        let page =
            app.log().read_log(&Query::all(), ReadFrom::After(through), 1_000).await.unwrap();
        all.extend(page.events);
        through = page.through;
        if !page.more {
            return all;
        }
    }
}
