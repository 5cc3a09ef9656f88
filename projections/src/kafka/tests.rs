use std::sync::Arc;

use highwater_core::Highwater;
use highwater_stores::{MemoryStore, SystemClock, SystemIds};

use super::*;

#[test]
fn public_handles_show_their_settings_and_neither_locks_nor_channels() {
    let store = Arc::new(MemoryStore::default());
    let bank = Highwater::with_store(&store, SystemClock, SystemIds).build();
    let kafka = Kafka::at("broker:9092").setting("sasl.password", "hunter2");
    let relay = Relay::new(&bank, kafka.clone(), Topics::one("bank")).named("bank");
    let source = KafkaSource::new(&bank, kafka, Topics::one("bank"));
    let kafka = r#"Kafka { bootstrap: "broker:9092", settings: ["sasl.password"] }"#;
    let topics = r#"Topics(One("bank"))"#;
    let status = "status: Waiting";
    let expected =
        format!(r#"Relay {{ name: "bank", kafka: {kafka}, topics: {topics}, {status}, .. }}"#);
    assert_eq!(format!("{relay:?}"), expected);
    let expected = format!("KafkaSource {{ kafka: {kafka}, topics: {topics}, .. }}");
    assert_eq!(format!("{source:?}"), expected);
}
