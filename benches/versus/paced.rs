//! Highwater's side of commands at a fixed rate: until their effect is in a view.

use std::time::Instant;

#[cfg(feature = "kafka")]
use highwater::projections::kafka::{Kafka, KafkaSource, Relay, Topics};
use highwater::{
    Highwater,
    port::{Layout, ViewName, ViewState},
    prelude::*,
};
use highwater_benches::{Board, Pace, Paced, Spot};

use tokio::task::JoinSet;

#[cfg(feature = "kafka")]
use crate::raw_kafka;
use crate::{
    domain::{ACCOUNTS, Account, Balance, Deposit},
    ours,
};

/// How many commands are begun in a second.
pub(crate) const PER_SECOND: u32 = 2_000;

/// Commands, and how the view that sees them is divided.
pub(crate) struct Commands {
    bank: Highwater,
    layout: Layout,
}

impl Paced for Commands {
    async fn write(&self, number: u64) -> Spot {
        let account = self.bank.aggregate::<Account>(number % ACCOUNTS);
        let receipt = account.execute(Deposit::number(number)).await.unwrap();
        let (stream, _) = receipt.versions().next().unwrap();
        let lane = u64::from(self.layout.shard_of(stream.as_str()).get());
        Spot { lane, position: receipt.position().get() }
    }
}

/// A worker on the log itself.
pub(crate) async fn directly(url: &str) -> Pace<Commands> {
    let bank = fresh(url).await;
    begin(&bank, Worker::on(&bank), JoinSet::new()).await
}

/// A relay, and a worker on what it publishes.
#[cfg(feature = "kafka")]
pub(crate) async fn through_kafka(url: &str, kafka: &str) -> Pace<Commands> {
    let (bank, topic) = (fresh(url).await, raw_kafka::topic(kafka).await);
    let relay = Relay::new(&bank, Kafka::at(kafka), Topics::one(&topic)).named(&topic);
    let mut relaying = JoinSet::new();
    relaying.spawn(relay.run(std::future::pending()));
    let source = KafkaSource::new(&bank, Kafka::at(kafka), Topics::one(&topic));
    begin(&bank, Worker::on(&bank).fed_by(source), relaying).await
}

/// A log of its own, so that nothing is left of an earlier pass.
async fn fresh(url: &str) -> Highwater {
    ours::open_warm(url, &format!("paced_{:016x}", fastrand::u64(..)), 0..ACCOUNTS).await
}

/// The view has everything when this returns. `relaying` ends with the reader.
async fn begin(
    bank: &Highwater,
    worker: Worker,
    relaying: JoinSet<highwater::Result<()>>,
) -> Pace<Commands> {
    let running = worker.view::<Balance>().start().await.unwrap();
    let view = ViewName::new(Balance::NAME).unwrap();
    let head = bank.log().head().await.unwrap();
    ours::until_at(bank, &view, head, Instant::now()).await;
    let layout = bank.views().read_view(&view, &[]).await.unwrap().state.layout;
    let (board, reader) = (Board::default(), bank.clone());
    let (commands, notes) = (Commands { bank: bank.clone(), layout }, board.clone());
    Pace::start(PER_SECOND, commands, &board, async move {
        let _until_this_ends = (running, relaying);
        loop {
            let state = reader.views().read_view(&view, &[]).await.unwrap().state;
            notes.sees(spots(&state));
            reader.views().view_changed(&view, &state).await.unwrap();
        }
    })
}

fn spots(state: &ViewState) -> impl Iterator<Item = Spot> {
    let shards = (0..).zip(&state.shards);
    shards.map(|(lane, progress)| Spot { lane, position: progress.position.get() })
}
