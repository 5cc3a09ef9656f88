//! How long after the acknowledgement of a command a waiting follower has its event.

use std::time::{Duration, Instant};

use highwater::{Highwater, Position, Query};
use tokio::sync::mpsc;

use crate::domain::{ACCOUNTS, Account, Deposit};

/// Milliseconds: the median, and what 99 of 100 don't exceed. An event that was there before the
/// acknowledgement counts as zero.
pub(crate) async fn measure(writer: &Highwater, reader: &Highwater, commands: u64) -> (f64, f64) {
    let (seen, mut arrivals) = mpsc::channel(1_024);
    let head = writer.log().head().await.unwrap();
    let follower = reader.follow(Query::all(), head);
    let following = tokio::spawn(follow(follower, seen));
    let mut delays = Vec::with_capacity(commands as usize);
    for number in 0..commands {
        // The follower has caught up and waits.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let account = writer.aggregate::<Account>(number % ACCOUNTS);
        let receipt = account.execute(Deposit::number(number)).await.unwrap();
        let acknowledged = Instant::now();
        let wanted = receipt.token().position(highwater::PartitionId::LOG);
        let arrived = loop {
            let (position, at): (Position, Instant) = arrivals.recv().await.unwrap();
            if position >= wanted {
                break at;
            }
        };
        delays.push(arrived.saturating_duration_since(acknowledged));
    }
    following.abort();
    delays.sort_unstable();
    let at = |share: f64| delays[(share * (delays.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
    (at(0.5), at(0.99))
}

async fn follow(mut follower: highwater::Follower, seen: mpsc::Sender<(Position, Instant)>) {
    while let Ok(page) = follower.next_page().await {
        if seen.send((page.through, Instant::now())).await.is_err() {
            return;
        }
    }
}
