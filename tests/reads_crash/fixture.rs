//! A private PostgreSQL and Kafka, and the processes between them.

use std::time::Duration;

use highwater::{CommandId, Highwater, Receipt, Request, View, Views as _};
use highwater_test_support::{
    bank::{Account, Balance, Deposit},
    clock::SetClock,
    faults::wait_until,
    fleet::{FaultPlan, Fleet},
    kafka::KafkaCluster,
    postgres::PostgresCluster,
    proxy::Proxy,
    tally::Tally,
    worker,
};
use tokio::runtime::Runtime;

use crate::processes::{LEASE, Orders, SESSION, Task, Timeouts};

/// The time within which everything must recover after the last fault.
pub(crate) const RECOVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// The text that a process logs after it has waited for an answer of the database in vain.
const NO_ANSWER: &str = "no answer within";

pub(crate) struct CrashFixture {
    pub(crate) runtime: Runtime,
    pub(crate) database: PostgresCluster,
    pub(crate) brokers: KafkaCluster,
    /// The proxy between the workers and the broker.
    pub(crate) proxy: Proxy,
    pub(crate) seed: u64,
    /// The server of the views and its URL, if they are in a separate store.
    elsewhere: Option<(PostgresCluster, String)>,
    /// The proxy between all processes and the database, if its network may become silent.
    database_proxy: Option<Proxy>,
    timeouts: Timeouts,
}

impl CrashFixture {
    /// Starts both servers. Skips the test if their programs are missing.
    pub(crate) fn start(test: &str, seed: u64) -> Option<Self> {
        let database = PostgresCluster::start(test)?;
        let runtime = Runtime::new().unwrap();
        let brokers = runtime.block_on(KafkaCluster::start(test, 1))?;
        let proxy = Proxy::start(runtime.handle(), brokers.proxied(1));
        Some(Self {
            runtime,
            database,
            brokers,
            proxy,
            seed,
            elsewhere: None,
            database_proxy: None,
            timeouts: Timeouts::Short,
        })
    }

    /// Moves the views to another server.
    pub(crate) fn with_views_elsewhere(self) -> Self {
        let views = PostgresCluster::start("the store of the views").unwrap();
        let url = views.url();
        Self { elsewhere: Some((views, url)), ..self }
    }

    /// Moves the database behind a proxy that can hold all packets.
    pub(crate) fn with_database_proxy(self) -> Self {
        let proxy = Proxy::start(self.runtime.handle(), (0, self.database.port()));
        Self { database_proxy: Some(proxy), ..self }
    }

    /// Holds all packets between processes and database, until a worker of the fleet has waited for an answer in vain.
    pub(crate) fn silence_database(&self, workers: &Fleet<Orders>) {
        let proxy = self.database_proxy.as_ref().unwrap();
        let before = workers.logged(NO_ANSWER);
        proxy.hold();
        wait_until(NO_ANSWER, || workers.logged(NO_ANSWER) > before);
        proxy.let_through();
    }

    /// Gives the processes the leases, sessions and waits of a program that sets none, and connects them to the broker
    /// without a proxy.
    pub(crate) fn with_default_timeouts(self) -> Self {
        Self { timeouts: Timeouts::Default, ..self }
    }

    pub(crate) fn has_views_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    pub(crate) fn orders(&self, task: Task) -> Orders {
        let kafka = match task {
            Task::Worker { .. } if self.timeouts == Timeouts::Short => {
                format!("127.0.0.1:{}", self.brokers.proxied(1).0)
            }
            _ => self.brokers.servers(),
        };
        let views = self.elsewhere.as_ref().map(|(_, url)| url.clone());
        let (log, timeouts) = (self.log(), self.timeouts);
        Orders { task, log, views, kafka, seed: self.seed, timeouts }
    }

    /// The URL of the log. Through a proxy, an answer is waited for only shortly.
    fn log(&self) -> String {
        match &self.database_proxy {
            None => self.database.url(),
            Some(proxy) => {
                let url = self.database.url_at(proxy.port());
                format!("{url}?connect_timeout=2&answer_timeout=2")
            }
        }
    }

    /// Opens another handle, like that of another process.
    pub(crate) fn open(&self) -> Highwater {
        self.open_by(&SetClock::default())
    }

    /// Opens another handle, like that of another process with this clock.
    pub(crate) fn open_by(&self, clock: &SetClock) -> Highwater {
        let Orders { log, views, .. } = self.orders(Task::Relay);
        self.runtime.block_on(worker::open_by(clock, &log, views.as_deref())).unwrap()
    }

    /// Waits until the views exist and receive events.
    pub(crate) fn until_it_works(&self, bank: &Highwater) {
        self.runtime.block_on(async {
            let first = deposit(bank, "first", CommandId::derive([b"first"])).await;
            until_seen(bank, &first).await;
        });
    }

    pub(crate) fn relays(&self, count: usize) -> Fleet<Orders> {
        let plan = FaultPlan { interval: 1_000..3_000, lease: LEASE };
        Fleet::start(self.orders(Task::Relay), count, plan, self.seed)
    }

    /// Starts workers whose pages are delayed by at most this lag.
    pub(crate) fn workers(&self, count: usize, lag: Duration) -> Fleet<Orders> {
        let plan = FaultPlan { interval: 800..3_000, lease: SESSION };
        Fleet::start(self.orders(Task::Worker { lag }), count, plan, !self.seed)
    }

    /// Kills the broker and starts it again.
    pub(crate) fn restart_broker(&mut self) {
        self.brokers.kill(1);
        self.runtime.block_on(self.brokers.restart(1));
    }

    /// Stops the database like a power failure, and starts it again.
    pub(crate) fn restart_database(&self) {
        self.database.crash();
        self.database.restart();
    }
}

/// Deposits a cent once, and retries until it is acknowledged (W4).
pub(crate) async fn deposit(bank: &Highwater, account: &str, id: CommandId) -> Receipt {
    loop {
        let deposit = Request::new(Deposit { cents: 1 }).id(id);
        match bank.aggregate::<Account>(account).execute(deposit).await {
            Ok(receipt) => return receipt,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until both views exist and have applied this receipt, and retries errors.
pub(crate) async fn until_seen(bank: &Highwater, receipt: &Receipt) {
    let seen = async {
        sees::<Balance>(bank, receipt).await;
        sees::<Tally>(bank, receipt).await;
    };
    tokio::time::timeout(RECOVERY_TIMEOUT, seen).await.expect("the views don't converge");
}

/// Waits until a view exists and has applied this receipt, and retries errors.
pub(crate) async fn sees<V: View>(bank: &Highwater, receipt: &Receipt) {
    while bank.view::<V>().range("".., 1).after(receipt).within(RECOVERY_TIMEOUT).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
