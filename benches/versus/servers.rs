//! The measured servers: private clusters without any other load.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[cfg(feature = "kafka")]
use highwater_test_support::kafka::KafkaCluster;
use highwater_test_support::postgres::{PostgresCluster, PostgresPrograms};

/// Starts a cluster of these programs, whose flush costs a millisecond more if `flush` is [`SLOW`].
pub(crate) fn postgres(programs: &Path, flush: &str) -> PostgresCluster {
    let preload = (flush == SLOW).then(slow_flush);
    let programs = PostgresPrograms { folder: programs.to_owned(), preload };
    PostgresCluster::start_from(programs, None)
}

/// The cost of a flush.
pub(crate) const FREE: &str = "free";
pub(crate) const SLOW: &str = "1 ms";

/// Returns the folder of a server's programs; `None`, with a message, if they aren't on this machine.
pub(crate) fn programs() -> Option<PathBuf> {
    let found = find_programs();
    if found.is_none() {
        eprintln!(
            "SKIPPED: the programs of a PostgreSQL server 15 or newer are not on this machine"
        );
    }
    found
}

fn find_programs() -> Option<PathBuf> {
    if let Some(named) = env::var_os("HIGHWATER_TEST_PG_BIN") {
        return Some(named.into());
    }
    printed("pg-bin")
}

/// Returns the folder that `scripts/services` prints.
fn printed(verb: &str) -> Option<PathBuf> {
    let found = Command::new(scripts().join("services")).arg(verb).output().ok()?;
    let folder = String::from_utf8(found.stdout).ok()?;
    found.status.success().then(|| folder.trim().into())
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("scripts")
}

/// Returns the folder of Kafka's jars; `None`, with a message, if there are none.
#[cfg(feature = "kafka")]
pub(crate) fn kafka_libs() -> Option<PathBuf> {
    let found = env::var_os("HIGHWATER_TEST_KAFKA_LIBS").map(Into::into);
    let found = found.or_else(|| printed("kafka-libs"));
    if found.is_none() {
        eprintln!("SKIPPED: neither the jars of Kafka nor a way to fetch them are on this machine");
    }
    found
}

/// Starts a broker.
#[cfg(feature = "kafka")]
pub(crate) async fn kafka(libs: PathBuf) -> KafkaCluster {
    KafkaCluster::start_from(libs, 1).await
}

/// Compiles the library that makes a flush slow, in a folder that the server's user can read.
fn slow_flush() -> PathBuf {
    let source = scripts().join("slow-flush.c");
    let library =
        env::temp_dir().join(format!("highwater-slow-flush-{:016x}.so", fastrand::u64(..)));
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().unwrap().success(), "{compiler:?}");
    library
}

/// Creates a folder on the disk of the build.
pub(crate) fn folder() -> tempfile::TempDir {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(base).unwrap();
    tempfile::tempdir_in(base).unwrap()
}
