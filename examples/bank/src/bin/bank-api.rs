//! The API and the page, on PostgreSQL. Any number of them can run.

use std::net::SocketAddr;

use bank::{
    api,
    serve::{self, Outcome},
    switches::{ControlledWorkers, RemoteSwitches},
};
use clap::Parser;
use highwater::{
    Highwater, Open as _,
    service::{Config, Service},
};

/// The API and the page of the bank. Everything else is configured by the environment: `BANK_STORE` and so on.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The address of the page and the API.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The address of a worker's switches, as http://127.0.0.1:9601; may be repeated. Without it the page has no switches.
    #[arg(long)]
    worker: Vec<String>,
}

#[tokio::main]
async fn main() -> Outcome {
    let arguments = Arguments::parse();
    let service = Service::new(Config::from_environment("BANK")?)?;
    let bank = Highwater::open(service.config().store.expose()).await?;
    let controlled = match arguments.worker {
        workers if workers.is_empty() => ControlledWorkers::None,
        workers => ControlledWorkers::Remote(RemoteSwitches::at(workers)),
    };
    let router = api::router(&bank, controlled, service.config()).await?;
    let listener = serve::listener("--listen", arguments.listen).await?;
    println!("the bank is open at http://{}", listener.local_addr()?);
    Ok(serve::with_http(service, listener, router).run_until_shutdown().await?)
}
