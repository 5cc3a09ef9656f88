//! A second view of the bank by account, sharded by key: each shard reads every partition.

use highwater::{
    View,
    domain::{FoldResult, Keys},
    prelude::*,
};
use serde::{Deserialize, Serialize};

use crate::bank::{AccountEvent, Balance};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub events: u64,
}

impl View for Tally {
    type Event = AccountEvent;
    const NAME: &'static str = "tallies";

    fn keys(_: &AccountEvent, envelope: &Envelope, keys: &mut Keys) {
        keys.push(envelope.stream.key());
    }

    fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) -> FoldResult {
        self.events += 1;
        Ok(RowChange::Keep)
    }
}

/// A view whose rows count the events of an account.
pub trait Counting: View {
    fn events(&self) -> u64;
}

impl Counting for Balance {
    fn events(&self) -> u64 {
        self.events
    }
}

impl Counting for Tally {
    fn events(&self) -> u64 {
        self.events
    }
}
