//! Runs that are killed. A run is this test program again, told by its environment.

use std::{
    env, io,
    process::{Child, Command, Stdio},
};

use clap::Parser as _;
use highwater::Position;

use super::{generate::history, sandbox::Sandbox, whole::assert_same_events};
use crate::run::{Arguments, run};

const REPOSITORY: &str = "HIGHWATER_HISTORY_CHILD_REPOSITORY";
const DB: &str = "HIGHWATER_HISTORY_CHILD_DB";
const KILLS: u64 = 6;

fn start(sandbox: &Sandbox) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["tests::kill::runs_until_it_is_killed", "--exact", "--nocapture"])
        .env(REPOSITORY, sandbox.repository())
        .env(DB, sandbox.db())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The child. In a run of the tests it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn runs_until_it_is_killed() {
    let (Ok(repository), Ok(db)) = (env::var(REPOSITORY), env::var(DB)) else { return };
    let arguments = Arguments::parse_from(["repo_history", &repository, "--db", &db]);
    assert!(run(&arguments, io::sink()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_w7_killed_again_and_again_it_records_the_same() {
    let sandbox = Sandbox::with(&history(600, fastrand::u64(..)));
    let whole = sandbox.path("whole.db").to_str().unwrap().to_owned();
    sandbox.run_on(&sandbox.repository(), &whole, &[]).await.unwrap();
    let events = super::sandbox::open(&whole).await.log().head().await.unwrap().get();

    let highwater = sandbox.open().await;
    for kill in 1..=KILLS {
        let mut child = start(&sandbox);
        // In the first half only: the news that the log has grown may be late.
        let after = Position::new(events * kill / (2 * KILLS));
        while highwater.log().head().await.unwrap() < after {
            highwater.log().wait_for_append(after).await.unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(highwater.log().head().await.unwrap().get() < events, "it was never in the middle");
    assert!(start(&sandbox).wait().unwrap().success());
    assert_same_events(&sandbox.db(), &whole).await;
}
