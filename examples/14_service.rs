//! A worker as a service: it is configured from a file and the environment, answers probes, exports metrics to
//! Prometheus, and drains on shutdown.
//!
//! `cargo run --example 14_service` runs a short demonstration. With a file, `cargo run --example
//! 14_service -- worker.toml`, it serves until SIGTERM or Ctrl-C; variables such as `BANK_STORE` or
//! `BANK_HTTP__LISTEN` take precedence over the file.

mod place;

use std::{env, io, net::SocketAddr, time::Duration};

use highwater::{
    prelude::*,
    service::{Config, Service},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Deposited { cents: i64 },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = AccountEvent)]
struct Account;

impl Account {
    fn apply(&mut self, _: &AccountEvent) {}
}

#[derive(Command)]
struct Deposit {
    cents: i64,
}

impl Decide<Deposit> for Account {
    fn decide(&self, deposit: &Deposit, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Deposited { cents: deposit.cents }])
    }
}

#[derive(View, Default, Clone)]
#[view(event = AccountEvent, by_stream = Account)]
struct Balances {
    cents: i64,
}

impl Balances {
    fn fold(&mut self, event: &AccountEvent, _: &Envelope) {
        let AccountEvent::Deposited { cents } = event;
        self.cents += cents;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match env::args().nth(1) {
        Some(file) => serve(Config::load(file, "BANK")?).await?,
        None => show().await?,
    }
    Ok(())
}

/// A complete worker service, which runs until SIGTERM or Ctrl-C.
async fn serve(config: Config) -> highwater::Result<()> {
    let (service, _) = service(config).await?;
    service.run_until_shutdown().await
}

/// Creates the service before opening the store: it sets up logs and metrics.
async fn service(config: Config) -> highwater::Result<(Service, Highwater)> {
    let service = Service::new(config)?;
    let bank = Highwater::open(service.config().store.expose()).await?;
    let options = service.config().options("balances");
    let worker = Worker::new(&bank).view_with::<Balances>(options);
    Ok((service.worker(worker), bank))
}

/// Runs a service, queries it as an orchestrator and Prometheus do, and shuts it down.
async fn show() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::of(place::sqlite("14_service.db"));
    config.log.level = "warn".into();
    config.http.listen = free_address().await?;
    let address = config.http.listen;
    let (service, bank) = service(config).await?;
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(service.run(async { drop(stopped.await) }));

    until_ready(address).await;
    let receipt = bank.aggregate::<Account>("alice").execute(Deposit { cents: 50_00 }).await?;
    let balance = bank.view::<Balances>().get("alice").after(&receipt).await?;
    println!("alice has {} cents as of {}", balance.cents, balance.freshness());
    println!("/ready says {}", ask(address, "/ready").await?);
    let metrics = ask(address, "/metrics").await?;
    let counted = "highwater_projection_events_total";
    for line in metrics.lines().filter(|line| line.starts_with(counted)) {
        println!("/metrics says {line}");
    }

    // The same as SIGTERM in `serve`.
    stop.send(()).map_err(|()| "the service has already ended")?;
    serving.await??;
    println!("the service has drained and released its shards");
    println!("next: cargo run --example 15_http");
    Ok(())
}

async fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").await?.local_addr()
}

/// Waits as an orchestrator does before it sends requests: the worker creates the view first.
async fn until_ready(address: SocketAddr) {
    while !ask(address, "/ready").await.is_ok_and(|body| body.starts_with(r#"{"ready":true"#)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the body of a response; a probe would check only its status.
async fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(body.to_owned())
}
