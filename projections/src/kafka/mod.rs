//! The log on Kafka: the relay that publishes it, and the source that feeds views from it.
//!
//! | Room | What is in it |
//! |---|---|
//! | `connection` | where Kafka is, and any setting of its client |
//! | `topics` | which topic an event goes to |
//! | `relay` | publishes the log in order, by one leader at a time |
//! | `source` | feeds views, and fills from the store what a topic lacks |
//! | `record` | an event as a record, and back |
//! | `admin`, `trouble`, `cursor` | making topics, what errors mean, where one goes on |

mod admin;
mod connection;
mod cursor;
mod elsewhere;
mod record;
mod relay;
mod source;
mod topics;
mod trouble;

pub use connection::Kafka;
pub use relay::{Relay, RelayStatus};
pub use source::{ForeignRecords, KafkaSource, KafkaState};
pub use topics::Topics;
