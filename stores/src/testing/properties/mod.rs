//! The properties, one function each. A function that `catalogue.rs` doesn't name is dead code, and
//! a name without a function doesn't compile, so the list and the functions can't diverge.
//!
//! A name begins with the number of the contract that it proves. `r` and `s` stand for further
//! promises of the ports about reading and about snapshots.
//!
//! | File | What is in it |
//! |---|---|
//! | `append`, `atomic`, `boundary` | expectations, batches and conditions of appends (W1, W2, W6) |
//! | `changed` | callers that wait for a view are woken (R3, R4) |
//! | `definition` | the definition by which rows were folded (R5) |
//! | `divide` | resharding (R1) |
//! | `exact` | reads return what was written, byte for byte |
//! | `follow` | followers of the log (W3) |
//! | `generation` | generations of views (R5) |
//! | `head` | the identity of the log and its head, in reads of views (R2, R3) |
//! | `idempotency` | repeated commands (W4) |
//! | `limits` | appends that are too large or malformed |
//! | `model`, `script`, `world` | random steps on the store and on the memory store as its model |
//! | `parked` | parked keys (R4) |
//! | `query` | the events that a query matches |
//! | `range` | rows of a range of keys (R2) |
//! | `read` | pages of a stream and of the log |
//! | `refused` | commits that every store refuses (R1) |
//! | `shard` | leases and epochs of shards (R1) |
//! | `snapshot` | snapshots |
//! | `stop` | shards whose work has stopped (R2) |
//! | `table` | views whose name or columns change (R1, R4) |
//! | `tagging` | tags that are added to stored events (W6) |
//! | `transfer` | logs that are moved to another store (W2, W3, W4) |
//! | `view` | rows and progress of views (R1) |
//! | `worker` | a worker on one shard of a view, for the other files |
#![deny(dead_code)]

mod append;
mod atomic;
mod boundary;
mod changed;
mod definition;
mod divide;
mod exact;
mod follow;
mod generation;
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
mod stop;
mod table;
mod tagging;
mod transfer;
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
