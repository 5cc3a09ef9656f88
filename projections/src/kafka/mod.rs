//! The log on Kafka: the relay that publishes it, and the source that feeds views from it.
//!
//! | Folder or file | What is in it |
//! |---|---|
//! | `connection` | the bootstrap servers, and settings of the client |
//! | `topics` | which topic an event goes to |
//! | `relay` | publishes the log in order, by one leader at a time |
//! | `source` | feeds views, and fills from the store what a topic lacks |
//! | `record` | encodes an event as a record, and decodes it |
//! | `admin`, `error` | creates and describes topics, classifies errors of the client |
//! | `cursor` | the encoding of cursors |
//! | `drop_in_thread` | drops clients without blocking a task |

mod admin;
mod connection;
mod cursor;
mod drop_in_thread;
mod error;
mod record;
mod relay;
mod source;
#[cfg(test)]
mod tests;
mod topics;

pub use connection::Kafka;
pub use relay::{Relay, RelayStatus};
pub use source::{ForeignRecords, KafkaSource, KafkaState};
pub use topics::Topics;
