//! A domain whose views reveal every repeated, skipped or reordered event: their folds count, and do not commute. The
//! expected rows come from a fold of the log that is independent of the runtime.

use std::collections::BTreeMap;

use highwater::{
    View,
    domain::{Column, ColumnKind, FoldResult, Index, KeyedBy, Keys},
    port::{EventStore, ReadFrom},
    prelude::*,
};
use serde::{Deserialize, Serialize};

#[derive(Event, Debug, Clone, PartialEq)]
#[event(prefix = "ledger")]
pub enum LedgerEvent {
    /// Money moved on an account, on behalf of a customer who may have several, towards others.
    Moved { customer: String, partners: Vec<String>, cents: i64 },
    /// The account is closed; the next movement opens it again.
    Closed,
}

#[derive(Aggregate, Default, Clone, Debug, PartialEq)]
#[aggregate(event = LedgerEvent)]
pub struct Ledger {
    moves: u64,
}

impl Ledger {
    fn apply(&mut self, _: &LedgerEvent) {
        self.moves += 1;
    }
}

#[derive(Command, Debug, Clone)]
pub struct Move {
    pub customer: String,
    pub partners: Vec<String>,
    pub cents: i64,
}

impl Decide<Move> for Ledger {
    fn decide(&self, step: &Move, _: &Context) -> Decision<LedgerEvent> {
        let Move { customer, partners, cents } = step.clone();
        Ok(vec![LedgerEvent::Moved { customer, partners, cents }])
    }
}

#[derive(Command, Debug, Clone)]
pub struct Close;

impl Decide<Close> for Ledger {
    fn decide(&self, _: &Close, _: &Context) -> Decision<LedgerEvent> {
        Ok(vec![LedgerEvent::Closed])
    }
}

/// The events that a row was folded from: their number, the last one, a digest that depends on all of them and on their
/// order, and their positions, so that a missing one can be named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    pub events: i64,
    pub last: u64,
    pub digest: u64,
    pub cents: i64,
    /// Events that came at or before the last one.
    pub disorder: u64,
    /// The positions of the events, in the order in which they came.
    pub seen: Vec<u64>,
}

impl Trace {
    pub fn see(&mut self, position: u64, cents: i64) {
        self.disorder += u64::from(position <= self.last);
        self.events += 1;
        self.last = position;
        self.seen.push(position);
        self.cents += cents;
        self.digest = self.digest.wrapping_mul(1_000_003).rotate_left(17) ^ position;
    }
}

/// One row for each account: the key is that of the stream. Rows are deleted and created again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByAccount(pub Trace);

/// One row for each customer, whose accounts are many streams.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByCustomer {
    pub cents: i64,
    pub trace: Trace,
}

/// One row for each partner, of whom one event has many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByPartner(pub Trace);

impl View for ByAccount {
    type Event = LedgerEvent;
    const NAME: &'static str = "by_account";
    const KEYED_BY: KeyedBy = KeyedBy::Stream("ledger");

    fn keys(_: &LedgerEvent, envelope: &Envelope, keys: &mut Keys) {
        keys.push(envelope.stream.key());
    }

    fn fold(&mut self, event: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
        Ok(match event {
            LedgerEvent::Moved { cents, .. } => {
                self.0.see(at.position.get(), *cents);
                RowChange::Keep
            }
            LedgerEvent::Closed => RowChange::Delete,
        })
    }
}

impl View for ByCustomer {
    type Event = LedgerEvent;
    const NAME: &'static str = "by_customer";
    const COLUMNS: &'static [Column] = &[Column { name: "cents", kind: ColumnKind::Integer }];
    const INDEXES: &'static [Index] = &[&["cents"]];

    fn keys(event: &LedgerEvent, _: &Envelope, keys: &mut Keys) {
        if let LedgerEvent::Moved { customer, .. } = event {
            keys.push(customer.as_str());
        }
    }

    fn fold(&mut self, event: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
        if let LedgerEvent::Moved { cents, .. } = event {
            self.trace.see(at.position.get(), *cents);
            self.cents += cents;
        }
        Ok(RowChange::Keep)
    }
}

impl View for ByPartner {
    type Event = LedgerEvent;
    const NAME: &'static str = "by_partner";

    fn keys(event: &LedgerEvent, _: &Envelope, keys: &mut Keys) {
        if let LedgerEvent::Moved { partners, .. } = event {
            partners.iter().for_each(|partner| keys.push(partner.as_str()));
        }
    }

    fn fold(&mut self, event: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
        if let LedgerEvent::Moved { cents, .. } = event {
            self.0.see(at.position.get(), *cents);
        }
        Ok(RowChange::Keep)
    }
}

/// The expected rows of the views.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ExpectedRows {
    pub by_account: BTreeMap<String, ByAccount>,
    pub by_customer: BTreeMap<String, ByCustomer>,
    pub by_partner: BTreeMap<String, ByPartner>,
    pub head: u64,
}

/// Folds the log from its beginning, event by event.
pub async fn expected(log: &dyn EventStore) -> ExpectedRows {
    let mut expected = ExpectedRows::default();
    let mut after = highwater::Position::START;
    loop {
        let page = log.read_log(&Query::all(), ReadFrom::After(after), 1_000).await.unwrap();
        for envelope in &page.events {
            for event in envelope.decode::<LedgerEvent>().unwrap() {
                expected.see(envelope, &event);
            }
        }
        after = page.through;
        expected.head = after.get();
        if !page.more {
            return expected;
        }
    }
}

impl ExpectedRows {
    fn see(&mut self, envelope: &Envelope, event: &LedgerEvent) {
        let account = envelope.stream.key().to_owned();
        let position = envelope.position.get();
        let LedgerEvent::Moved { customer, partners, cents } = event else {
            self.by_account.remove(&account);
            return;
        };
        self.by_account.entry(account).or_default().0.see(position, *cents);
        let by_customer = self.by_customer.entry(customer.clone()).or_default();
        by_customer.trace.see(position, *cents);
        by_customer.cents += cents;
        let partners: std::collections::BTreeSet<&String> = partners.iter().collect();
        for partner in partners {
            self.by_partner.entry(partner.clone()).or_default().0.see(position, *cents);
        }
    }
}

/// Executes a random movement on a random account.
pub async fn step(bank: &Highwater, random: &mut fastrand::Rng) -> highwater::Receipt {
    let account = bank.aggregate::<Ledger>(format!("a{}", random.u32(..40)));
    if random.u32(..20) == 0 {
        return account.execute(Close).await.unwrap();
    }
    let customer = format!("c{}", random.u32(..15));
    let partners = (0..random.usize(..4)).map(|_| format!("p{}", random.u32(..25))).collect();
    account.execute(Move { customer, partners, cents: random.i64(-50..50) }).await.unwrap()
}

/// Compares every row of a view with the expected one, once the view has caught up.
pub async fn compare<V: View + PartialEq + std::fmt::Debug>(
    bank: &Highwater,
    expected: &BTreeMap<String, V>,
    head: u64,
    other_keys: impl Iterator<Item = String>,
) {
    use highwater::Views as _;
    let token = highwater::Token::at(highwater::Position::new(head));
    for (key, row) in expected {
        let lookup = bank.view::<V>().get(key).after(&token);
        let found = lookup.within(std::time::Duration::from_secs(60)).find().await.unwrap();
        assert_eq!(found.into_value().as_ref(), Some(row), "row {key:?} of {}", V::NAME);
    }
    for key in other_keys.filter(|key| !expected.contains_key(key)) {
        let lookup = bank.view::<V>().get(&key).after(&token);
        let found = lookup.within(std::time::Duration::from_secs(60)).find().await.unwrap();
        assert_eq!(found.into_value(), None, "row {key:?} of {}", V::NAME);
    }
}

/// Compares every row of the three views.
pub async fn compare_all(bank: &Highwater) {
    let expected = expected(&**bank.log()).await;
    let keys = |prefix: &'static str, count: u32| (0..count).map(move |n| format!("{prefix}{n}"));
    compare(bank, &expected.by_account, expected.head, keys("a", 40)).await;
    compare(bank, &expected.by_customer, expected.head, keys("c", 15)).await;
    compare(bank, &expected.by_partner, expected.head, keys("p", 25)).await;
}
