//! Commands and reads over HTTP: how a response tells a browser or another service its freshness, a pending view and
//! an error. The domain is that of `02_bank`.
//!
//! `cargo run --example 15_http`

mod accounts;
mod place;

use std::{io, net::SocketAddr, time::Duration};

use accounts::{Account, Balance, Deposit, Open, Withdraw};
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use highwater::{
    http::{CommandHeaders, Problem, ReadConditions, ReceiptResponse, ViewResponse},
    prelude::*,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A read waits for what its caller has seen, and states the freshness of the view.
async fn show(
    State(bank): State<Highwater>,
    Path(id): Path<String>,
    conditions: ReadConditions,
) -> Result<ViewResponse<Balance>, Problem> {
    let read = bank.view::<Balance>().get(id).after(&conditions).within(Duration::from_secs(3));
    Ok(conditions.answer(read.await?))
}

/// A command is applied once for each `Idempotency-Key`.
async fn deposit(
    State(bank): State<Highwater>,
    Path(id): Path<String>,
    headers: CommandHeaders,
    Json(cents): Json<i64>,
) -> Result<ReceiptResponse, Problem> {
    let account = bank.aggregate::<Account>(id);
    Ok(headers.answer(account.execute(headers.request(Deposit { cents })).await?))
}

async fn withdraw(
    State(bank): State<Highwater>,
    Path(id): Path<String>,
    headers: CommandHeaders,
    Json(cents): Json<i64>,
) -> Result<ReceiptResponse, Problem> {
    let account = bank.aggregate::<Account>(id);
    Ok(headers.answer(account.execute(headers.request(Withdraw { cents })).await?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bank = Highwater::open(&place::sqlite("15_http.db")).await?;
    bank.aggregate::<Account>("alice").execute(Open { owner: "Alice".to_owned() }).await?;
    let worker = Worker::new(&bank).view::<Balance>().start().await?;
    let router = Router::new()
        .route("/accounts/{id}", get(show))
        .route("/accounts/{id}/deposits", post(deposit))
        .route("/accounts/{id}/withdrawals", post(withdraw))
        .with_state(bank);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = Client { address: listener.local_addr()? };
    let serving = tokio::spawn(axum::serve(listener, router).into_future());

    // A command that is sent again, here and in every later run, is applied once.
    let rent = "Idempotency-Key: \"rent of May\"";
    let first = client.post("/accounts/alice/deposits", rent, "90000").await?;
    let again = client.post("/accounts/alice/deposits", rent, "90000").await?;
    println!("{}", first.text);
    assert_eq!((first.status(), first.body()), (200, again.body()));

    // Without a key every request is a command of its own. The token of its response goes into the next request.
    let salary = client.post("/accounts/alice/deposits", "", "250000").await?;
    println!("{}", salary.text);
    let mine = format!("Highwater-Token: {}", salary.header("highwater-token"));
    let balance = client.get("/accounts/alice", &mine).await?;
    println!("{}", balance.text);
    assert_eq!(balance.status(), 200);
    let cached = format!("If-None-Match: {}", balance.header("etag"));
    let cached = client.get("/accounts/alice", &cached).await?;
    println!("{}", cached.text);
    assert_eq!((cached.status(), cached.body()), (304, ""));

    // While no worker runs, the view lacks the latest command: the response is neither an error nor an outdated value.
    worker.stop().await?;
    let later = client.post("/accounts/alice/deposits", "", "1").await?;
    let mine = format!("Highwater-Token: {}", later.header("highwater-token"));
    let pending = client.get("/accounts/alice", &mine).await?;
    println!("{}", pending.text);
    assert_eq!(pending.status(), 202);
    println!("retry after {} s", pending.header("retry-after"));

    // A rejection has the name of the invariant, and the values involved.
    let refused = client.post("/accounts/alice/withdrawals", "", "900000000").await?;
    println!("{}", refused.text);
    assert_eq!(refused.status(), 422);
    assert!(refused.body().contains("never_overdrawn"));
    serving.abort();
    println!("next: cargo run --example 16_policies");
    Ok(())
}

/// A minimal client: one connection for each request.
struct Client {
    address: SocketAddr,
}

impl Client {
    async fn get(&self, path: &str, header: &str) -> io::Result<Reply> {
        self.send(&format!("GET {path} HTTP/1.1"), header, "").await
    }

    async fn post(&self, path: &str, header: &str, body: &str) -> io::Result<Reply> {
        let header = format!("Content-Type: application/json\r\n{header}");
        self.send(&format!("POST {path} HTTP/1.1"), header.trim_end(), body).await
    }

    async fn send(&self, line: &str, header: &str, body: &str) -> io::Result<Reply> {
        println!("> {line}\n> {}\n", header.replace("\r\n", "\n> "));
        let (address, length) = (self.address, body.len());
        let fixed = format!("Host: {address}\r\nConnection: close\r\nContent-Length: {length}");
        let request = format!("{line}\r\n{fixed}\r\n{header}\r\n\r\n{body}");
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(Reply { text: text.replace("\r\n", "\n") + "\n" })
    }
}

/// A response as it was received.
struct Reply {
    text: String,
}

impl Reply {
    fn status(&self) -> u16 {
        self.text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
    }

    fn body(&self) -> &str {
        self.text.split_once("\n\n").unwrap_or_default().1.trim_end()
    }
}
