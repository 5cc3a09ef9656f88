//! Parked keys: list, show, retry.

use highwater::Highwater;
use highwater_test_support::bank::banks;
use serde_json::json;

use crate::{
    error_code, json, not_done, printed,
    views::{at, park, queue, spec},
};

/// Parks two keys of a view, and one of its second generation.
async fn parked(app: &Highwater) {
    let mut live = at(app, &spec("balances", 1, 0), 1).await;
    let mut changes = vec![park("alice", 2, "HW506: no such account"), park("bob\n", 9, "no")];
    changes.extend((3..=9).map(|position| queue("alice", position)));
    live.move_to(9, changes).await;
    let mut new = at(app, &spec("balances", 2, 0), 1).await;
    new.move_to(4, vec![park("carol", 4, "no")]).await;
}

#[tokio::test]
async fn cli_parked_keys_are_listed_and_shown() {
    for bank in banks() {
        let app = bank.open().await;
        assert_eq!(error_code(&app, &["parked", "list", "balances"]).await, "HW308");
        parked(&app).await;
        let listed = printed(&app, &["parked", "list", "balances"]).await;
        let lines: Vec<_> = listed.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("      2        8         3  2"), "{listed}");
        assert!(lines[1].ends_with("alice") && lines[2].ends_with("bob\\n"), "{listed}");
        let of_new = json(&app, &["parked", "list", "balances", "--generation", "2"]).await;
        assert_eq!(
            (&of_new["parked"][0]["key"], &of_new["parked"][1]),
            (&json!("carol"), &json!(null))
        );

        let shown = printed(&app, &["parked", "show", "balances", "alice"]).await;
        for line in [
            "key        alice",
            "since      position 2",
            "attempts   3",
            "retry      not requested",
            "error      HW506: no such account",
            "waiting    8 events",
            "           2 3 4 5 6",
            "           7 8 9",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "no {line:?} in {shown}");
        }
        let shown = json(&app, &["parked", "show", "balances", "bob\n"]).await;
        assert_eq!((&shown["since"], &shown["positions"]), (&json!(9), &json!([9])));
        let reason = not_done(&app, &["parked", "show", "balances", "alic"]).await;
        assert_eq!(reason, "key \"alic\" of view balances is not parked");
    }
}

#[tokio::test]
async fn cli_a_retry_is_requested_of_one_key_or_of_all() {
    for bank in banks() {
        let app = bank.open().await;
        parked(&app).await;
        let retry = async |of: &[&str]| json(&app, &[&["parked", "retry"], of].concat()).await;
        let requested = async || {
            let listed = json(&app, &["parked", "list", "balances"]).await;
            let keys = listed["parked"].as_array().unwrap().clone();
            keys.iter().map(|key| key["retry"].as_bool().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(requested().await, [false, false]);
        let one = retry(&["balances", "alice", "--yes"]).await;
        assert_eq!(one, json!({ "view": "balances", "requested": 1 }));
        assert_eq!(requested().await, [true, false]);
        let reason = not_done(&app, &["parked", "retry", "balances", "carol", "-y"]).await;
        assert_eq!(reason, "key \"carol\" of view balances is not parked");
        let all = printed(&app, &["parked", "retry", "balances", "--all", "--yes"]).await;
        assert_eq!(all, "the worker of view balances retries 2 keys\n");
        assert_eq!(requested().await, [true, true]);
        let new = retry(&["balances", "--all", "--generation", "2", "--yes"]).await;
        assert_eq!(new["requested"], 1);
    }
}

#[tokio::test]
async fn cli_a_view_without_parked_keys_says_so() {
    for bank in banks() {
        let app = bank.open().await;
        at(&app, &spec("balances", 1, 0), 1).await;
        assert_eq!(printed(&app, &["parked", "list", "balances"]).await, "no parked keys\n");
        let reason = not_done(&app, &["parked", "retry", "balances", "--all", "--yes"]).await;
        assert_eq!(reason, "view balances has no parked keys");
    }
}
