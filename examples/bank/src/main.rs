//! The bank in one process: API, page, worker and store, on embedded SQLite with the direct feed.
//!
//! `cargo run -p highwater-bank`

use std::{env, net::SocketAddr, path::PathBuf};

use bank::{
    api,
    serve::{self, Outcome},
    switches::{ControlledWorkers, Switches, ThrottledSource},
    workers,
};
use clap::Parser;
use highwater::{
    Highwater, Open as _,
    direct::DirectSource,
    service::{Config, Service},
};

/// A bank in one process, on embedded SQLite.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The address of the page and the API.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The address of probes and metrics.
    #[arg(long, default_value = "127.0.0.1:9464")]
    probes: SocketAddr,
    /// The database file of the accounts; created if it doesn't exist.
    #[arg(long, default_value_os_t = default_file())]
    file: PathBuf,
    /// The log level: error, warn, info, debug, or one for each module.
    #[arg(long, default_value = "warn")]
    log: String,
}

/// Returns a file in the folder that `HIGHWATER_EXAMPLE_DIR` names, or in the temporary folder.
fn default_file() -> PathBuf {
    let folder = env::var_os("HIGHWATER_EXAMPLE_DIR");
    folder.map_or_else(env::temp_dir, PathBuf::from).join("highwater-http-bank.db")
}

#[tokio::main]
async fn main() -> Outcome {
    let arguments = Arguments::parse();
    let mut config = Config::of(format!("sqlite:{}", arguments.file.display()));
    config.http.listen = arguments.probes;
    config.log.level = arguments.log;
    let service = Service::new(config)?;
    let bank = Highwater::open(service.config().store.expose()).await?;

    let switches = Switches::default();
    let source = ThrottledSource::new(DirectSource::new(&bank), &switches);
    let worker = workers::worker(&bank, source, service.config());
    let controlled = ControlledWorkers::Local(switches);
    let router = api::router(&bank, controlled, service.config()).await?;

    let listener = serve::listener("--listen", arguments.listen).await?;
    println!("accounts are in {}", arguments.file.display());
    println!("the bank is open at http://{}", listener.local_addr()?);
    Ok(serve::with_http(service.worker(worker), listener, router).run_until_shutdown().await?)
}
