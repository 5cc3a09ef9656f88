//! W1, W4, W5: the headers of a command, and its response.

use std::time::Duration;

use highwater::{CommandId, Position, Version, prelude::*};
use highwater_test_support::bank::{Account, Deposit, banks};
use serde_json::json;

use crate::server::{Headers, Pious, get_with, post_with, put, router, send, work, work_until};

const DEPOSITS: &str = "/accounts/alice/deposits";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_a_stored_command_answers_with_its_token_and_a_repeated_one_with_the_same() {
    for bank in banks() {
        let bank = bank.open().await;
        let router = router(&bank);
        let id = "8e03978e-40d5-43e8-bc93-6894a57f9324";
        let quoted = format!("\"{id}\"");
        let stored = post_with(&router, DEPOSITS, &[("idempotency-key", quoted.as_bytes())], 7);
        let stored = stored.await;
        let (body, token) = (stored.json(), stored.header("highwater-token").unwrap());
        assert_eq!((stored.status.as_u16(), &body["status"]), (200, &json!("stored")));
        assert_eq!((&body["command"], &body["token"]), (&json!(id), &json!(token)));
        assert_eq!(body["versions"], json!({ "account-alice": 1 }));
        assert_eq!(stored.header("cache-control"), Some("no-store"));
        assert_eq!(stored.header("location"), None);

        // A key without quotes, in upper case or with parameters is the same key.
        let upper = format!("\"{}\";a=1", id.to_uppercase());
        let later = put(&bank, "bob", 1).await.token().to_string();
        for key in [quoted.as_str(), id, &upper] {
            let headers =
                [("idempotency-key", key.as_bytes()), ("highwater-token", later.as_bytes())];
            let again = post_with(&router, DEPOSITS, &headers, 7).await;
            assert_eq!((again.status.as_u16(), &again.json()["command"]), (200, &json!(id)));
            assert_eq!(again.json()["versions"], body["versions"]);
            // The response to a repeated command does not drop the newer token of the caller.
            assert_eq!(again.header("highwater-token"), Some(later.as_str()));
        }
        assert_eq!(bank.log().head().await.unwrap(), Position::new(2));

        let other = post_with(&router, DEPOSITS, &[("idempotency-key", quoted.as_bytes())], 8);
        other.await.is_problem(422, "HW601");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_a_key_that_is_no_uuid_is_scoped_to_its_sender_and_path() {
    for bank in banks() {
        let bank = bank.open().await;
        let router = router(&bank);
        let key: Headers<'_> = &[("idempotency-key", b"\"order 7\"")];
        let mut commands = Vec::new();
        for path in [DEPOSITS, "/accounts/bob/deposits", "/accounts/alice/deposits/by/ann"] {
            let first = post_with(&router, path, key, 7).await;
            let again = post_with(&router, path, key, 7).await;
            assert_eq!(first.text, again.text, "{path}");
            commands.push(first.json()["command"].as_str().unwrap().to_owned());
        }
        let by_bea = post_with(&router, "/accounts/alice/deposits/by/bea", key, 7).await;
        commands.push(by_bea.json()["command"].as_str().unwrap().to_owned());
        // The query is not part of the path.
        let query = post_with(&router, &format!("{DEPOSITS}?a=1"), key, 7).await;
        assert_eq!(query.json()["command"], commands[0]);
        commands.sort();
        commands.dedup();
        assert_eq!(commands.len(), 4, "{commands:?}");
        assert_eq!(bank.log().head().await.unwrap(), Position::new(4));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_the_id_in_a_problem_can_be_sent_as_the_key() {
    for bank in banks() {
        let bank = bank.open().await;
        let id = CommandId::derive(["made by nobody who sent a key"]);
        let request = Request::new(Deposit { cents: 7 }).id(id);
        bank.aggregate::<Account>("alice").execute(request).await.unwrap();
        let key = format!("\"{id}\"");
        let headers = [("idempotency-key", key.as_bytes())];
        let again = post_with(&router(&bank), DEPOSITS, &headers, 7).await;
        assert_eq!((again.status.as_u16(), again.json()["command"].clone()), (200, json!(id)));
        assert_eq!(bank.log().head().await.unwrap(), Position::new(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_a_handler_may_require_a_key() {
    let bank = banks().remove(0).open().await;
    let (router, path) = (router(&bank), "/accounts/alice/deposits/keyed");
    let refused = post_with(&router, path, &[], 7).await;
    assert_eq!(refused.is_problem(400, "")["type"], "about:blank");
    let stored = post_with(&router, path, &[("idempotency-key", b"\"k\"")], 7).await;
    assert_eq!(stored.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w1_if_match_is_the_version_that_the_caller_read() {
    for bank in banks() {
        let bank = bank.open().await;
        let router = router(&bank);
        let new: Headers<'_> = &[("if-none-match", b"*")];
        assert_eq!(post_with(&router, DEPOSITS, new, 7).await.status, 200);
        let there = post_with(&router, DEPOSITS, new, 7).await;
        let body = there.is_problem(412, "HW201");
        assert_eq!((&body["expected"], &body["actual"]), (&json!(0), &json!(1)));
        assert_eq!(
            (&body["stream"], &body["next_step"]),
            (&json!("account-alice"), &json!("decide_again"))
        );

        let first: Headers<'_> = &[("if-match", b"\"1\""), ("idempotency-key", b"\"once\"")];
        assert_eq!(post_with(&router, DEPOSITS, first, 7).await.status, 200);
        // The command was already stored: the version that it created itself is no conflict.
        let again = post_with(&router, DEPOSITS, first, 7).await;
        assert_eq!(
            (again.status.as_u16(), again.json()["versions"]["account-alice"].as_u64()),
            (200, Some(2))
        );
        let late = post_with(&router, DEPOSITS, &[("if-match", b"\"1\"")], 7).await;
        assert_eq!(late.is_problem(412, "HW201")["actual"], 2);

        // A condition that can't be evaluated is not treated as absent.
        for odd in ["*", "17", "W/\"2\"", "\"1\", \"2\"", "\"x\"", "\"\"", "\"+2\"", ""] {
            let odd = post_with(&router, DEPOSITS, &[("if-match", odd.as_bytes())], 7).await;
            odd.is_problem(412, "");
        }
        for odd in ["\"2\"", "W/\"x\""] {
            let odd = post_with(&router, DEPOSITS, &[("if-none-match", odd.as_bytes())], 7).await;
            odd.is_problem(412, "");
        }
        let version = bank.aggregate::<Account>("alice").load(AsOf::Now).await.unwrap().version;
        assert_eq!(version, Version::new(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w1_a_conflict_is_409_and_can_be_decided_again() {
    for bank in banks() {
        // Each handle caches a state of the account that the other makes stale.
        let (slow, quick) = (bank.open_rejecting_conflicts().await, bank.open().await);
        put(&slow, "alice", 1).await;
        put(&quick, "alice", 2).await;
        let router = router(&slow);
        let body = post_with(&router, DEPOSITS, &[], 3).await.is_problem(409, "HW201");
        assert_eq!((&body["expected"], &body["actual"]), (&json!(1), &json!(2)));
        assert_eq!(body["next_step"], "decide_again");
        assert_eq!(post_with(&router, DEPOSITS, &[], 3).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w5_a_rejection_is_422_with_the_invariant_and_its_values() {
    for bank in banks() {
        let bank = bank.open().await;
        put(&bank, "alice", 7).await;
        let router = router(&bank);
        let refused = post_with(&router, "/accounts/alice/withdrawals", &[], 9).await;
        let body = refused.is_problem(422, "HW101");
        assert_eq!(body["invariant"], "never_overdrawn");
        assert_eq!(body["detail"], "never debit more than the available balance");
        assert_eq!(body["values"], json!({ "balance": -2 }));
        assert_eq!(body["next_step"], "fix_request");
        assert_eq!(post_with(&router, "/accounts/alice/withdrawals", &[], 7).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_command_that_waits_for_a_view_is_applied_or_202_pending() {
    for bank in banks() {
        let bank = bank.open().await;
        work_until::<Pious>(&bank, &put(&bank, "alice", 7).await).await;
        let (router, path) = (router(&bank), "/accounts/alice/deposits/applied");
        let pending = post_with(&router, path, &[], 3).await;
        let body = pending.json();
        assert_eq!((pending.status.as_u16(), &body["status"]), (202, &json!("pending")));
        assert!(pending.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        assert_eq!(pending.header("location"), Some("/accounts/alice/pious"));
        let (view, missing) = (&body["pending"]["view"], &body["pending"]["missing"]);
        assert_eq!((view, missing), (&json!("pious"), &json!(1)));
        assert!(pending.header("highwater-freshness").is_none());

        let worker = work::<Pious>(&bank).await;
        let token = pending.header("highwater-token").unwrap();
        let mine = [("highwater-token", token.as_bytes())];
        let there = get_with(&router, "/accounts/alice/pious", &mine).await;
        assert_eq!((there.status.as_u16(), there.json()["cents"].as_i64()), (200, Some(10)));
        // The view may take any time, but applies the command eventually.
        let key: Headers<'_> = &[("idempotency-key", b"\"again\"")];
        let in_the_end = async {
            loop {
                let reply = post_with(&router, path, key, 2).await;
                match reply.status.as_u16() {
                    201 => break reply,
                    status => assert_eq!(status, 202),
                }
            }
        };
        let applied = tokio::time::timeout(Duration::from_secs(60), in_the_end).await.unwrap();
        assert_eq!(applied.json()["status"], "applied");
        assert_eq!(applied.header("location"), Some("/accounts/alice/pious"));
        assert!(applied.header("highwater-freshness").unwrap().contains("position=3"));
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_created_resource_is_201_and_an_unreadable_body_is_a_problem() {
    let bank = banks().remove(0).open().await;
    let router = router(&bank);
    let made = post_with(&router, DEPOSITS, &[], 1).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, Some("/accounts/alice")));
    // A key that is no valid header value only omits the location.
    let odd = post_with(&router, "/accounts/%0d%0aSet-Cookie:a=b/deposits", &[], 1).await;
    assert_eq!(
        (odd.status.as_u16(), odd.header("location"), odd.header("set-cookie")),
        (200, None, None)
    );
    for (body, status) in [("{", 400), (r#"{"cents": "many"}"#, 422), ("", 400)] {
        let reply = send(&router, "POST", DEPOSITS, &[], body).await;
        assert!(reply.is_problem(status, "")["detail"].as_str().is_some_and(|d| !d.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w4_a_stored_command_is_no_error_when_the_view_cannot_be_read() {
    for bank in banks() {
        // No worker has created the view.
        let bank = bank.open().await;
        assert!(bank.view::<Pious>().get("alice").await.is_err());
        let stored = post_with(&router(&bank), "/accounts/alice/deposits/applied", &[], 7).await;
        assert_eq!((stored.status.as_u16(), &stored.json()["status"]), (201, &json!("stored")));
        assert_eq!(bank.log().head().await.unwrap(), Position::new(1));
    }
}
