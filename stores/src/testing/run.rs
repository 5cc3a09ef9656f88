//! Runs one property: in a separate runtime, with a time limit, on an empty store.

use std::{env, future::Future, io::Write as _, time::Duration};

use super::{Fixture, PROPERTIES};

/// The environment variable that, if set to `1`, makes a property fail when its service is missing.
pub const REQUIRE_SERVICES: &str = "HIGHWATER_REQUIRE_SERVICES";

/// The environment variable that sets the seed, to repeat a run.
pub const SEED: &str = "HIGHWATER_SEED";

/// The time limit of a property. A property that takes longer hangs.
const PROPERTY_TIMEOUT: Duration = Duration::from_secs(300);

/// Runs the property of this name on the store that `harness` opens. If the harness returns no
/// store because its service is missing, skips the property and prints a notice.
///
/// # Panics
/// Panics if the property does not hold, hangs, or is unknown; or if it would be skipped although
/// [`REQUIRE_SERVICES`] forbids that.
pub fn run<F>(property: &str, harness: impl FnOnce() -> F)
where
    F: Future<Output: Into<Option<Fixture>>>,
{
    let found = PROPERTIES.iter().find(|known| known.name == property);
    let found = found.unwrap_or_else(|| panic!("there is no property {property}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be started");
    runtime.block_on(async {
        match harness().await.into() {
            None => skip(property),
            Some(fixture) => {
                let outcome =
                    tokio::time::timeout(PROPERTY_TIMEOUT, (found.holds)(fixture.clone())).await;
                outcome.unwrap_or_else(|_| panic!("{property} hangs"));
            }
        }
    });
}

/// Prints the notice directly to stderr, because the test harness hides the output of a passing
/// test.
fn skip(property: &str) {
    let required = env::var(REQUIRE_SERVICES).is_ok_and(|value| value == "1");
    assert!(!required, "{property}: the service is missing, and {REQUIRE_SERVICES} is 1");
    let _ = writeln!(std::io::stderr(), "SKIPPED {property}: the service is missing");
}

/// Returns the seed of this run, and prints it so that a failure can be repeated: the seed in
/// [`SEED`], or a new one.
///
/// # Panics
/// Panics if [`SEED`] is not a number.
#[must_use]
pub fn seed() -> u64 {
    let seed = match env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED}={text} is not a number")),
        Err(_) => fastrand::u64(..),
    };
    println!("{SEED}={seed}");
    seed
}
