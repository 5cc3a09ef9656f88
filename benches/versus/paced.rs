//! Highwater's side of commands at a fixed rate, until their effect is in a view or has been read there.

use std::time::{Duration, Instant};

#[cfg(feature = "kafka")]
use highwater::kafka::{Kafka, KafkaSource, Relay, Topics};
use highwater::{
    Highwater, Views as _, domain::ViewName, port::ViewState, prelude::*, value::Sharding,
    worker::WorkerHandle,
};
use highwater_benches::{Asked, Asking, Board, Pace, Paced, Spot};

use tokio::task::JoinSet;

#[cfg(feature = "kafka")]
use crate::raw_kafka;
use crate::{
    domain::{ACCOUNTS, Account, Balance, Deposit},
    ours,
};

/// The number of commands that start per second.
pub(crate) const PER_SECOND: u32 = 2_000;

/// A writer of commands, and the sharding of the view that has their effects.
pub(crate) struct Commands {
    bank: Highwater,
    sharding: Sharding,
}

impl Paced for Commands {
    async fn write(&self, number: u64) -> Spot {
        let account = self.bank.aggregate::<Account>(number % ACCOUNTS);
        let receipt = account.execute(Deposit::number(number)).await.unwrap();
        let (stream, _) = receipt.versions().next().unwrap();
        let lane = u64::from(self.sharding.shard_of(stream.as_str()).get());
        Spot { lane, position: receipt.position().get() }
    }
}

/// A log with a running worker of its view.
pub(crate) struct Fed {
    bank: Highwater,
    /// The worker of the view, which runs until it is dropped.
    feeding: (WorkerHandle, JoinSet<highwater::Result<()>>),
}

impl Fed {
    /// Starts a worker that is fed from the log.
    pub(crate) async fn directly(url: &str) -> Self {
        let bank = fresh(url).await;
        let worker = Worker::new(&bank);
        Self::begin(bank, worker, JoinSet::new()).await
    }

    /// Starts a relay, and a worker that is fed from its topic.
    #[cfg(feature = "kafka")]
    pub(crate) async fn through_kafka(url: &str, kafka: &str) -> Self {
        let (bank, topic) = (fresh(url).await, raw_kafka::topic(kafka).await);
        let relay = Relay::new(&bank, Kafka::at(kafka), Topics::one(&topic)).named(&topic);
        let mut relaying = JoinSet::new();
        relaying.spawn(relay.run(std::future::pending()));
        let source = KafkaSource::new(&bank, Kafka::at(kafka), Topics::one(&topic));
        let worker = Worker::new(&bank).fed_by(source);
        Self::begin(bank, worker, relaying).await
    }

    /// Waits until the view has caught up.
    async fn begin(
        bank: Highwater,
        worker: Worker,
        relaying: JoinSet<highwater::Result<()>>,
    ) -> Self {
        let running = worker.view::<Balance>().start().await.unwrap();
        let head = bank.log().head().await.unwrap();
        ours::until_at(&bank, &view(), head, Instant::now()).await;
        Self { bank, feeding: (running, relaying) }
    }
}

/// Opens an empty log, without anything of an earlier pass.
async fn fresh(url: &str) -> Highwater {
    ours::open_warm(url, &format!("paced_{:016x}", fastrand::u64(..)), 0..ACCOUNTS).await
}

fn view() -> ViewName {
    ViewName::new(Balance::NAME).unwrap()
}

/// A client that reads the effect of each of its commands.
pub(crate) struct Author(Highwater);

impl Asked for Author {
    async fn write_and_ask(&self, number: u64) -> Duration {
        let key = number % ACCOUNTS;
        let account = self.0.aggregate::<Account>(key);
        let receipt = account.execute(Deposit::number(number)).await.unwrap();
        let acknowledged = Instant::now();
        let row = self.0.view::<Balance>().get(key.to_string()).after(&receipt).await.unwrap();
        assert!(row.events() > 0 && row.freshness().position >= receipt.position());
        acknowledged.elapsed()
    }
}

/// Returns commands that are each followed by a read with the receipt's token.
pub(crate) fn asking(fed: Fed) -> Asking<Author> {
    Asking::start(PER_SECOND, Author(fed.bank), async move {
        let _until_this_ends = fed.feeding;
        std::future::pending::<()>().await;
    })
}

/// Waits until a follower of the view's commits sees a command.
pub(crate) async fn seeing(Fed { bank, feeding }: Fed) -> Pace<Commands> {
    let view = view();
    let sharding = bank.views().read_view(&view, &[]).await.unwrap().state.sharding;
    let (board, reader) = (Board::default(), bank.clone());
    let (commands, notes) = (Commands { bank, sharding }, board.clone());
    Pace::start(PER_SECOND, commands, &board, async move {
        let _until_this_ends = feeding;
        loop {
            let state = reader.views().read_view(&view, &[]).await.unwrap().state;
            notes.sees(spots(&state));
            reader.views().wait_for_view_change(&view, &state).await.unwrap();
        }
    })
}

fn spots(state: &ViewState) -> impl Iterator<Item = Spot> {
    let shards = (0..).zip(&state.shards);
    shards.map(|(lane, progress)| Spot { lane, position: progress.position.get() })
}
