//! A policy that is changed and rolled back without a restart while a service reads under load: the
//! change shows in its results and in its metrics (O4).

use futures_util::future::join_all;
use highwater::{
    consistency::{Level, Operation},
    prelude::*,
};
use highwater_test_support::bank::Balance;

use crate::shutdown::KEYS;

/// The operation that is read continuously.
const SHOW: Operation = Operation::auxiliary("account.show");

/// Reads continuously, prints every change of the level, and checks that a strong read returns the
/// latest state.
pub(crate) async fn read_for_ever(bank: Highwater) {
    let policies = bank.policies();
    policies.register(&[SHOW]).unwrap();
    let _following = policies.follow().await.unwrap();
    join_all(KEYS.map(|key| read_one(&bank, key))).await;
}

async fn read_one(bank: &Highwater, key: &str) {
    let mut last = None;
    loop {
        let found = bank.view::<Balance>().get(key).by(&SHOW).find().await.unwrap();
        let level = found.level();
        assert!(level != Level::Strong || found.freshness().is_current(), "{}", found.freshness());
        if last.replace(level) != Some(level) {
            println!("{key} IS READ {level:?}");
        }
    }
}

#[cfg(all(feature = "kafka", feature = "postgres"))]
mod tests {
    use std::time::{Duration, Instant};

    use highwater::{
        consistency::Fallback,
        policy::{Override, PolicyChange, PolicyRollback, Rule},
    };

    use super::*;
    use crate::{
        probe::{STATE_TIMEOUT, get},
        relay_and_worker::Chain,
        service_process::{Role, ServiceProcess},
    };

    /// Waits for a condition of a service that must keep running.
    async fn until<T>(reader: &mut ServiceProcess, is: impl Fn(&ServiceProcess) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            assert!(reader.is_running(), "{}", reader.output());
            if let Some(found) = is(reader) {
                return found;
            }
            assert!(began.elapsed() < STATE_TIMEOUT, "{}", reader.output());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until each key has been read at this level, this number of times since the start.
    async fn until_read(reader: &mut ServiceProcess, level: &str, times: usize) {
        let line = format!("IS READ {level}");
        until(reader, |reader| {
            (reader.output().matches(&line).count() >= times * KEYS.len()).then_some(())
        })
        .await;
    }

    /// Returns the number of reads of each level in the metrics.
    fn counted(reader: &ServiceProcess) -> [u64; 2] {
        let (status, metrics) = get(reader.address, "/metrics").unwrap();
        assert_eq!(status, 200);
        ["eventual", "strong"].map(|level| {
            let of = |line: &&str| {
                line.starts_with("highwater_reads_total{")
                    && line.contains("operation=\"account.show\"")
                    && line.contains(&format!("level=\"{level}\""))
            };
            let values = metrics.lines().filter(of).map(|line| line.rsplit(' ').next().unwrap());
            values.map(|value| value.parse::<u64>().unwrap()).sum()
        })
    }

    /// Asserts that after all keys are read at a level no other level is counted, while many reads
    /// at this level are.
    async fn is_counted_alone(reader: &mut ServiceProcess, place: usize) {
        let before = counted(reader);
        let after = until(reader, |reader| {
            let now = counted(reader);
            (now[place] >= before[place] + 50).then_some(now)
        })
        .await;
        assert_eq!(before[1 - place], after[1 - place]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn o4_kafka_a_policy_changed_and_rolled_back_under_load_is_visible_in_answers_and_metrics()
     {
        let test = "o4_kafka_a_policy_changed_and_rolled_back_under_load_is_visible_in_answers_and_metrics";
        let Some(chain) = Chain::start(test).await else { return };
        let mut reader = chain.with(Role::Reader).await;
        until_read(&mut reader, "Eventual", 1).await;
        is_counted_alone(&mut reader, 0).await;

        let strong = Override::default().reading(Level::Strong).or(Fallback::Fail);
        let strong = Rule::of_all(strong.within(STATE_TIMEOUT));
        let change = PolicyChange::by("ann", "a test").set(&SHOW, strong);
        chain.bank.policies().change(change).await.unwrap();
        until_read(&mut reader, "Strong", 1).await;
        is_counted_alone(&mut reader, 1).await;

        let rollback = PolicyRollback::by("bob", "a test");
        chain.bank.policies().roll_back(rollback).await.unwrap();
        until_read(&mut reader, "Eventual", 2).await;
        is_counted_alone(&mut reader, 0).await;
        reader.terminate();
        let status = reader.wait();
        assert!(status.success(), "{}", reader.output());
        chain.has_everything_once().await;
    }
}
