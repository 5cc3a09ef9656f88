//! The domain of most tests, and the stores on which they run.

use std::{env, sync::Arc};

use highwater::{
    Highwater,
    execute::ConflictPolicy,
    port::Store,
    prelude::*,
    stores::{self, MemoryStore},
};

use crate::services::{POSTGRES, skip};

#[derive(Event, Debug, Clone, PartialEq)]
#[event(prefix = "account")]
pub enum AccountEvent {
    Opened {
        #[event(tag)]
        owner: String,
    },
    Deposited {
        cents: i64,
    },
    Withdrawn {
        cents: i64,
    },
}

#[derive(Aggregate, Default, Clone, Debug, PartialEq)]
#[aggregate(event = AccountEvent, snapshot(every = 10))]
#[invariant(never_overdrawn, "never debit more than the available balance")]
pub struct Account {
    pub owner: Option<String>,
    pub balance: i64,
}

impl Account {
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents } => self.balance += cents,
            AccountEvent::Withdrawn { cents } => self.balance -= cents,
        }
    }

    fn never_overdrawn(&self) -> Check {
        Check::that(self.balance >= 0).with("balance", self.balance)
    }
}

#[derive(Command, Debug, Clone)]
pub struct Deposit {
    pub cents: i64,
}

impl Decide<Deposit> for Account {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        let changes = deposit.cents != 0;
        Ok(changes
            .then_some(AccountEvent::Deposited { cents: deposit.cents })
            .into_iter()
            .collect())
    }
}

#[derive(Command, Debug, Clone)]
pub struct Withdraw {
    pub cents: i64,
}

impl Decide<Withdraw> for Account {
    fn decide(&self, withdraw: &Withdraw, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Withdrawn { cents: withdraw.cents }])
    }
}

#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = AccountEvent, name = "balances", by_stream = Account)]
pub struct Balance {
    pub cents: i64,
    pub events: u64,
}

impl Balance {
    fn fold(&mut self, event: &AccountEvent, _: &Envelope) {
        self.events += 1;
        match event {
            AccountEvent::Opened { .. } => {}
            AccountEvent::Deposited { cents } => self.cents += cents,
            AccountEvent::Withdrawn { cents } => self.cents -= cents,
        }
    }
}

/// A store for one test, which can be opened again as another process would open it.
#[derive(Clone)]
pub enum Bank {
    Memory(MemoryStore),
    Sqlite(Arc<tempfile::TempDir>),
    Postgres(String),
}

impl Bank {
    /// Opens another handle, whose cache is separate from those of other handles.
    pub async fn open(&self) -> Highwater {
        self.builder().await.build()
    }

    pub async fn open_rejecting_conflicts(&self) -> Highwater {
        self.builder().await.on_conflict(ConflictPolicy::Reject).build()
    }

    /// Returns the URL by which other processes open it, if they can.
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Memory(_) => None,
            Self::Sqlite(folder) => Some(sqlite_url(folder)),
            Self::Postgres(url) => Some(url.clone()),
        }
    }

    /// Opens the store itself, separate from other handles.
    pub async fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Sqlite(folder) => {
                let options = stores::SqliteOptions::new(&sqlite_url(folder)).unwrap();
                let clock = Arc::new(stores::SystemClock);
                Arc::new(stores::SqliteStore::open(options, clock).await.unwrap())
            }
            Self::Postgres(url) => {
                let options = stores::PostgresOptions::new(url).unwrap();
                Arc::new(stores::PostgresStore::connect(options).await.unwrap())
            }
        }
    }

    pub async fn builder(&self) -> highwater::execute::Builder {
        match self {
            Self::Memory(store) => stores::on(store.clone()),
            Self::Sqlite(folder) => Highwater::builder(&sqlite_url(folder)).await.unwrap(),
            Self::Postgres(url) => Highwater::builder(url).await.unwrap(),
        }
    }
}

fn sqlite_url(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}?prefix=bank_", folder.path().join("bank.db").display())
}

/// Returns an empty store of every kind. Prints a notice if there is no PostgreSQL to test on.
pub fn banks() -> Vec<Bank> {
    let sqlite = Bank::Sqlite(Arc::new(tempfile::tempdir().unwrap()));
    let mut banks = vec![Bank::Memory(MemoryStore::default()), sqlite];
    match env::var(POSTGRES) {
        Ok(url) => {
            let separator = if url.contains('?') { '&' } else { '?' };
            let schema = fastrand::u64(..);
            let parameters = format!("schema=test_{schema:016x}&connections=4");
            banks.push(Bank::Postgres(format!("{url}{separator}{parameters}")));
        }
        Err(_) => skip("a test on PostgreSQL", POSTGRES),
    }
    banks
}
