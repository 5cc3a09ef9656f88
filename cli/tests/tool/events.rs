//! Streams, and the tail of the log.

use highwater::Highwater;
use highwater_test_support::bank::banks;
use serde_json::Value;

use crate::{deposit, error_code, not_done, printed};

async fn lines(app: &Highwater, arguments: &[&str]) -> Vec<Value> {
    let (_, printed) = crate::run(app, &[arguments, &["--json"]].concat()).await;
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the positions of the events that the tool prints.
async fn positions(app: &Highwater, arguments: &[&str]) -> Vec<u64> {
    let lines = lines(app, arguments).await;
    lines.iter().map(|event| event["position"].as_u64().unwrap()).collect()
}

/// Appends 1,200 events: every third is of bob, all others are of alice.
async fn appended(app: &Highwater) {
    for cents in 1..=1_200 {
        let account = if cents % 3 == 0 { "bob" } else { "alice" };
        deposit(app, account, cents).await;
    }
}

#[tokio::test]
async fn cli_a_stream_is_shown_from_a_version_up_to_a_number_of_events() {
    for bank in banks() {
        let app = bank.open().await;
        let reason = not_done(&app, &["stream", "account-alice"]).await;
        assert_eq!(reason, "stream \"account-alice\" has no events");
        for cents in 1..=5 {
            deposit(&app, "alice", cents).await;
            deposit(&app, "bob", cents).await;
        }
        let shown =
            printed(&app, &["stream", "account-alice", "--from", "2", "--limit", "2"]).await;
        let shown: Vec<_> = shown.lines().collect();
        assert_eq!(shown.len(), 6);
        assert_eq!(shown[0], "3  account-alice version 2");
        assert!(shown[1].starts_with("  account.deposited  2"), "{shown:?}");
        assert_eq!((shown[2], shown[3]), ("  {\"cents\":2}", "5  account-alice version 3"));
        let all = lines(&app, &["stream", "account-alice"]).await;
        assert_eq!(all.len(), 5);
        let last = &all[4];
        assert_eq!(last["version"], 5);
        assert_eq!(last["stream"], "account-alice");
        assert_eq!(last["type"], "account.deposited");
        assert_eq!(last["payload"]["cents"], 5);
        let reason = not_done(&app, &["stream", "account-alice", "--from", "6"]).await;
        assert_eq!(reason, "stream \"account-alice\" has no events from version 6 on");
        assert_eq!(error_code(&app, &["stream", "alice"]).await, "HW603");
    }
}

#[tokio::test]
async fn cli_the_tail_is_the_last_events_that_match_in_log_order() {
    for bank in banks() {
        let app = bank.open().await;
        assert_eq!(printed(&app, &["tail"]).await, "");
        appended(&app).await;
        assert_eq!(positions(&app, &["tail"]).await, (1_191..=1_200).collect::<Vec<_>>());
        assert_eq!(positions(&app, &["tail", "-n", "1"]).await, [1_200]);
        assert_eq!(positions(&app, &["tail", "-n", "0"]).await, Vec::<u64>::new());
        // More than a page.
        assert_eq!(
            positions(&app, &["tail", "-n", "1150"]).await,
            (51..=1_200).collect::<Vec<_>>()
        );
        assert_eq!(positions(&app, &["tail", "-n", "5000"]).await, (1..=1_200).collect::<Vec<_>>());
        assert_eq!(
            positions(&app, &["tail", "--from", "100"]).await,
            (100..=1_200).collect::<Vec<_>>()
        );
        let of_type =
            ["tail", "-n", "2", "--type", "account.withdrawn", "--type", "account.deposited"];
        assert_eq!(positions(&app, &of_type).await, [1_199, 1_200]);
        assert_eq!(positions(&app, &["tail", "--type", "account.opened"]).await, Vec::<u64>::new());
        assert_eq!(positions(&app, &["tail", "--category", "account", "-n", "1"]).await, [1_200]);
        assert_eq!(positions(&app, &["tail", "--category", "order"]).await, Vec::<u64>::new());
        assert_eq!(positions(&app, &["tail", "--tag", "owner:alice"]).await, Vec::<u64>::new());
        let all = lines(&app, &["stream", "account-alice", "--limit", "799"]).await;
        assert_eq!((all.len(), &all[798]["version"]), (799, &Value::from(799)));
    }
}
