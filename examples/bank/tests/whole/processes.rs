//! An API, a relay and workers as processes, while commands are under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{PATIENCE, client::Client, fleet::Place};

/// How many customers there are. Each has an account of its own, and all of them send to each other.
const CUSTOMERS: usize = 6;
/// What each begins with for sending, in cents.
const BEGINNING: i64 = 100_000;

/// A customer who, for as long as it is told to, pays in and looks at once, and sends money to the next.
struct Customer {
    client: Client,
    number: usize,
    rounds: watch::Sender<u64>,
    enough: Arc<AtomicBool>,
}

impl Customer {
    /// Gives how often it paid in, and the token of the last time.
    async fn lives(self) -> (usize, i64, String) {
        let (mine, mut paid_in, mut token) = (purse(self.number), 0, String::new());
        while !self.enough.load(Ordering::Relaxed) {
            token = self.client.deposit(&mine, 1).await;
            paid_in += 1;
            // No other client touches this account, so the balance must be exact.
            assert_eq!(self.client.balance_after(&mine, &token).await, paid_in, "{mine}");
            let (from, to) = (shared(self.number), shared((self.number + 1) % CUSTOMERS));
            let transfer = json!({ "from": from, "to": to, "cents": 1 });
            let sent = self.client.send("/transfers", &transfer).await;
            assert_eq!(sent.status, 200, "{}", sent.body);
            self.rounds.send_modify(|rounds| *rounds += 1);
        }
        (self.number, paid_in, token)
    }
}

fn purse(number: usize) -> String {
    format!("purse-{number}")
}

fn shared(number: usize) -> String {
    format!("shared-{number}")
}

/// Waits until the customers have gone round so often more.
async fn more(rounds: &mut watch::Receiver<u64>, count: u64) {
    let until = *rounds.borrow() + count;
    timeout(PATIENCE, rounds.wait_for(|rounds| *rounds >= until)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_r3_nothing_is_lost_and_everybody_reads_their_writes_while_processes_end_and_die() {
    let Some(place) = Place::new("the bank in several processes") else { return };
    let (relay, (one, _), (two, _)) = (place.relay(), place.worker(), place.worker());
    let (api, url) = place.api(&[]).await;
    for serving in [&relay, &one, &two, &api] {
        serving.is_ready().await;
    }
    let client = Client::of(&url);
    for number in 0..CUSTOMERS {
        client.open(&purse(number), 0).await;
        client.open(&shared(number), BEGINNING).await;
    }

    let (enough, (sender, mut rounds)) = (Arc::new(AtomicBool::default()), watch::channel(0));
    let mut customers = JoinSet::new();
    for number in 0..CUSTOMERS {
        let (client, rounds, enough) = (client.clone(), sender.clone(), Arc::clone(&enough));
        customers.spawn(Customer { client, number, rounds, enough }.lives());
    }
    more(&mut rounds, 30).await;
    one.terminates().await;
    more(&mut rounds, 30).await;
    let (three, _) = place.worker();
    three.is_ready().await;
    two.dies().await;
    more(&mut rounds, 30).await;
    let other = place.relay();
    relay.dies().await;
    more(&mut rounds, 30).await;
    enough.store(true, Ordering::Relaxed);

    while let Some(ended) = customers.join_next().await {
        let (number, paid_in, token) = ended.unwrap();
        assert_eq!(client.balance_after(&purse(number), &token).await, paid_in);
        assert_eq!(client.strong_balance(&purse(number)).await, paid_in);
    }
    let accounts = client.get("/accounts?level=strong&within=10s", None).await;
    let accounts: serde_json::Value = accounts.json().await.unwrap();
    let rows = accounts["rows"].as_array().unwrap();
    let shared = rows.iter().filter(|row| row["key"].as_str().unwrap().starts_with("shared"));
    let total: i64 = shared.map(|row| row["value"]["cents"].as_i64().unwrap()).sum();
    assert_eq!(total, BEGINNING * i64::try_from(CUSTOMERS).unwrap(), "{accounts}");
    for serving in [api, three, other] {
        serving.terminates().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_the_switches_of_the_page_reach_the_workers_of_other_processes() {
    let Some(place) = Place::new("the switches of several processes") else { return };
    let relay = place.relay();
    let ((one, door), (two, other)) = (place.worker(), place.worker());
    let (_api, url) = place.api(&[door.clone(), other.clone()]).await;
    for serving in [&relay, &one, &two] {
        serving.is_ready().await;
    }
    let client = Client::of(&url);
    client.open("alice", 5_00).await;
    client.open("bob", 0).await;
    let token = client.deposit("alice", 1_00).await;
    assert_eq!(client.balance_after("alice", &token).await, 6_00);

    let stopped = json!({ "pace": "stopped", "broken": [] });
    client.put("/switches", &stopped).await;
    for door in [&door, &other] {
        let setting: serde_json::Value =
            Client::of(door).get("/switches", None).await.json().await.unwrap();
        assert_eq!(setting, stopped);
    }
    let token = client.deposit("alice", 1_00).await;
    let pending = client.get("/accounts/alice?level=after&within=300ms", Some(&token)).await;
    assert_eq!(pending.status(), 202);
    assert_eq!(client.strong_balance("alice").await, 7_00);

    client.put("/switches", &json!({ "pace": "full", "broken": ["alice"] })).await;
    assert!(client.becomes("alice", "degraded").await);
    assert_eq!(client.get("/accounts/alice?level=strong", None).await.status(), 503);
    let token = client.deposit("bob", 2).await;
    assert_eq!(client.balance_after("bob", &token).await, 2);

    client.put("/switches", &json!({ "pace": "full", "broken": [] })).await;
    assert_eq!(client.send("/parked/alice/retry", &json!({})).await.status, 202);
    assert!(client.becomes("alice", "current").await);
    assert_eq!(client.strong_balance("alice").await, 7_00);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_before_the_first_worker_takes_commands_and_says_that_there_are_no_views() {
    let Some(place) = Place::new("an API without a worker") else { return };
    let (_api, url) = place.api(&[]).await;
    let client = Client::of(&url);
    client.open("alice", 5).await;
    for path in ["/accounts", "/accounts/alice", "/accounts/alice/statement", "/parked"] {
        let answer = client.get(path, None).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert!(answer.headers().contains_key("retry-after"), "{path}");
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((&problem["code"], &problem["next_step"]), (&"HW308".into(), &"retry".into()));
    }
    let ((_worker, _), _relay) = (place.worker(), place.relay());
    client.is_served().await;
    let token = client.deposit("alice", 1).await;
    assert_eq!(client.balance_after("alice", &token).await, 6);
}

impl Client {
    /// Waits until an eventual read of an account has this status.
    async fn becomes(&self, id: &str, status: &str) -> bool {
        let asking = async {
            loop {
                let answer = self.get(&format!("/accounts/{id}?level=eventual"), None).await;
                let said = answer.headers()["highwater-freshness"].to_str().unwrap().to_owned();
                if said.starts_with(status) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, asking).await.is_ok()
    }
}
