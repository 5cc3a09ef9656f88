//! A worker: it keeps the views up to date, fed by Kafka. Any number of them can run; they share the work.

use std::net::SocketAddr;

use bank::{
    serve::{self, Outcome},
    switches::{self, Switches, ThrottledSource},
    workers,
};
use clap::Parser;
use highwater::{
    Highwater, Open as _,
    kafka::KafkaSource,
    service::{Config, Service},
};

/// A worker of the bank. Everything else is configured by the environment: `BANK_STORE` and so on.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The address of the worker's switches. Anyone who can reach it can stop the worker; by default it is not served.
    #[arg(long)]
    switches: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> Outcome {
    let arguments = Arguments::parse();
    let service = Service::new(Config::from_environment("BANK")?)?;
    let bank = Highwater::open(service.config().store.expose()).await?;

    let (kafka, topics) = service.config().kafka()?;
    let kafka = KafkaSource::new(&bank, kafka, topics);
    let switches = Switches::default();
    let source = ThrottledSource::new(kafka.clone(), &switches);
    let worker = workers::worker(&bank, source, service.config());
    let mut service = service.source(&kafka).worker(worker);
    if let Some(address) = arguments.switches {
        let listener = serve::listener("--switches", address).await?;
        service = serve::with_http(service, listener, switches::endpoint(switches));
    }
    Ok(service.run_until_shutdown().await?)
}
