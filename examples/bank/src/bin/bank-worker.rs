//! A worker: it keeps up the views, fed by Kafka. There may be many; they share the work.

use std::net::SocketAddr;

use bank::{
    serve::{self, Outcome},
    switches::{Braked, Switches, door},
    workers,
};
use clap::Parser;
use highwater::{
    Highwater, Open as _,
    projections::kafka::KafkaSource,
    service::{Config, Service},
};

/// A worker of the bank. Everything else is told by the environment: `BANK_STORE` and so on.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where its switches can be set. Whoever reaches this address can stop the worker: there is no such
    /// door unless it is asked for.
    #[arg(long)]
    door: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> Outcome {
    let arguments = Arguments::parse();
    let service = Service::new(Config::from_environment("BANK")?)?;
    let bank = Highwater::open(service.config().store.expose()).await?;

    let (kafka, topics) = service.config().kafka()?;
    let (kafka, switches) = (KafkaSource::new(&bank, kafka, topics), Switches::default());
    let source = Braked::new(kafka.clone(), &switches);
    let worker = workers::worker(&bank, source, service.config());
    let mut service = service.source(&kafka).worker(worker);
    if let Some(address) = arguments.door {
        let listener = serve::listener("--door", address).await?;
        service = serve::answering(service, listener, door(switches));
    }
    Ok(service.run_until_shutdown().await?)
}
