//! A client as the API's documentation has it: it sends again under the same key what it doesn't know the
//! outcome of, and asks again for what is pending, with the same token.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::PATIENCE;

/// The pause before a retry; the responses' `Retry-After` has whole seconds.
const SOON: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

/// A command, under a key of its own.
pub(crate) struct Sent {
    pub(crate) status: StatusCode,
    pub(crate) token: String,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn of(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned() }
    }

    /// Sends a command until its outcome is known.
    pub(crate) async fn send(&self, path: &str, body: &Value) -> Sent {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = format!("\"{}\"", KEYS.fetch_add(1, Ordering::Relaxed));
        self.send_as(&key, path, body).await
    }

    pub(crate) async fn send_as(&self, key: &str, path: &str, body: &Value) -> Sent {
        let sending = async {
            loop {
                let url = format!("{}{path}", self.url);
                let request = self.http.post(url).header("idempotency-key", key).json(body);
                match request.send().await {
                    Ok(answer) if !answer.status().is_server_error() => return sent(answer).await,
                    _ => sleep(SOON).await,
                }
            }
        };
        timeout(PATIENCE, sending).await.unwrap()
    }

    /// Waits until a worker has made the views.
    pub(crate) async fn is_served(&self) {
        let asking = async {
            while self.get("/accounts", None).await.status() != StatusCode::OK {
                sleep(SOON).await;
            }
        };
        timeout(PATIENCE, asking).await.unwrap();
    }

    pub(crate) async fn open(&self, id: &str, cents: i64) {
        let opened = self.send("/accounts", &json!({ "id": id, "owner": "Ann" })).await;
        assert_eq!(opened.status, 201);
        if cents > 0 {
            self.deposit(id, cents).await;
        }
    }

    pub(crate) async fn deposit(&self, id: &str, cents: i64) -> String {
        let sent = self.send(&format!("/accounts/{id}/deposits"), &json!({ "cents": cents })).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        sent.token
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Response {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("highwater-token", token);
        }
        request.send().await.unwrap()
    }

    /// The balance once it has this token, however long that takes.
    pub(crate) async fn balance_after(&self, id: &str, token: &str) -> i64 {
        let path = format!("/accounts/{id}?level=after&within=1s");
        let asking = async {
            loop {
                let answer = self.get(&path, Some(token)).await;
                match answer.status() {
                    StatusCode::OK => return cents(answer).await,
                    StatusCode::ACCEPTED => {
                        assert!(answer.headers().contains_key("retry-after"));
                    }
                    other => panic!("{other}: {}", answer.text().await.unwrap()),
                }
            }
        };
        timeout(PATIENCE, asking).await.unwrap()
    }

    pub(crate) async fn strong_balance(&self, id: &str) -> i64 {
        cents(self.get(&format!("/accounts/{id}?level=strong&within=10s"), None).await).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Value {
        let answer = self.http.put(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.json().await.unwrap()
    }
}

async fn sent(answer: Response) -> Sent {
    let status = answer.status();
    let token = answer.headers().get("highwater-token");
    let token = token.map(|token| token.to_str().unwrap().to_owned()).unwrap_or_default();
    let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
    Sent { status, token, body }
}

async fn cents(answer: Response) -> i64 {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    body["cents"].as_i64().unwrap_or_else(|| panic!("{status}: {body}"))
}
