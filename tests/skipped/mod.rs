//! What a test does that lacks something of this machine.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    env,
    fs::OpenOptions,
    io::Write as _,
    process::{Command, Stdio},
};

/// The environment variable that names the brokers of Kafka.
pub const KAFKA: &str = "HIGHWATER_TEST_KAFKA";

/// Says loudly what is left out and for want of what: here, and in the list that `scripts/test` shows at its end. Where
/// nothing may be left out it fails.
pub fn skip(test: &str, missing: &str) {
    let required = env::var("HIGHWATER_REQUIRE_SERVICES").is_ok_and(|value| value == "1");
    assert!(!required, "{test}: {missing} is missing, and HIGHWATER_REQUIRE_SERVICES is 1");
    let line = format!("SKIPPED {test}: {missing} is missing");
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(list) = env::var_os("HIGHWATER_TEST_SKIPPED") {
        let mut list = OpenOptions::new().append(true).open(list).unwrap();
        // In one piece: other tests write there, too.
        list.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// The brokers that the environment names; says loudly if there are none.
pub fn broker(test: &str) -> Option<String> {
    let named = env::var(KAFKA).ok();
    if named.is_none() {
        skip(test, KAFKA);
    }
    named
}

/// Prometheus' own tool, from the path or where the environment says; says loudly if there is none.
pub fn promtool(test: &str) -> Option<Command> {
    let tool = || {
        let named = env::var_os("HIGHWATER_TEST_PROMTOOL");
        Command::new(named.unwrap_or_else(|| "promtool".into()))
    };
    let found = tool().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        skip(test, "promtool");
    }
    found.ok().map(|_| tool())
}
