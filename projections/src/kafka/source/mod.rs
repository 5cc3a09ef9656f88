//! Feeds of views from Kafka.
//!
//! | File | What is in it |
//! |---|---|
//! | `handle` | [`KafkaSource`]: its options, and how views join it |
//! | `group` | a member of a consumer group: a shard is a partition |
//! | `membership` | the name of the group, and of a member in it |
//! | `keyed` | shards by leases, each of which reads all the partitions in log order |
//! | `feed` | the feed of a shard |
//! | `stall`, `ends` | a client that no longer gets what its partitions have; the ends of partitions |
//! | `merge`, `lane` | several partitions as one sequence; the gaps of a partition, and recreated topics: pure |
//! | `filter` | decodes records, decides which events a feed delivers, reads the log for gaps |
//! | `resume` | the cursor of a feed |
//! | `rebalance`, `consumer` | the rebalances of a group, and how a consumer is configured |
//! | `state`, `report` | the state of a view's connection; reports it, and ends the membership when its client is of no use |

mod consumer;
mod ends;
mod feed;
mod filter;
mod group;
mod handle;
mod keyed;
mod lane;
mod membership;
mod merge;
mod rebalance;
mod report;
mod resume;
mod stall;
mod state;
#[cfg(test)]
mod tests;

pub use filter::ForeignRecords;
pub use handle::KafkaSource;
pub use state::KafkaState;
