//! A private Kafka cluster, whose servers can be killed, paused and restarted.

mod cluster;
mod metadata;
mod node;

pub use cluster::{Extras, KafkaCluster};
pub use node::free_ports;
