//! What `#[derive(Aggregate)]` and `#[derive(Decider)]` write.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use highwater_core::{Aggregate, Check, Decider, domain::SnapshotPolicy};
use highwater_macros::{Aggregate, Decider, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: i64 },
}

/// What accounts cost.
struct Prices;

#[derive(Debug, Clone, Default, PartialEq, Aggregate)]
#[aggregate(
    event = AccountEvent,
    category = "bank.account",
    services = Prices,
    snapshot(every = 100, bytes = 65_536, version = 2)
)]
#[invariant(never_overdrawn, "never debit more than the available balance")]
#[invariant(is_owned, "an account with money has an owner")]
struct Account {
    owner: Option<String>,
    #[serde(rename = "cents")]
    balance: i64,
}

// The trait has an `apply` of its own, and it is in scope here: these must be found all the same.
impl Account {
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents } => self.balance += cents,
        }
    }

    fn never_overdrawn(&self) -> Check {
        Check::that(self.balance >= 0).with("balance", self.balance)
    }

    fn is_owned(&self) -> bool {
        self.balance == 0 || self.owner.is_some()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(every = 1))]
struct Pair(i64, String);

#[derive(Debug, Clone, Default, PartialEq, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(bytes = 1))]
struct TotalOfAll(i64);

#[derive(Debug, Clone, Default, PartialEq, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(every = 1))]
struct Nothing;

#[derive(Debug, Clone, Default, PartialEq, Aggregate)]
#[aggregate(event = AccountEvent)]
enum Door {
    #[default]
    Closed,
    Open,
}

impl Pair {
    fn apply(&mut self, _: &AccountEvent) {}
}

impl TotalOfAll {
    fn apply(&mut self, _: &AccountEvent) {}
}

impl Nothing {
    const fn apply(&mut self, _: &AccountEvent) {}
}

impl Door {
    fn apply(&mut self, event: &AccountEvent) {
        if let AccountEvent::Opened { .. } = event {
            *self = Self::Open;
        }
    }
}

/// Whether a name is free; it has no default, as a boundary is asked about something.
#[derive(Clone, Decider)]
#[decider(event = AccountEvent, services = Prices)]
#[invariant(unique, "a name is given once")]
struct NameIsFree {
    name: String,
    taken: u32,
}

impl NameIsFree {
    fn apply(&mut self, event: &AccountEvent) {
        self.taken +=
            u32::from(matches!(event, AccountEvent::Opened { owner } if *owner == self.name));
    }

    fn unique(&self) -> bool {
        self.taken <= 1
    }
}

fn apply<D: Decider>(state: &mut D, events: &[D::Event]) {
    events.iter().for_each(|event| state.apply(event));
}

fn snapshots<A: Aggregate>() -> SnapshotPolicy<A> {
    A::SNAPSHOTS.unwrap()
}

fn written<A: Aggregate>(state: &A) -> String {
    String::from_utf8((snapshots::<A>().encode)(state).unwrap()).unwrap()
}

fn read<A: Aggregate>(json: &str) -> Result<A, serde_json::Error> {
    (snapshots::<A>().decode)(json.as_bytes())
}

fn ann() -> Account {
    Account { owner: Some("ann".into()), balance: 5 }
}

#[test]
fn the_traits_apply_is_the_users_own() {
    let mut account = Account::default();
    let opened = AccountEvent::Opened { owner: "ann".into() };
    apply(&mut account, &[opened, AccountEvent::Deposited { cents: 5 }]);
    assert_eq!(account, ann());
}

#[test]
fn the_category_is_as_written_or_the_types_name_in_snake_case() {
    assert_eq!(Account::CATEGORY, "bank.account");
    assert_eq!(TotalOfAll::CATEGORY, "total_of_all");
}

#[test]
fn invariants_are_listed_in_order_with_their_statements() {
    let listed = Account::INVARIANTS.iter().map(|invariant| (invariant.name, invariant.statement));
    let expected = [
        ("never_overdrawn", "never debit more than the available balance"),
        ("is_owned", "an account with money has an owner"),
    ];
    assert!(listed.eq(expected));
    assert!(Door::INVARIANTS.is_empty());
}

#[test]
fn an_invariant_that_gives_a_check_shows_its_values() {
    let [never_overdrawn, _] = Account::INVARIANTS else { panic!("two invariants") };
    assert!(never_overdrawn.check(&ann()).is_ok());
    let rejection = never_overdrawn.check(&Account { balance: -1, ..ann() }).unwrap_err();
    assert_eq!(rejection.name(), "never_overdrawn");
    assert_eq!(rejection.value("balance"), Some(&(-1).into()));
}

#[test]
fn an_invariant_may_be_a_plain_condition() {
    let [_, is_owned] = Account::INVARIANTS else { panic!("two invariants") };
    let rejection = is_owned.check(&Account { owner: None, balance: 1 }).unwrap_err();
    assert_eq!(rejection.message(), "an account with money has an owner");
}

#[test]
fn a_snapshot_comes_back_as_it_was() {
    assert_eq!(written(&ann()), r#"{"owner":"ann","cents":5}"#);
    assert_eq!(read::<Account>(&written(&ann())).unwrap(), ann());
}

#[test]
fn the_shape_of_a_state_names_its_fields_their_types_and_what_serde_is_told() {
    let shape = r#"{owner:Option<String>,#[serde(rename="cents")]balance:i64}"#;
    assert_eq!(snapshots::<Account>().shape, shape);
    assert_eq!(snapshots::<Pair>().shape, "(i64,String);");
    assert_eq!(snapshots::<Nothing>().shape, "{}");
}

#[test]
fn snapshots_of_tuples_and_units_come_back() {
    let pair = Pair(3, "x".into());
    assert_eq!(written(&pair), r#"[3,"x"]"#);
    assert_eq!(read::<Pair>(&written(&pair)).unwrap(), pair);
    assert_eq!(written(&TotalOfAll(3)), "3");
    assert_eq!(read::<TotalOfAll>("3").unwrap(), TotalOfAll(3));
    assert_eq!(read::<Nothing>(&written(&Nothing)).unwrap(), Nothing);
}

#[test]
fn an_undecodable_snapshot_is_an_error_and_never_a_state() {
    for json in ["", "{}", "null", r#"{"owner":"ann"}"#, r#"{"owner":1,"cents":5}"#] {
        assert!(read::<Account>(json).is_err(), "{json:?}");
    }
}

#[test]
fn snapshots_are_taken_as_declared() {
    let snapshots = snapshots::<Account>();
    assert_eq!((snapshots.every, snapshots.bytes, snapshots.schema.get()), (100, 65_536, 2));
    let snapshots = self::snapshots::<TotalOfAll>();
    assert_eq!((snapshots.every, snapshots.bytes, snapshots.schema.get()), (0, 1, 1));
}

#[test]
fn no_snapshots_are_taken_unless_declared() {
    assert!(Door::SNAPSHOTS.is_none());
}

#[test]
fn the_state_may_be_an_enum() {
    let mut door = Door::Closed;
    apply(&mut door, &[AccountEvent::Opened { owner: "ann".into() }]);
    assert_eq!(door, Door::Open);
}

#[test]
fn a_boundary_needs_no_default() {
    let mut free = NameIsFree { name: "ann".into(), taken: 0 };
    let opened = || AccountEvent::Opened { owner: "ann".into() };
    apply(&mut free, &[opened(), AccountEvent::Deposited { cents: 1 }, opened()]);
    assert_eq!(free.taken, 2);
    assert_eq!(NameIsFree::INVARIANTS[0].check(&free).unwrap_err().name(), "unique");
}

#[test]
fn an_aggregate_may_be_declared_in_a_function() {
    #[derive(Clone, Default, Aggregate)]
    #[aggregate(event = AccountEvent, snapshot(every = 1))]
    #[invariant(fine, "all is well")]
    struct Local {
        count: u32,
    }
    impl Local {
        fn apply(&mut self, _: &AccountEvent) {
            self.count += 1;
        }
        fn fine(&self) -> bool {
            true
        }
    }
    let mut local = Local::default();
    apply(&mut local, &[AccountEvent::Deposited { cents: 1 }]);
    assert_eq!(written(&local), r#"{"count":1}"#);
}
