//! What is measured and traced (O1, O2): on every store, and through Kafka.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../bank/mod.rs"]
mod bank;
mod measured;
mod meter;
mod names;
mod shipped;
mod spans;
mod traced;

/// The brokers that the environment names; what is missing is said loudly.
#[cfg(feature = "kafka")]
fn broker() -> Option<String> {
    use std::io::Write as _;

    let named = std::env::var("HIGHWATER_TEST_KAFKA").ok();
    if named.is_none() {
        let required = std::env::var("HIGHWATER_REQUIRE_SERVICES").is_ok_and(|value| value == "1");
        assert!(!required, "HIGHWATER_TEST_KAFKA is not set");
        let _ = writeln!(std::io::stderr(), "SKIPPED with Kafka: no broker is named");
    }
    named
}
