//! Commands and reads over HTTP: what a browser or another service is told of how fresh an answer is, of what it
//! has not got yet, and of what went wrong. The domain is that of `02_bank`.
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

/// A read waits for what its caller has seen, and says what the view is like.
async fn show(
    State(bank): State<Highwater>,
    Path(id): Path<String>,
    after: ReadConditions,
) -> Result<ViewResponse<Balance>, Problem> {
    let read = bank.view::<Balance>().get(id).after(&after).within(Duration::from_secs(3));
    Ok(after.answer(read.await?))
}

/// A command is done once for each `Idempotency-Key`.
async fn deposit(
    State(bank): State<Highwater>,
    Path(id): Path<String>,
    intent: CommandHeaders,
    Json(cents): Json<i64>,
) -> Result<ReceiptResponse, Problem> {
    let account = bank.aggregate::<Account>(id);
    Ok(intent.answer(account.execute(intent.request(Deposit { cents })).await?))
}

async fn withdraw(
    State(bank): State<Highwater>,
    Path(id): Path<String>,
    intent: CommandHeaders,
    Json(cents): Json<i64>,
) -> Result<ReceiptResponse, Problem> {
    let account = bank.aggregate::<Account>(id);
    Ok(intent.answer(account.execute(intent.request(Withdraw { cents })).await?))
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

    // A command that is sent again, here and in every further run, is done once.
    let rent = "Idempotency-Key: \"rent of May\"";
    let first = client.post("/accounts/alice/deposits", rent, "90000").await?;
    let again = client.post("/accounts/alice/deposits", rent, "90000").await?;
    println!("{}", first.text);
    assert_eq!((first.status(), first.body()), (200, again.body()));

    // The token of an answer goes into the next request.
    let mine = format!("Highwater-Token: {}", first.header("highwater-token"));
    let balance = client.get("/accounts/alice", &mine).await?;
    println!("{}", balance.text);
    assert_eq!(balance.status(), 200);
    let kept = format!("If-None-Match: {}", balance.header("etag"));
    let kept = client.get("/accounts/alice", &kept).await?;
    println!("{}", kept.text);
    assert_eq!((kept.status(), kept.body()), (304, ""));

    // While nobody feeds the view, what has just been done isn't in it: that is no error, and no wrong answer.
    worker.stop().await?;
    let later = client.post("/accounts/alice/deposits", "", "1").await?;
    let mine = format!("Highwater-Token: {}", later.header("highwater-token"));
    let pending = client.get("/accounts/alice", &mine).await?;
    println!("{}", pending.text);
    assert_eq!(pending.status(), 202);
    println!("it may be asked for again in {} s", pending.header("retry-after"));

    // The domain's no has a name, and the values that make it.
    let refused = client.post("/accounts/alice/withdrawals", "", "900000000").await?;
    println!("{}", refused.text);
    assert_eq!(refused.status(), 422);
    assert!(refused.body().contains("never_overdrawn"));
    serving.abort();
    println!("next: cargo run --example 16_policies");
    Ok(())
}

/// The least of a client: one connection for each request.
struct Client {
    address: SocketAddr,
}

impl Client {
    async fn get(&self, path: &str, header: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1"), header, "").await
    }

    async fn post(&self, path: &str, header: &str, body: &str) -> io::Result<Answer> {
        let header = format!("Content-Type: application/json\r\n{header}");
        self.send(&format!("POST {path} HTTP/1.1"), header.trim_end(), body).await
    }

    async fn send(&self, line: &str, header: &str, body: &str) -> io::Result<Answer> {
        println!("> {line}\n> {}\n", header.replace("\r\n", "\n> "));
        let (address, length) = (self.address, body.len());
        let fixed = format!("Host: {address}\r\nConnection: close\r\nContent-Length: {length}");
        let request = format!("{line}\r\n{fixed}\r\n{header}\r\n\r\n{body}");
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(Answer { text: text.replace("\r\n", "\n") + "\n" })
    }
}

/// An answer as it came.
struct Answer {
    text: String,
}

impl Answer {
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
