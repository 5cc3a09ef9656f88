//! What `#[derive(View)]` writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod common;

use common::envelope;
use highwater_core::{
    Envelope, Event,
    domain::{EventContext, FoldResult, KeyedBy, Keys, RowChange, View},
};
use highwater_macros::{Aggregate, Event, View};

#[derive(Debug, Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: i64 },
    Sent { to: String },
    Closed,
}

use AccountEvent::{Closed, Deposited, Opened, Sent};

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, category = "bank.account")]
struct Account;

impl Account {
    const fn apply(&mut self, _: &AccountEvent) {}
}

/// With all that can be said of a view.
#[derive(Debug, Clone, Default, PartialEq, View)]
#[view(event = AccountEvent, by_stream = Account, index(owner), index(owner, cents))]
#[view(name = "balances", formerly("saldi", "old_balances"))]
struct Balance {
    #[view(column)]
    #[serde(rename = "holder")]
    owner: String,
    #[view(column)]
    cents: i64,
    deposits: u32,
}

// The trait has a `fold` of its own, and it is in scope here: this must be found all the same.
impl Balance {
    fn fold(&mut self, event: &AccountEvent, _: &EventContext<'_>) -> Result<RowChange, String> {
        match event {
            Opened { owner } => self.owner.clone_from(owner),
            Deposited { cents: 0 } => return Err("nothing was deposited".into()),
            Deposited { cents } => {
                self.cents += cents;
                self.deposits += 1;
            }
            Sent { .. } => {}
            Closed => return Ok(RowChange::Delete),
        }
        Ok(RowChange::Keep)
    }
}

/// With as little as can be said.
#[derive(Debug, Clone, Default, PartialEq, View)]
#[view(event = AccountEvent)]
struct MoneyReceived {
    times: u32,
    by: Vec<String>,
}

impl MoneyReceived {
    fn key(event: &AccountEvent, envelope: &Envelope) -> Option<[String; 2]> {
        let Sent { to } = event else { return None };
        Some([to.clone(), envelope.stream.key().to_owned()])
    }

    fn fold(&mut self, _: &AccountEvent, at: &EventContext<'_>) {
        self.times += 1;
        self.by.push(format!("{} of {}", at.key, at.stream));
    }
}

fn keys<V: View>(event: &V::Event, stream: &str) -> Vec<String> {
    let mut keys = Keys::default();
    V::keys(event, &envelope(stream, event), &mut keys);
    keys.drain().collect()
}

fn fold<V: View>(row: &mut V, event: &V::Event) -> FoldResult {
    let envelope = envelope("account-ann", event);
    row.fold(event, &EventContext { key: "ann", envelope: &envelope })
}

fn written<V: View>(row: &V) -> String {
    serde_json::to_string(row).unwrap()
}

fn read<V: View>(json: &str) -> V {
    serde_json::from_str(json).unwrap()
}

fn ann() -> Balance {
    Balance { owner: "ann".into(), cents: 5, deposits: 1 }
}

#[test]
fn the_name_is_as_written_or_the_structs_in_snake_case() {
    assert_eq!(Balance::NAME, "balances");
    assert_eq!(MoneyReceived::NAME, "money_received");
}

#[test]
fn former_names_are_listed_in_order() {
    assert_eq!(Balance::FORMERLY, ["saldi", "old_balances"]);
    assert!(MoneyReceived::FORMERLY.is_empty());
}

/// Stores keep this text: if it changed, every stored view would seem to be that of another program.
#[test]
fn r5_the_form_of_the_row_has_its_fields_as_they_are_serialised_and_nothing_of_the_table() {
    assert_eq!(Balance::ROW, r#"{#[serde(rename="holder")]owner:String,cents:i64,deposits:u32}"#);
}

#[test]
fn what_is_declared_is_a_well_formed_table() {
    let spec = Balance::spec().unwrap();
    assert_eq!(spec.name.as_str(), "balances");
    assert_eq!((spec.columns.len(), spec.indexes.len()), (2, 2));
    MoneyReceived::spec().unwrap();
}

#[test]
fn a_view_is_keyed_freely_unless_it_is_declared_by_stream() {
    #[derive(Clone, Default, View)]
    #[view(event = AccountEvent, by_stream = "acc_1.x")]
    struct ByCategory;
    impl ByCategory {
        const fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) {}
    }
    assert_eq!(MoneyReceived::KEYED_BY, KeyedBy::Key);
    assert_eq!(Balance::KEYED_BY, KeyedBy::Stream("bank.account"));
    assert_eq!(ByCategory::KEYED_BY, KeyedBy::Stream("acc_1.x"));
}

#[test]
fn the_traits_keys_are_those_of_the_users_key() {
    assert_eq!(keys::<MoneyReceived>(&Sent { to: "bob".into() }, "account-ann"), ["bob", "ann"]);
    assert_eq!(keys::<MoneyReceived>(&Closed, "account-ann"), [""; 0]);
}

#[test]
fn a_view_by_stream_has_the_key_of_the_stream() {
    assert_eq!(keys::<Balance>(&Closed, "bank.account-ann-1"), ["ann-1"]);
}

#[test]
fn a_view_by_stream_may_have_a_key_that_leaves_events_out() {
    #[derive(Clone, Default, View)]
    #[view(event = AccountEvent, by_stream = Account)]
    struct Deposits;
    impl Deposits {
        fn key<'a>(event: &AccountEvent, envelope: &'a Envelope) -> Option<&'a str> {
            matches!(event, Deposited { .. }).then(|| envelope.stream.key())
        }
        const fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) {}
    }
    assert_eq!(keys::<Deposits>(&Deposited { cents: 1 }, "bank.account-ann"), ["ann"]);
    assert_eq!(keys::<Deposits>(&Closed, "bank.account-ann"), [""; 0]);
}

#[test]
fn the_traits_fold_is_the_users_own() {
    let mut row = Balance::default();
    fold(&mut row, &Opened { owner: "ann".into() }).unwrap();
    assert_eq!(fold(&mut row, &Deposited { cents: 5 }).unwrap(), RowChange::Keep);
    assert_eq!(row, ann());
    assert_eq!(fold(&mut row, &Closed).unwrap(), RowChange::Delete);
}

#[test]
fn an_error_of_the_fold_is_kept() {
    let error = fold(&mut ann(), &Deposited { cents: 0 }).unwrap_err();
    assert_eq!(error.to_string(), "nothing was deposited");
}

#[test]
fn a_fold_that_returns_nothing_keeps_the_row() {
    let mut row = MoneyReceived::default();
    assert_eq!(fold(&mut row, &Closed).unwrap(), RowChange::Keep);
    assert_eq!(row.by, ["ann of account-ann"]);
}

#[test]
fn a_row_comes_back_as_it_was() {
    assert_eq!(written(&ann()), r#"{"holder":"ann","cents":5,"deposits":1}"#);
    assert_eq!(read::<Balance>(&written(&ann())), ann());
}

#[test]
fn a_field_that_a_stored_row_lacks_has_the_default_rows_value() {
    #[derive(Debug, Clone, PartialEq, View)]
    #[view(event = AccountEvent)]
    struct Limits {
        cents: i64,
        warn_at: i64,
    }
    impl Default for Limits {
        fn default() -> Self {
            Self { cents: 0, warn_at: 100 }
        }
    }
    impl Limits {
        const fn key<'a>(_: &AccountEvent, _: &'a Envelope) -> &'a str {
            "all"
        }
        const fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) {}
    }
    assert_eq!(read::<Limits>(r#"{"cents":7}"#), Limits { cents: 7, warn_at: 100 });
}

#[test]
fn a_member_that_a_row_has_no_field_for_is_ignored() {
    let row = r#"{"holder":"ann","cents":5,"deposits":1,"color":"red"}"#;
    assert_eq!(read::<Balance>(row), ann());
}

#[test]
fn a_row_of_another_shape_is_an_error_and_never_a_row() {
    for json in ["", "null", "7", r#"{"cents":"five"}"#] {
        assert!(serde_json::from_str::<Balance>(json).is_err(), "{json:?}");
    }
}

#[test]
fn rows_may_be_units_and_have_unnamed_fields() {
    #[derive(Debug, Clone, Default, PartialEq, View)]
    #[view(event = AccountEvent, by_stream = Account)]
    struct Seen;
    #[derive(Debug, Clone, Default, PartialEq, View)]
    #[view(event = AccountEvent, by_stream = Account)]
    struct Count(u64);
    #[derive(Debug, Clone, Default, PartialEq, View)]
    #[view(event = AccountEvent, by_stream = Account)]
    struct Pair(u64, String);
    impl Seen {
        const fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) {}
    }
    impl Count {
        const fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) {
            self.0 += 1;
        }
    }
    impl Pair {
        const fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) {}
    }
    assert_eq!((written(&Seen), read::<Seen>("{}")), ("{}".into(), Seen));
    assert_eq!((written(&Count(3)), read::<Count>("3")), ("3".into(), Count(3)));
    let pair = Pair(3, "x".into());
    assert_eq!((written(&pair), read::<Pair>(r#"[3,"x"]"#)), (r#"[3,"x"]"#.into(), pair));
}

#[test]
fn an_index_has_the_columns_of_the_fields_that_it_names() {
    assert_eq!(Balance::INDEXES, [["holder"].as_slice(), &["holder", "cents"]]);
}

#[test]
fn fields_may_have_the_names_of_the_expansions_variables() {
    #[derive(Debug, Clone, Default, PartialEq, View)]
    #[view(event = AccountEvent, by_stream = Account)]
    struct Odd {
        out: u8,
        from: u8,
        event: u8,
        at: u8,
        keys: u8,
        state: u8,
    }
    impl Odd {
        const fn fold(&mut self, _: &AccountEvent, _: &EventContext<'_>) {}
    }
    let row = Odd { out: 1, from: 2, event: 3, at: 4, keys: 5, state: 6 };
    assert_eq!(read::<Odd>(&written(&row)), row);
}

#[test]
fn a_view_asks_for_its_events_in_its_category_alone() {
    let query = Balance::query().unwrap();
    assert_eq!(query.items[0].types, AccountEvent::NAMES);
    assert_eq!(query.items[0].categories[0].as_str(), "bank.account");
}
