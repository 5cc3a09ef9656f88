//! The relay, from PostgreSQL to Kafka. One leads; others stand by.

use bank::serve::Outcome;
use highwater::{
    Highwater, Open as _,
    service::{Config, Service},
};

#[tokio::main]
async fn main() -> Outcome {
    let service = Service::new(Config::from_environment("BANK")?)?;
    let bank = Highwater::open(service.config().store.expose()).await?;
    let relay = service.config().relay(&bank)?;
    Ok(service.relay(relay).run_until_shutdown().await?)
}
