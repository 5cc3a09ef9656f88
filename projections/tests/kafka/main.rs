//! The relay and the feeds on a real Kafka: the one that `HIGHWATER_TEST_KAFKA` names, with a topic of
//! its own for each test, and clusters whose servers the tests kill, stop and start again.
//!
//! | File | What is in it |
//! |---|---|
//! | `fixture` | a log, a relay, feeds, and a topic of the test's own |
//! | `member` | a worker as the runtime is one |
//! | `records` | records and topics by a foreign hand |
//! | `raw_record` | a record byte by byte, as no client would write it |
//! | `suite` | what every feed does, the direct one too: all, once, in order (R1, W3) |
//! | `feed` | what a topic delivers beside that |
//! | `gaps` | what a topic lacks is read from the log |
//! | `relay` | leaders, zombies, checkpoints, and what can't be published |
//! | `groups` | workers that come, go and are displaced |
//! | `instances` | members with a name of their own |
//! | `rebalance` | partitions that move while records flow |
//! | `errors` | what is wrong and can't be mended by trying again |
//! | `unknown_records` | records that are not ours, or not any more |
//! | `tls` | TLS and SASL over it, and what can be wrong with them |
//! | `other_clients` | what other clients make of the records |
//! | `outage` | brokers that are killed |
//! | `cluster` | that the cluster does what the other tests rely on |
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
