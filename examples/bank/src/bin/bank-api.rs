//! The API and the page, on PostgreSQL. There may be many.

use std::net::SocketAddr;

use bank::{
    api,
    serve::{self, Outcome},
    switches::{Crew, Doors},
};
use clap::Parser;
use highwater::{
    Highwater, Open as _,
    service::{Config, Service},
};

/// The API and the page of the bank. Everything else is told by the environment: `BANK_STORE` and so on.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the page and the API are.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The door of a worker, as http://127.0.0.1:9601; once for each. Without one the page has no switches.
    #[arg(long)]
    worker: Vec<String>,
}

#[tokio::main]
async fn main() -> Outcome {
    let arguments = Arguments::parse();
    let service = Service::new(Config::from_environment("BANK")?)?;
    let bank = Highwater::open(service.config().store.expose()).await?;
    let crew = match arguments.worker {
        workers if workers.is_empty() => Crew::Nobody,
        workers => Crew::Elsewhere(Doors::at(workers)),
    };
    let router = api::router(&bank, crew, service.config()).await?;
    let listener = serve::listener("--listen", arguments.listen).await?;
    println!("the bank is open at http://{}", listener.local_addr()?);
    Ok(serve::answering(service, listener, router).run_until_shutdown().await?)
}
