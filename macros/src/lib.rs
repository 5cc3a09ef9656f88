//! The derive macros of Highwater: they write the code that every domain module would repeat.
//!
//! Each derive has a folder: `parse` reads the user's code into the `model`, `validate` reports the errors that
//! the compiler would miss or explain badly, `expand` writes the implementation. All errors of one type are
//! reported together, each at its place in the source. The guide describes the generated code, in
//! `docs/guide/macros.md`.
//!
//! | Folder | What is in it |
//! |---|---|
//! | `command` | `#[derive(Command)]` |
//! | `decider` | `#[derive(Aggregate)]` and `#[derive(Decider)]` |
//! | `event` | `#[derive(Event)]` |
//! | `view` | `#[derive(View)]` |
//! | `shared` | code that the derives share |

mod command;
mod decider;
mod event;
mod shared;
mod view;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `Event` for an enum: one variant for each kind of event.
///
/// Above the enum:
///
/// - `#[event(prefix = "account")]`: the type name of a variant is the prefix, a dot and the
///   variant's name in `snake_case`, for example `account.money_deposited`.
/// - `#[event(retired("account.frozen"))]`: old type names without a meaning today. Their events are
///   skipped when they are decoded.
///
/// At a variant, which has named fields, none, or a single unnamed one whose JSON is the payload:
///
/// - `#[event(name = "account.opened")]`: the whole type name, which replaces prefix and variant name.
/// - `#[event(formerly("account.created"))]`: earlier names of the type.
/// - `#[event(version = 3, upcast(OpenedV1, OpenedV2))]`: the schema version that is written, and
///   the payload types of the versions before it. Each implements `Deserialize` and `Upcast`; the
///   last one's `Next` is the enum.
///
/// At a field:
///
/// - `#[event(tag)]`: the event has the tag `field:value`; `#[event(tag = "customer")]` gives the
///   tag another name.
/// - `#[serde(…)]`: as in a struct that derives `Serialize` and `Deserialize`; also at a variant,
///   for what serde takes above a struct. The enum itself derives neither.
///
/// With `#[event(any_of)]` above it the enum is a union instead: each variant wraps another event,
/// `Account(AccountEvent)`, and has the names, versions and tags of all of them. A view or a projection over
/// several kinds of streams is folded from a union.
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn event(input: TokenStream) -> TokenStream {
    expand(event::derive, parse_macro_input!(input))
}

/// Implements `Command` for a struct.
///
/// - `#[command(name = "withdraw")]`: the name; the struct's name in `snake_case` by default.
/// - `#[command(aggregate = Account, target = account)]`: implements `Targeted`, too: the command
///   is for the `Account` whose key is in the field `account`.
#[proc_macro_derive(Command, attributes(command, serde))]
pub fn command(input: TokenStream) -> TokenStream {
    expand(command::derive, parse_macro_input!(input))
}

/// Implements `Aggregate` and `Decider` for the state of one stream.
///
/// The type has an inherent function `fn apply(&mut self, event: &AccountEvent)`, and one function
/// of the form `fn name(&self) -> bool` or `-> Check` for each invariant.
///
/// - `#[aggregate(event = AccountEvent)]`: the events that change it; required.
/// - `#[aggregate(category = "account")]`: the category of its streams; the type's name in
///   `snake_case` by default.
/// - `#[aggregate(services = Prices)]`: the services that decisions call; `()` by default.
/// - `#[aggregate(snapshot(every = 100, bytes = 65536, version = 2))]`: after how many events or
///   bytes a snapshot is taken (at least one of the two), and the schema version of the state,
///   which is 1 by default. Without it no snapshots are taken. A stored snapshot is used only if the
///   fields of the state and their types are still the same.
/// - `#[invariant(never_overdrawn, "never debit more than the available balance")]`, any number of
///   times: a rule that holds for every state, checked by the function of this name.
#[proc_macro_derive(Aggregate, attributes(aggregate, invariant, serde))]
pub fn aggregate(input: TokenStream) -> TokenStream {
    expand(decider::derive_aggregate, parse_macro_input!(input))
}

/// Implements `Decider` alone, for a decision over a query instead of a stream: `Boundary` is
/// written by hand beside it.
///
/// It takes `#[decider(event = …, services = …)]` and `#[invariant(…)]`, which mean the same as on
/// an aggregate.
#[proc_macro_derive(Decider, attributes(decider, invariant))]
pub fn decider(input: TokenStream) -> TokenStream {
    expand(decider::derive_decider, parse_macro_input!(input))
}

/// Implements `View` for the rows of a read model, which are folded from events.
///
/// The type has two inherent functions: `fn key(event: &AccountEvent, envelope: &Envelope)`, which
/// returns a key, an `Option`, a `Vec` or an array of them, and
/// `fn fold(&mut self, event: &AccountEvent, at: &EventContext)`, which returns nothing, a `RowChange`, or a
/// `Result` of one of those.
///
/// - `#[view(event = AccountEvent)]`: the events that rows are folded from; required.
/// - `#[view(name = "balances")]`: its name; the struct's name in `snake_case` by default.
/// - `#[view(formerly("old_balances"))]`: earlier names of the view.
/// - `#[view(by_stream = Account)]`: each row has the events of one stream of this aggregate; a
///   string names the category itself. The key is that of the stream unless there is a `key`.
/// - `#[view(event = …, index(owner), index(owner, cents))]`: secondary indexes, each over fields that
///   are columns. Beside `event`, as clippy takes them for duplicates elsewhere.
///
/// At a field:
///
/// - `#[view(column)]`: the database also has a column for the field, for queries in plain SQL. Its
///   name is that of the field in the row's JSON, its kind that of the field's type;
///   `#[view(column = "text")]` gives the kind (`text`, `integer`, `real`, `boolean`) where the type
///   doesn't.
/// - `#[serde(…)]`: as in a struct that derives `Serialize` and `Deserialize`; also above the struct.
///   The struct itself derives neither: both are implemented here. A field that a stored row lacks
///   has the value that it has in the default row.
#[proc_macro_derive(View, attributes(view, serde))]
pub fn view(input: TokenStream) -> TokenStream {
    expand(view::derive, parse_macro_input!(input))
}

fn expand(
    derive: impl Fn(DeriveInput) -> syn::Result<proc_macro2::TokenStream>,
    input: DeriveInput,
) -> TokenStream {
    derive(input).unwrap_or_else(syn::Error::into_compile_error).into()
}
