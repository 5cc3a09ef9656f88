//! Generations: list, promote, remove.

use highwater_test_support::bank::banks;
use serde_json::json;

use crate::{
    error_code, json, not_done, printed, run,
    views::{at, spec},
};

#[tokio::test]
async fn cli_a_generation_is_promoted_once_it_shows_nothing_older() {
    for bank in banks() {
        let app = bank.open().await;
        let promote = ["promote", "balances", "2", "--yes"];
        assert_eq!(error_code(&app, &promote).await, "HW308");
        at(&app, &spec("balances", 1, 0), 9).await;
        let mut new = at(&app, &spec("balances", 2, 8), 7).await;
        let reason = not_done(&app, &promote).await;
        let expected = "generation 2 of view balances was not promoted: it is at position 7, and \
                        complete from 8 on: wait for its worker";
        assert_eq!(reason, expected);
        new.move_to(8, Vec::new()).await;
        let reason = not_done(&app, &promote).await;
        assert!(reason.contains("the live generation has events that it lacks"), "{reason}");
        new.move_to(9, Vec::new()).await;
        let done = printed(&app, &promote).await;
        assert_eq!(done, "generation 2 of view balances is promoted\n");
        let done = json(&app, &["promote", "balances", "1", "--yes"]).await;
        assert_eq!(done, json!({ "view": "balances", "generation": 1, "promoted": true }));
        let listed = json(&app, &["generations", "balances"]).await;
        let live = |number: usize| listed["generations"][number]["live"].as_bool().unwrap();
        assert!(live(0) && !live(1), "{listed}");
    }
}

#[tokio::test]
async fn cli_a_generation_is_removed_unless_it_is_live_or_in_use() {
    for bank in banks() {
        let app = bank.open().await;
        at(&app, &spec("balances", 1, 0), 9).await;
        let new = at(&app, &spec("balances", 2, 0), 7).await;
        let remove = ["remove", "balances", "2", "--yes"];
        let reason = not_done(&app, &["remove", "balances", "1", "--yes"]).await;
        assert!(reason.contains("it is the live one: promote another one first"), "{reason}");
        new.is_alive().await;
        let reason = not_done(&app, &remove).await;
        assert!(reason.contains("a worker of it is alive"), "{reason}");
        let (_, printed) = run(&app, &[&remove[..], &["--json"]].concat()).await;
        let answer: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(answer, json!({ "view": "balances", "generation": 2, "removed": false }));
        new.leave().await;
        assert_eq!(json(&app, &remove).await["removed"], true);
        assert_eq!(error_code(&app, &remove).await, "HW308");
    }
}

#[tokio::test]
async fn cli_generations_are_listed_with_their_times() {
    for bank in banks() {
        let app = bank.open().await;
        assert_eq!(error_code(&app, &["generations", "balances"]).await, "HW308");
        at(&app, &spec("balances", 1, 0), 7).await;
        at(&app, &spec("balances", 2, 8), 7).await;
        let mut third = at(&app, &spec("balances", 3, 7), 7).await;
        printed(&app, &["promote", "balances", "3", "--yes"]).await;
        third.move_to(123_456_789_012, Vec::new()).await;
        let listed = printed(&app, &["generations", "balances"]).await;
        // All but the times, which are those of the store.
        let without_times: Vec<_> = listed.lines().map(|line| line[..63].trim_end()).collect();
        let expected = [
            "  gen  live  complete      position  complete at  promoted  crea",
            "    1        complete             7            0            ",
            "    2                             7            8            ",
            "    3  live  complete  123456789012            7  promoted  ",
        ];
        for (line, expected) in without_times.iter().zip(expected) {
            assert!(
                expected.starts_with(line) || line.starts_with(expected.trim_end()),
                "{listed}"
            );
        }
        assert_eq!(listed.lines().count(), 4);
        assert!(listed.lines().skip(1).all(|line| line.ends_with('Z')), "{listed}");
    }
}
