//! The bank over HTTP, in one process.

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{PATIENCE, bank::Bank, client::Client};

#[tokio::test]
async fn w4_a_command_that_is_sent_again_under_its_key_is_done_once() {
    let bank = Bank::open().await;
    let client = Client::of(&bank.url);
    client.open("alice", 10_00).await;
    let (path, body) = ("/accounts/alice/withdrawals", json!({ "cents": 7_00 }));
    let first = client.send_as("\"rent\"", path, &body).await;
    let again = client.send_as("\"rent\"", path, &body).await;
    assert_eq!((first.status.as_u16(), &first.body), (200, &again.body));
    assert_eq!(client.balance_after("alice", &again.token).await, 3_00);

    let other = client.send_as("\"rent\"", path, &json!({ "cents": 1_00 })).await;
    assert_eq!((other.status.as_u16(), &other.body["code"]), (422, &json!("HW601")));
}

#[tokio::test]
async fn w2_w5_a_transfer_changes_both_accounts_or_neither_and_says_why_not() {
    let bank = Bank::open().await;
    let client = Client::of(&bank.url);
    client.open("alice", 10_00).await;
    client.open("bob", 0).await;
    let transfer = |from: &str, to: &str, cents: i64| {
        let (client, body) = (client.clone(), json!({ "from": from, "to": to, "cents": cents }));
        async move { client.send("/transfers", &body).await }
    };
    assert_eq!(transfer("alice", "bob", 4_00).await.status, 200);
    let refused = transfer("alice", "bob", 6_01).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.body["invariant"], "never_overdrawn");
    assert_eq!(refused.body["values"]["balance"], -1);
    assert_eq!(transfer("alice", "nobody", 1).await.body["invariant"], "account_open");
    assert_eq!(transfer("alice", "alice", 1).await.body["invariant"], "two_accounts");
    assert_eq!(client.strong_balance("alice").await, 6_00);
    assert_eq!(client.strong_balance("bob").await, 4_00);
}

#[tokio::test]
async fn r3_a_token_survives_a_restart_and_what_is_pending_says_so() {
    let bank = Bank::open().await;
    let client = Client::of(&bank.url);
    client.open("alice", 0).await;
    client.put("/switches", &json!({ "pace": "stopped" })).await;
    let waits = client.send("/accounts/alice/deposits?wait=100ms", &json!({ "cents": 5 })).await;
    assert_eq!((waits.status.as_u16(), &waits.body["status"]), (202, &json!("pending")));
    let answer = client.get("/accounts/alice?level=after&within=100ms", Some(&waits.token)).await;
    assert_eq!(answer.status(), 202);
    assert!(answer.headers().contains_key("retry-after"));
    let stale = "/accounts/alice?level=after&within=100ms&fallback=serve_stale";
    let stale = client.get(stale, Some(&waits.token)).await;
    assert!(stale.headers()["highwater-freshness"].to_str().unwrap().contains("basis=stale"));

    let bank = bank.reopened().await;
    let client = Client::of(&bank.url);
    assert_eq!(client.balance_after("alice", &waits.token).await, 5);
    let applied = client.send("/accounts/alice/deposits?wait=10s", &json!({ "cents": 5 })).await;
    assert_eq!((applied.status.as_u16(), &applied.body["status"]), (200, &json!("applied")));
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_request_that_is_under_way_is_answered_before_the_bank_ends() {
    let bank = Bank::open().await;
    let client = Client::of(&bank.url);
    client.open("alice", 0).await;
    client.put("/switches", &json!({ "pace": "stopped" })).await;
    let waiting = client.clone();
    let waiting = tokio::spawn(async move {
        waiting.send("/accounts/alice/deposits?wait=3s", &json!({ "cents": 5 })).await
    });
    // What is stored is seen by a strong read, while the answer to it waits for the view.
    let stored = async { while client.strong_balance("alice").await != 5 {} };
    timeout(PATIENCE, stored).await.unwrap();
    let folder = bank.ends().await;
    assert_eq!(waiting.await.unwrap().status, 202);
    drop(folder);
}

#[tokio::test]
async fn what_cannot_be_understood_is_told_as_a_problem() {
    let bank = Bank::open().await;
    let client = Client::of(&bank.url);
    client.open("alice", 0).await;
    for (path, token, status) in [
        ("/accounts/alice?level=weak", None, 400),
        ("/accounts/alice?level=bounded&staleness=soon", None, 400),
        ("/accounts/Alice", None, 400),
        ("/accounts/alice", Some("forged"), 400),
        ("/accounts/nobody", None, 404),
    ] {
        let answer = client.get(path, token).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
    }
    for cents in [json!(0), json!(-5), json!(100_000_001), json!("5"), Value::Null] {
        let sent = client.send("/accounts/alice/deposits", &json!({ "cents": cents })).await;
        assert_eq!(sent.status, 422, "{cents}");
    }
    let taken = client.send("/accounts", &json!({ "id": "alice", "owner": "Eve" })).await;
    assert_eq!((taken.status.as_u16(), &taken.body["invariant"]), (422, &json!("one_owner")));
}

#[tokio::test]
async fn the_page_asks_nobody_else_for_anything() {
    let bank = Bank::open().await;
    let answer = Client::of(&bank.url).get("/", None).await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self'"));
    let page = answer.text().await.unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "it names another place");
    assert!(page.len() < 32 * 1024, "it is no longer small: {} bytes", page.len());
}
