//! The relay: it publishes the log on Kafka, in order.
//!
//! A relay waits for a lease in the view store, publishes as long as it holds it, and starts again after
//! every error. The states are those of [`RelayStatus`]:
//!
//! ```text
//! start ──▶ Waiting ──────────────────▶ claimed ───────────────────────▶ Leading ◀─┐ every
//!              ▲     the lease is free           the first checkpoint      │  │    │ checkpoint
//!              │                                                           │  └────┘
//!              │◀──────────────────────────────────────────────────────────┤
//!              │       displaced: the lease ran out, another relay leads   │
//!              │                                                           │ an error, or no broker
//!              │ another relay                                             ▼ answers
//!              │ holds the lease                                 ┌──────────────────┐
//!              └──────────────────────────────────────────────── │ Failing,         │
//!                                                                │ RecordTooLarge   │
//!            claimed ◀────────────────────────────────────────── └──────────────────┘ ──▶ Leading
//!              after a pause of 100 ms to 10 s, if the lease is free          the next checkpoint, if
//!                                                                    the client reached a broker itself
//! ```
//!
//! An event that doesn't fit into a record makes the state `RecordTooLarge` instead of `Failing`; the
//! relay never skips it. Settings that the client refuses end the relay: no retry cures them. On shutdown a leader waits up to 5 s for what it has sent, commits the
//! checkpoint and releases the lease, in every state.
//!
//! | File | What is in it |
//! |---|---|
//! | `handle` | [`Relay`]: its options, and how it is run |
//! | `settings` | the options as the other files read them |
//! | `lead` | one leader at a time, by a lease in the view store |
//! | `publish` | reads the log and sends it, events and marks, and counts them in the metrics |
//! | `marks` | when a partition is due for a mark: pure |
//! | `chains` | the last event in each partition: pure |
//! | `producer` | sends records, and waits for their acknowledgements |
//! | `checkpoint` | commits the progress of what is acknowledged |
//! | `topics` | creates topics, or checks them |
//! | `status` | the public status, and how it is reported |

mod chains;
mod checkpoint;
mod handle;
mod lead;
mod marks;
mod producer;
mod publish;
mod settings;
mod status;
mod topics;

pub use handle::Relay;
pub use status::RelayStatus;
