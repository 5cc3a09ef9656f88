//! The relay and the feeds on a real Kafka: the server in `HIGHWATER_TEST_KAFKA`, with a topic for
//! each test, and private clusters, whose servers the tests kill, pause and restart.
//!
//! | File | Content |
//! |---|---|
//! | `fixture` | a log, a relay, feeds, and a topic for each test |
//! | `member` | a worker that acts as the runtime does |
//! | `records` | records and topics written by another client |
//! | `raw_record` | a record written byte by byte, as no client writes it |
//! | `suite` | the properties of every feed, including the direct one: all events, once, in order
//! (R1, W3) |
//! | `feed` | further properties of the feed from a topic |
//! | `gaps` | events that a topic lacks are read from the log |
//! | `relay` | leaders, zombies, checkpoints, and events that can't be published |
//! | `groups` | workers that join, leave and are displaced |
//! | `instances` | members with an instance name (static membership) |
//! | `rebalance` | partitions that move while records flow |
//! | `errors` | errors that a retry can't fix |
//! | `unknown_records` | records that are not events of the log |
//! | `tls` | TLS, SASL over TLS, and their errors |
//! | `other_clients` | the records as read by other clients |
//! | `outage` | brokers that are killed |
//! | `cluster` | the properties of the private cluster on which other tests rely |
#![cfg(feature = "kafka")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod cluster;
mod errors;
mod feed;
mod fixture;
mod gaps;
mod groups;
mod instances;
mod member;
mod other_clients;
mod outage;
mod raw_record;
mod rebalance;
mod records;
mod relay;
mod suite;
#[cfg(feature = "kafka-tls")]
mod tls;
mod unknown_records;
