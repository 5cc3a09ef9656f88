//! Stored values are read back as they were written, or refused: on every store.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use highwater::{
    Code, Error, Highwater, StreamId, Version,
    error::NextStep,
    port::{ReadFrom, Snapshot},
    prelude::*,
    value::SchemaVersion,
};
use highwater_test_support::bank::banks;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "quote")]
enum QuoteEvent {
    Priced {
        price: f64,
    },
    Limited {
        limit: Option<f64>,
    },
    Noted {
        note: Option<Option<String>>,
    },
    Sized {
        size: Size,
    },
    Planned {
        plan: Plan,
    },
    Nested {
        tree: Tree,
    },
    Ticked {
        #[serde(skip)]
        ticks: u32,
        #[serde(with = "in_whole_euros")]
        cents: u64,
    },
}

use QuoteEvent::{Limited, Nested, Noted, Planned, Priced, Sized, Ticked};

/// `Large(3)` is read as `Small(3)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Size {
    Small(u8),
    Large(u64),
}

/// No variant is read: serde buffers an untagged enum, and has no keys of numbers in the buffer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Plan {
    ByDay(BTreeMap<u8, u8>),
    Name(String),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Tree(Vec<Tree>);

impl Tree {
    fn of_depth(depth: usize) -> Self {
        (0..depth).fold(Self::default(), |tree, _| Self(vec![tree]))
    }
}

mod in_whole_euros {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    pub(super) fn serialize<S: Serializer>(cents: &u64, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(*cents / 100)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        u64::deserialize(from).map(|euros| euros * 100)
    }
}

/// Every event that happened, and a sum whose last bit depends on that of each price.
#[derive(Aggregate, Clone, Default, Debug)]
#[aggregate(event = QuoteEvent)]
#[invariant(is_finite, "a price is a number")]
struct Quote {
    events: Vec<QuoteEvent>,
    sum: f64,
}

impl Quote {
    fn apply(&mut self, event: &QuoteEvent) {
        if let Priced { price } = event {
            self.sum = self.sum / 3.0 + price;
        }
        self.events.push(event.clone());
    }

    fn is_finite(&self) -> Check {
        let is_infinite =
            |event: &QuoteEvent| matches!(event, Priced { price } if price.is_infinite());
        Check::that(!self.events.iter().any(is_infinite))
    }
}

struct Record(Vec<QuoteEvent>);

impl Command for Record {
    const NAME: &'static str = "record";

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        out.extend(format!("{:?}", self.0).into_bytes());
        Ok(())
    }
}

impl Decide<Record> for Quote {
    fn decide(&self, Record(events): &Record, _: &Context) -> Decision<QuoteEvent> {
        Ok(events.clone())
    }
}

/// Is refused with the state that it was decided on.
#[derive(Command)]
struct Tell {}

impl Decide<Tell> for Quote {
    fn decide(&self, _: &Tell, _: &Context) -> Decision<QuoteEvent> {
        let bits = self.sum.to_bits();
        Err(Rejection::new("told", format!("{:?} {bits:x}", self.events)))
    }
}

async fn record(bank: &Highwater, events: Vec<QuoteEvent>) -> Result<Receipt, Error> {
    bank.aggregate::<Quote>("q").execute(Record(events)).await
}

/// Returns the state that commands are decided on.
async fn state(bank: &Highwater) -> String {
    let refused = bank.aggregate::<Quote>("q").execute(Tell {}).await.unwrap_err();
    refused.rejection().unwrap().message().to_owned()
}

/// Returns doubles with all their bits at random.
fn doubles(count: usize) -> impl Iterator<Item = f64> {
    let mut bits = 0x2545_F491_4F6C_DD1D_u64;
    let random = std::iter::repeat_with(move || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        f64::from_bits(bits)
    });
    random.filter(|value| value.is_finite() && value.abs() < 1e300).take(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_an_event_that_would_not_be_read_back_is_refused_with_its_field_and_nothing_is_stored() {
    let by_day = BTreeMap::from([(1, 2)]);
    let refused = [
        (Priced { price: f64::NAN }, "event quote.priced can't be stored: field `price`: NaN is"),
        (
            Limited { limit: Some(f64::INFINITY) },
            "event quote.limited can't be stored: field `limit`: inf is not a number",
        ),
        (
            Noted { note: Some(None) },
            "event quote.noted can't be stored: field `note`: a null inside of `Some`",
        ),
        (
            Planned { plan: Plan::ByDay(by_day) },
            "event quote.planned can't be stored: it could not be read again: field `plan`: data did",
        ),
        (
            Nested { tree: Tree::of_depth(200) },
            "event quote.nested can't be stored: it could not be read again: field `tree[0][0]",
        ),
    ];
    for bank in banks() {
        let (here, there) = (bank.open().await, bank.open().await);
        for (event, message) in &refused {
            let good = Noted { note: None };
            let error = record(&here, vec![good, event.clone()]).await.unwrap_err();
            assert_eq!(error.code(), Code::UNSTORABLE, "{error}");
            assert_eq!(error.next_step(), NextStep::FixProgram);
            assert!(error.to_string().starts_with(message), "{error}");
        }
        assert_eq!(here.log().head().await.unwrap().get(), 0);
        record(&here, vec![Nested { tree: Tree::of_depth(100) }]).await.unwrap();
        assert_eq!(state(&here).await, state(&there).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_an_invariant_rejects_also_an_event_that_could_not_be_stored() {
    for bank in banks() {
        let bank = bank.open().await;
        let error = record(&bank, vec![Priced { price: f64::INFINITY }]).await.unwrap_err();
        assert_eq!(error.rejection().unwrap().name(), "is_finite");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_a_state_that_goes_on_in_memory_is_that_of_a_replay() {
    let events = [
        Ticked { ticks: 7, cents: 250 },
        Sized { size: Size::Large(3) },
        Limited { limit: Some(0.1 + 0.2) },
        Noted { note: Some(Some("x".into())) },
    ];
    let read = "[Ticked { ticks: 0, cents: 200 }, Sized { size: Small(3) }, \
                Limited { limit: Some(0.30000000000000004) }, Noted { note: Some(Some(\"x\")) }] 0";
    for bank in banks() {
        let (here, there) = (bank.open().await, bank.open().await);
        for event in &events {
            record(&here, vec![event.clone()]).await.unwrap();
        }
        assert_eq!(state(&here).await, read);
        assert_eq!(state(&there).await, read);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_doubles_are_read_back_bit_by_bit() {
    for bank in banks() {
        let (here, there) = (bank.open().await, bank.open().await);
        let mut expected = Quote::default();
        for price in doubles(2_000) {
            expected.apply(&Priced { price });
        }
        record(&here, expected.events.clone()).await.unwrap();
        let bits = expected.sum.to_bits();
        let expected = format!("{:?} {bits:x}", expected.events);
        assert!(state(&here).await == expected && state(&there).await == expected);
    }
}

#[derive(Command, Clone)]
struct Offer {
    price: f64,
    note: Option<Option<String>>,
}

impl Decide<Offer> for Quote {
    fn decide(&self, _: &Offer, _: &Context) -> Decision<QuoteEvent> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_commands_that_differ_only_in_what_json_lacks_are_told_apart() {
    let offer = |price, note: Option<Option<&str>>| Offer {
        price,
        note: note.map(|note| note.map(str::to_owned)),
    };
    let offers = [
        offer(f64::NAN, None),
        offer(f64::INFINITY, None),
        offer(f64::NEG_INFINITY, None),
        offer(1.0, None),
        offer(1.0, Some(None)),
        offer(1.0, Some(Some(""))),
    ];
    for bank in banks() {
        let bank = bank.open().await;
        let quote = bank.aggregate::<Quote>("q");
        for (number, first) in offers.iter().enumerate() {
            let id = CommandId::derive(["offer", &number.to_string()]);
            quote.execute(Request::new(first.clone()).id(id)).await.unwrap();
            quote.execute(Request::new(first.clone()).id(id)).await.unwrap();
            for other in offers.iter().enumerate().filter(|(other, _)| *other != number) {
                let other = Request::new(other.1.clone()).id(id);
                let error = quote.execute(other).await.unwrap_err();
                assert_eq!(error.code(), Code::COMMAND_ID_REUSED);
            }
        }
    }
}

/// Defines an account as one version of a program has it: all have the same stream, events and schema version.
macro_rules! account {
    ($version:ident, $inside:ident, { $($(#[$serde:meta])* $field:ident: $type:ty),* }, $holds:expr) => {
        mod $version {
            use super::{$inside::Profile, *};

            #[derive(Debug, Clone, Event)]
            #[event(prefix = "account")]
            pub(super) enum AccountEvent {
                Deposited { cents: u64 },
                Limited { cents: u64 },
            }

            #[derive(Aggregate, Clone, Default, Debug)]
            #[aggregate(event = AccountEvent, category = "account", snapshot(every = 2))]
            #[invariant(within_limit, "a balance is within its limit")]
            pub(super) struct Account {
                pub(super) balance: u64,
                $($(#[$serde])* pub(super) $field: $type,)*
            }

            impl Account {
                fn within_limit(&self) -> bool {
                    let holds: fn(&Self) -> bool = $holds;
                    holds(self)
                }
            }

            #[derive(Command)]
            pub(super) struct Change {
                pub(super) deposit: u64,
                pub(super) limit: Option<u64>,
            }

            impl Decide<Change> for Account {
                fn decide(&self, change: &Change, _: &Context) -> Decision<AccountEvent> {
                    let limit = change.limit.map(|cents| AccountEvent::Limited { cents });
                    let deposit = AccountEvent::Deposited { cents: change.deposit };
                    Ok(limit.into_iter().chain([deposit]).collect())
                }
            }
        }
    };
}

account!(before, flat, { profile: Profile }, |_| true);
account!(with_limit, flat, { profile: Profile, limit: Option<u64> }, |account| {
    account.limit.is_none_or(|limit| account.balance <= limit)
});
account!(
    with_limit_if_any,
    flat,
    {
        profile: Profile,
        #[serde(skip_serializing_if = "Option::is_none")] limit: Option<u64>
    },
    |account| account.limit.is_none_or(|limit| account.balance <= limit)
);
account!(with_limit_inside, limited, { profile: Profile }, |account| {
    account.profile.limit.is_none_or(|limit| account.balance <= limit)
});

mod flat {
    #[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
    pub(super) struct Profile {
        pub(super) deposits: u64,
    }
}

mod limited {
    #[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
    pub(super) struct Profile {
        pub(super) deposits: u64,
        pub(super) limit: Option<u64>,
    }
}

impl before::Account {
    fn apply(&mut self, event: &before::AccountEvent) {
        if let before::AccountEvent::Deposited { cents } = event {
            self.balance += cents;
            self.profile.deposits += 1;
        }
    }
}

impl with_limit::Account {
    fn apply(&mut self, event: &with_limit::AccountEvent) {
        match event {
            with_limit::AccountEvent::Deposited { cents } => self.balance += cents,
            with_limit::AccountEvent::Limited { cents } => self.limit = Some(*cents),
        }
    }
}

impl with_limit_if_any::Account {
    fn apply(&mut self, event: &with_limit_if_any::AccountEvent) {
        match event {
            with_limit_if_any::AccountEvent::Deposited { cents } => self.balance += cents,
            with_limit_if_any::AccountEvent::Limited { cents } => self.limit = Some(*cents),
        }
    }
}

impl with_limit_inside::Account {
    fn apply(&mut self, event: &with_limit_inside::AccountEvent) {
        match event {
            with_limit_inside::AccountEvent::Deposited { cents } => self.balance += cents,
            with_limit_inside::AccountEvent::Limited { cents } => self.profile.limit = Some(*cents),
        }
    }
}

/// Executes what an old program knows: it stores the limit, and its state has no place for it.
async fn snapshot_of_old_program(bank: &Highwater) -> Snapshot {
    let account = bank.aggregate::<before::Account>("a");
    account.execute(before::Change { deposit: 60, limit: Some(100) }).await.unwrap();
    let stream = StreamId::new("account", "a").unwrap();
    bank.snapshots().load_snapshot(&stream).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_snapshot_that_lacks_a_field_does_not_bypass_an_invariant_on_it() {
    for bank in banks() {
        let snapshot = snapshot_of_old_program(&bank.open().await).await;
        assert_eq!(snapshot.version, Version::new(2));
        let account = bank.open().await;
        let account = account.aggregate::<with_limit::Account>("a");
        let change = with_limit::Change { deposit: 60, limit: None };
        let error = account.execute(change).await.unwrap_err();
        assert_eq!(error.rejection().unwrap().name(), "within_limit");
    }
}

/// The state that is read has the very bytes of the snapshot: only the shape tells that they lack a field.
#[tokio::test(flavor = "multi_thread")]
async fn w5_a_snapshot_that_lacks_a_field_which_may_be_left_out_does_not_bypass_an_invariant_on_it()
{
    for bank in banks() {
        snapshot_of_old_program(&bank.open().await).await;
        let account = bank.open().await;
        let account = account.aggregate::<with_limit_if_any::Account>("a");
        let change = with_limit_if_any::Change { deposit: 60, limit: None };
        let error = account.execute(change).await.unwrap_err();
        assert_eq!(error.rejection().unwrap().name(), "within_limit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_snapshot_that_lacks_a_field_inside_of_a_field_does_not_bypass_an_invariant_on_it() {
    for bank in banks() {
        snapshot_of_old_program(&bank.open().await).await;
        let account = bank.open().await;
        let account = account.aggregate::<with_limit_inside::Account>("a");
        let change = with_limit_inside::Change { deposit: 60, limit: None };
        let error = account.execute(change).await.unwrap_err();
        assert_eq!(error.rejection().unwrap().name(), "within_limit");
    }
}

/// As they were stored before: the JSON of the state alone.
#[tokio::test(flavor = "multi_thread")]
async fn w5_a_snapshot_without_a_shape_is_not_taken_and_replaced_by_one_that_is() {
    for bank in banks() {
        let here = bank.open().await;
        let stream = StreamId::new("account", "b").unwrap();
        let first = before::Change { deposit: 1, limit: None };
        here.aggregate::<before::Account>("b").execute(first).await.unwrap();
        let begin = ReadFrom::After(Version::NONE);
        let page = here.log().read_stream(&stream, begin, 9).await.unwrap();
        let old = Snapshot {
            stream: stream.clone(),
            version: Version::new(1),
            head: page.events[0].id,
            schema: SchemaVersion::new(1),
            state: (&br#"{"balance":7,"profile":{"deposits":7}}"#[..]).into(),
        };
        here.snapshots().save_snapshot(old.clone()).await.unwrap();
        assert_eq!(here.snapshots().load_snapshot(&stream).await.unwrap(), Some(old));

        let there = bank.open().await;
        let account = there.aggregate::<before::Account>("b");
        assert_eq!(account.load(AsOf::Now).await.unwrap().balance, 1);
        account.execute(before::Change { deposit: 2, limit: None }).await.unwrap();
        let taken = there.snapshots().load_snapshot(&stream).await.unwrap().unwrap();
        assert_eq!(taken.version, Version::new(2));
        let fresh = bank.open().await;
        let fresh = fresh.aggregate::<before::Account>("b").load(AsOf::Now).await.unwrap();
        assert_eq!((fresh.balance, fresh.profile.deposits), (3, 2));
    }
}

/// A state in which JSON has no form for a number, or that is nested too deeply, is not saved: the stream is replayed.
#[derive(Aggregate, Clone, Default, Debug)]
#[aggregate(event = QuoteEvent, snapshot(every = 1))]
struct Average {
    count: f64,
    ratio: f64,
    tree: Tree,
}

impl Average {
    fn apply(&mut self, event: &QuoteEvent) {
        match event {
            Priced { price } => {
                self.ratio = price / self.count;
                self.count += 1.0;
            }
            Nested { tree } => self.tree = Tree(vec![std::mem::take(&mut self.tree), tree.clone()]),
            _ => {}
        }
    }
}

impl Decide<Record> for Average {
    fn decide(&self, Record(events): &Record, _: &Context) -> Decision<QuoteEvent> {
        Ok(events.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_state_that_would_not_be_read_back_has_no_snapshot_and_the_command_stands() {
    for bank in banks() {
        let bank = bank.open().await;
        let average = bank.aggregate::<Average>("q");
        let stream = StreamId::new("average", "q").unwrap();
        average.execute(Record(vec![Priced { price: 0.0 }])).await.unwrap();
        assert!(average.load(AsOf::Now).await.unwrap().ratio.is_nan());
        assert_eq!(bank.snapshots().load_snapshot(&stream).await.unwrap(), None);
        average.execute(Record(vec![Priced { price: 2.0 }])).await.unwrap();
        let version = async || {
            let snapshot = bank.snapshots().load_snapshot(&stream).await.unwrap();
            snapshot.unwrap().version
        };
        assert_eq!(version().await, Version::new(2));
        let step = Nested { tree: Tree::default() };
        average.execute(Record(vec![step; 200])).await.unwrap();
        assert_eq!(version().await, Version::new(2));
    }
}
