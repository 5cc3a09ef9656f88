//! R2, R3: the freshness in a response, and the response to a read that misses its deadline.

use std::time::Duration;

use highwater::{
    Code, Highwater, Position, Token, View,
    port::{ClaimMode, ShardClaim, ShardStop, WorkerId},
    value::{LogId, PartitionId},
};
use highwater_test_support::bank::{Balance, banks};
use jiff::Timestamp;
use serde_json::json;

use crate::server::{Pious, Reply, get_with, post_with, put, router, send, work_until};

fn token_of(reply: &Reply) -> Token {
    reply.header("highwater-token").unwrap().parse().unwrap()
}

/// Returns the status and the parameters of `Highwater-Freshness`, without the time.
fn freshness(reply: &Reply) -> String {
    let text = reply.header("highwater-freshness").unwrap();
    let parts = text.split(';').filter(|part| !part.starts_with("as-of=@"));
    assert_eq!(text.split(';').filter(|part| part.starts_with("as-of=@")).count(), 1, "{text}");
    parts.collect::<Vec<_>>().join(";")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_an_answer_has_its_freshness_and_a_token_of_its_position() {
    for bank in banks() {
        let bank = bank.open().await;
        let receipt = put(&bank, "alice", 7).await;
        work_until::<Balance>(&bank, &receipt).await;
        let router = router(&bank);
        let current = get_with(&router, "/accounts/alice", &[]).await;
        assert_eq!((current.status.as_u16(), current.json()["cents"].as_i64()), (200, Some(7)));
        assert_eq!(
            freshness(&current),
            "current;position=1;lag=0;level=read_your_writes;basis=view"
        );
        // The row was validated for this request, which `Age` would deny.
        assert_eq!(current.header("age"), None);
        assert_eq!(current.header("content-type"), Some("application/json"));
        assert_eq!(current.header("vary"), Some("highwater-token"));
        assert_eq!(token_of(&current), *receipt.token());

        put(&bank, "bob", 3).await;
        let behind = get_with(&router, "/accounts/alice", &[]).await;
        assert_eq!(
            freshness(&behind),
            "converging;position=1;lag=1;level=read_your_writes;basis=view"
        );
        assert!(behind.header("age").unwrap().parse::<u64>().unwrap() >= 1, "rounded up");
        let strong = get_with(&router, "/accounts/bob/strong", &[]).await;
        assert_eq!(freshness(&strong), "current;position=2;lag=0;level=strong;basis=folded");
        assert_eq!(token_of(&strong).to_string(), put_token(&bank, 2));
    }
}

fn put_token(bank: &highwater::Highwater, position: u64) -> String {
    Token::of(bank.log().log_id(), Position::new(position)).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_r3_a_view_that_has_stopped_is_served_as_stopped_or_503_without_a_retry_time() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let token = put(&bank, "alice", 3).await.token().to_string();
        stop::<Balance>(&bank, "HW506: secret").await;
        let router = router(&bank);
        let served = get_with(&router, "/accounts/alice", &[]).await;
        assert_eq!(served.status.as_u16(), 200);
        assert_eq!(
            freshness(&served),
            "stopped;position=1;lag=1;stopped-at=@1700000000;level=read_your_writes;basis=view"
        );
        assert!(served.header("age").unwrap().parse::<u64>().unwrap() >= 1);
        let late =
            get_with(&router, "/accounts/alice/late", &[("highwater-token", token.as_bytes())]);
        let late = late.await;
        let body = late.is_problem(503, "HW304");
        assert_eq!(late.header("retry-after"), None);
        assert_eq!(body["next_step"], "ask_operator");
        assert_eq!(body["pending"]["status"], "stopped");
        assert!(!body.to_string().contains("secret"), "{body}");
    }
}

/// Records that the work on a view has stopped.
async fn stop<V: View>(bank: &Highwater, error: &str) {
    let (views, view) = (bank.views(), V::spec().unwrap().name);
    let sharding = views.read_view(&view, &[]).await.unwrap().state.sharding;
    for shard in sharding.all() {
        let claim = views.claim_shard(ShardClaim {
            view: view.clone(),
            sharding,
            shard,
            worker: WorkerId::new("stops").unwrap(),
            mode: ClaimMode::Always,
            lease: Duration::from_secs(60),
            definition: None,
        });
        let epoch = claim.await.unwrap().unwrap().epoch;
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let stop = ShardStop { shard, at, error: error.to_owned() };
        views.stop_shard(&view, epoch, stop).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_read_before_the_view_is_current_is_202_with_its_position_and_a_retry_time() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let token = put(&bank, "alice", 3).await.token().to_string();
        let router = router(&bank);
        let early =
            get_with(&router, "/accounts/alice/late", &[("highwater-token", token.as_bytes())]);
        let early = early.await;
        let body = early.is_problem(202, "HW304");
        assert!(early.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        assert_eq!(body["next_step"], "retry");
        assert_eq!(body["type"], "/errors/HW304");
        let pending = &body["pending"];
        assert_eq!(pending["view"], "balances");
        assert_eq!((&pending["position"], &pending["lag"]), (&json!(1), &json!(1)));
        assert_eq!((&pending["missing"], &pending["status"]), (&json!(1), &json!("converging")));
        assert!(pending["waited_ms"].as_u64().unwrap() >= 20, "{pending}");
        assert!(pending.get("estimate_ms").is_none(), "the view did not advance: {pending}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_stale_answer_is_marked_and_its_token_does_not_go_back() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let receipt = put(&bank, "alice", 3).await;
        let token = receipt.token().to_string();
        let (router, mine) = (router(&bank), [("highwater-token", token.as_bytes())]);
        // The first read is stale and reports it. The second comes from a handler that did not
        // require the token.
        for (path, level) in [("stale", "read_your_writes"), ("eventual", "eventual")] {
            let stale = get_with(&router, &format!("/accounts/alice/{path}"), &mine).await;
            assert_eq!((stale.status.as_u16(), stale.json()["cents"].as_i64()), (200, Some(7)));
            let expected = format!("converging;position=1;lag=1;level={level};basis=stale");
            assert_eq!(freshness(&stale), expected);
            assert_eq!(stale.header("cache-control"), Some("no-store"));
            assert_eq!((stale.header("etag"), stale.header("age").is_some()), (None, true));
            assert_eq!(token_of(&stale), *receipt.token(), "the token of the request");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_several_tokens_are_merged_over_values_and_lines() {
    for bank in banks() {
        let bank = bank.open().await;
        let receipts = [put(&bank, "alice", 7).await, put(&bank, "alice", 3).await];
        work_until::<Balance>(&bank, &receipts[0]).await;
        let [first, second] = receipts.map(|receipt| receipt.token().to_string());
        put(&bank, "alice", 3).await;
        let third = put(&bank, "alice", 4).await.token().to_string();
        let router = router(&bank);
        let line = format!(" {first} , ,{third},");
        let headers =
            [("highwater-token", line.as_bytes()), ("highwater-token", second.as_bytes())];
        get_with(&router, "/accounts/alice/late", &headers).await.is_problem(202, "HW304");
        let stale = get_with(&router, "/accounts/alice/stale", &headers).await;
        assert_eq!(stale.header("highwater-token"), Some(third.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_token_of_another_log_or_of_the_future_is_400_at_once() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let router = router(&bank);
        let other = Token::of(LogId::new(1), Position::new(1)).to_string();
        let own = Token::of(bank.log().log_id(), Position::new(1));
        let divided = own.with(PartitionId::new(1), Position::new(1)).to_string();
        for token in [other, put_token(&bank, 99), divided.clone()] {
            let reply =
                get_with(&router, "/accounts/alice", &[("highwater-token", token.as_bytes())]);
            let body = reply.await.is_problem(400, Code::FOREIGN_TOKEN.as_str());
            assert_eq!(body["next_step"], "fix_request");
        }
        // The response to a command has the token of this log, and does not merge two logs into one
        // token.
        let other = Token::of(LogId::new(1), Position::new(9)).to_string();
        let headers = [("highwater-token", other.as_bytes())];
        let stored = post_with(&router, "/accounts/alice/deposits", &headers, 2).await;
        assert_eq!(stored.header("highwater-token"), Some(put_token(&bank, 2).as_str()));
        // So does a read without the token, which is older than its event.
        let headers = [("highwater-token", divided.as_bytes())];
        let lacking = get_with(&router, "/accounts/alice/eventual", &headers).await;
        assert_eq!(freshness(&lacking), "converging;position=1;lag=1;level=eventual;basis=stale");
        assert_eq!(token_of(&lacking).to_string(), put_token(&bank, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_parked_key_is_served_as_degraded_or_refused_and_never_cached() {
    for bank in banks() {
        let bank = bank.open().await;
        put(&bank, "alice", 2).await;
        put(&bank, "alice", 666).await;
        let receipt = put(&bank, "bob", 5).await;
        work_until::<Pious>(&bank, &receipt).await;
        let router = router(&bank);
        let degraded = get_with(&router, "/accounts/alice/pious", &[]).await;
        assert_eq!(
            freshness(&degraded),
            "degraded;position=3;lag=0;since=2;level=read_your_writes;basis=view"
        );
        assert_eq!(degraded.header("cache-control"), Some("no-store"));
        assert_eq!((degraded.header("etag"), degraded.header("age")), (None, None));
        let token = receipt.token().to_string();
        let mine = [("highwater-token", token.as_bytes())];
        let stale = get_with(&router, "/accounts/alice/pious", &mine).await;
        assert_eq!(
            freshness(&stale),
            "degraded;position=3;lag=0;since=2;level=read_your_writes;basis=stale"
        );

        let refused = get_with(&router, "/accounts/alice/pious/strong", &[]).await;
        let body = refused.is_problem(503, "HW508");
        assert_eq!((&body["key"], &body["since"]), (&json!("alice"), &json!(2)));
        assert_eq!(body["next_step"], "ask_operator");
        assert_eq!(refused.header("retry-after"), None, "waiting doesn't help");

        // A response with several rows names the parked keys, and is degraded as a whole.
        let pair = get_with(&router, "/pair", &[]).await;
        assert_eq!(pair.json()["parked"], json!([{ "key": "alice", "since": 2 }]));
        assert_eq!(pair.json()["rows"][1], json!({ "key": "bob", "value": { "cents": 5 } }));
        assert_eq!((pair.header("cache-control"), pair.header("etag")), (Some("no-store"), None));

        // A command for a parked key is stored, and the response reports that the view needs an
        // operator.
        let (path, key) =
            ("/accounts/alice/deposits/applied", [("idempotency-key", &b"\"k\""[..])]);
        let pending = post_with(&router, path, &key, 3).await;
        assert_eq!(
            (pending.status.as_u16(), &pending.json()["pending"]["missing"]),
            (202, &json!(1))
        );
        assert!(pending.header("retry-after").is_some(), "no worker was running");
        work_until::<Pious>(&bank, &put(&bank, "bob", 1).await).await;
        let held_back = post_with(&router, path, &key, 3).await;
        let body = held_back.json();
        assert_eq!((held_back.status.as_u16(), &body["pending"]["missing"]), (202, &json!(0)));
        assert_eq!(body["pending"]["status"], "degraded");
        assert_eq!(held_back.header("retry-after"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_a_missing_row_is_404_with_its_freshness() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Balance>(&bank, &put(&bank, "alice", 7).await).await;
        let router = router(&bank);
        let missing = get_with(&router, "/accounts/nobody", &[]).await;
        missing.is_problem(404, "HW611");
        let missing = get_with(&router, "/accounts/nobody/found", &[]).await;
        assert_eq!(missing.is_problem(404, "HW611")["next_step"], "fix_request");
        assert_eq!(
            freshness(&missing),
            "current;position=1;lag=0;level=read_your_writes;basis=view"
        );
        assert_eq!(token_of(&missing).to_string(), put_token(&bank, 1));
        assert_eq!(missing.header("vary"), Some("highwater-token"));
        let alice = get_with(&router, "/accounts/alice/found", &[]).await;
        assert_eq!((alice.status.as_u16(), alice.json()["cents"].as_i64()), (200, Some(7)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_a_page_has_one_freshness_and_the_start_of_the_next_page() {
    for bank in banks() {
        let bank = bank.open().await;
        put(&bank, "alice", 7).await;
        work_until::<Balance>(&bank, &put(&bank, "bob", 3).await).await;
        let router = router(&bank);
        let page = get_with(&router, "/accounts", &[]).await;
        let value = json!({ "cents": 7, "events": 1 });
        let rows = json!([{ "key": "alice", "value": value }]);
        assert_eq!(page.json(), json!({ "rows": rows, "parked": [], "next": "alice" }));
        assert_eq!(freshness(&page), "current;position=2;lag=0;level=read_your_writes;basis=view");
        let head = send(&router, "HEAD", "/accounts", &[], "").await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
        assert_eq!(head.header("etag"), page.header("etag"));
    }
}
