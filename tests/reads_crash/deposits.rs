//! Deposits into random accounts, and the rows that they lead to.

use std::{collections::BTreeMap, time::Duration};

use highwater::{CommandId, Highwater, Receipt, Views as _};
use highwater_test_support::{
    bank::Balance,
    tally::{Counting, Tally},
};
use tokio::time::Instant;

use crate::fixture::deposit;

/// The number of deposits of each account.
#[derive(Default)]
pub(crate) struct Deposits(BTreeMap<String, u64>);

impl Deposits {
    /// Deposits a cent.
    pub(crate) async fn write(&mut self, bank: &Highwater) -> Receipt {
        let account = format!("account-{}", fastrand::u32(..20));
        let id = CommandId::derive([fastrand::u64(..).to_be_bytes()]);
        let receipt = deposit(bank, &account, id).await;
        *self.0.entry(account).or_default() += 1;
        receipt
    }

    /// Deposits a cent again and again for this long.
    pub(crate) async fn write_for(&mut self, bank: &Highwater, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.write(bank).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asserts that the rows of both views contain every deposit exactly once.
    pub(crate) async fn are_in_both_views(&self, bank: &Highwater) {
        self.are_in::<Balance>(bank).await;
        self.are_in::<Tally>(bank).await;
    }

    async fn are_in<V: Counting>(&self, bank: &Highwater) {
        let rows = bank.view::<V>().get_many(self.0.keys().cloned()).await.unwrap();
        let found: BTreeMap<String, u64> =
            rows.iter().map(|(key, row)| (key.clone(), row.events())).collect();
        assert_eq!(found, self.0);
    }
}
