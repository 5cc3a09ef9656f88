//! The properties, one function each. A function that `catalogue.rs` doesn't name is dead code, and
//! a name without a function doesn't compile, so the list and the functions can't diverge.
//!
//! A name begins with the number of the contract that it proves. `r` and `s` stand for further
//! promises of the ports about reading and about snapshots.
#![deny(dead_code)]

mod append;
mod atomic;
mod boundary;
mod changed;
mod divide;
mod exact;
mod follow;
mod head;
mod idempotency;
mod limits;
mod model;
mod parked;
mod query;
mod range;
mod read;
mod refused;
mod script;
mod shard;
mod snapshot;
mod table;
mod tagging;
mod view;
mod worker;
mod world;

use super::Property;

macro_rules! table {
    ([] $($file:ident: $($name:ident)+;)+) => {
        pub(super) const TABLE: &[Property] = &[$($(Property {
            name: stringify!($name),
            holds: |fixture| Box::pin($file::$name(fixture)),
        },)+)+];
    };
}

crate::__highwater_properties! { [table] }
