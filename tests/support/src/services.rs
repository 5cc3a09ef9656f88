//! The servers and tools that the environment names, and the notice of a test that is skipped without them.

use std::{
    env,
    fs::OpenOptions,
    io::Write as _,
    process::{Command, Stdio},
};

/// The environment variable that holds the URL of a PostgreSQL database.
pub const POSTGRES: &str = "HIGHWATER_TEST_POSTGRES";

/// The environment variable that names the folder of a PostgreSQL server's programs.
pub const POSTGRES_PROGRAMS: &str = "HIGHWATER_TEST_PG_BIN";

/// The environment variable that names the brokers of Kafka.
pub const KAFKA: &str = "HIGHWATER_TEST_KAFKA";

/// The environment variable that names the folder of a Kafka server's jars.
pub const KAFKA_LIBS: &str = "HIGHWATER_TEST_KAFKA_LIBS";

/// Prints which test is skipped and what it lacks, and adds it to the list that `scripts/test` prints at its end.
///
/// # Panics
/// If `HIGHWATER_REQUIRE_SERVICES` allows no skip.
pub fn skip(test: &str, missing: &str) {
    let required = env::var("HIGHWATER_REQUIRE_SERVICES").is_ok_and(|value| value == "1");
    assert!(!required, "{test}: {missing} is missing, and HIGHWATER_REQUIRE_SERVICES is 1");
    let line = format!("SKIPPED {test}: {missing} is missing");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = env::var_os("HIGHWATER_TEST_SKIPPED") {
        let mut list = OpenOptions::new().append(true).open(list).unwrap();
        // In one write, because other tests append to the file too.
        list.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// Returns the Kafka servers that the environment names; skips the test if it names none.
pub fn kafka_servers(test: &str) -> Option<String> {
    let servers = env::var(KAFKA).ok();
    if servers.is_none() {
        skip(test, KAFKA);
    }
    servers
}

/// Returns Prometheus' promtool, from the path or the environment; skips the test if there is none.
pub fn promtool(test: &str) -> Option<Command> {
    let tool = || {
        let named = env::var_os("HIGHWATER_TEST_PROMTOOL");
        Command::new(named.unwrap_or_else(|| "promtool".into()))
    };
    let version = tool().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if version.is_err() {
        skip(test, "promtool");
    }
    version.ok().map(|_| tool())
}
