//! The progress and the state of each view.

use highwater::{Highwater, domain::ViewSpec, value::Sharding};
use highwater_test_support::bank::banks;
use serde_json::json;

use crate::{
    deposit, error_code, json, printed,
    views::{ShardWorker, at, name, park, spec},
};

const EVERY_STATE: &str = "\
head of the log: 3

balances
  gen  live  state       position  lag  complete at  parked  sharding
    1  live  current            3    0            0       0  keys/1
    2        rebuilding         1    2            3    1100  keys/2

persons
  gen  live  state       position  lag  complete at  parked  sharding
    1  live  converging         2    1            0       0  keys/1

relay_log (the checkpoint of a relay)
  gen  live  state    position  lag  complete at  parked  sharding
    1  live  current         3    0            0       0  keys/1

totals
  gen  live  state    position  lag  complete at  parked  sharding
    1  live  stopped         1    2            0       0  keys/1
  generation 1, shard 0: stopped at 2026-11-30T21:00:00Z
    HW506: view totals can't apply event 2\\u{1b}[2J
";

async fn views_at_every_state(app: &Highwater) {
    for cents in 1..=3 {
        deposit(app, "alice", cents).await;
    }
    at(app, &spec("balances", 1, 0), 3).await;
    let new = spec("balances", 2, 3);
    let mut first = ShardWorker::of(app, &new, Sharding::by_key(2), 0).await;
    let mut second = ShardWorker::of(app, &new, Sharding::by_key(2), 1).await;
    // More than a page.
    first.move_to(1, (0..1_100).map(|key| park(&format!("{key}"), 1, "no")).collect()).await;
    second.move_to(2, Vec::new()).await;
    at(app, &spec("persons", 1, 0), 2).await;
    at(app, &ViewSpec::without_rows(name("relay_log")), 3).await;
    let totals = at(app, &spec("totals", 1, 0), 1).await;
    totals.stop("HW506: view totals can't apply event 2\u{1b}[2J").await;
}

#[tokio::test]
async fn cli_status_names_every_view_with_its_generations_and_stops() {
    for bank in banks() {
        let app = bank.open().await;
        assert_eq!(printed(&app, &["status"]).await, "head of the log: 0\nno views\n");
        views_at_every_state(&app).await;
        assert_eq!(printed(&app, &["status"]).await, EVERY_STATE);
        let some = printed(&app, &["status", "totals", "persons"]).await;
        assert!(some.find("totals").unwrap() < some.find("persons").unwrap(), "{some}");
        assert!(!some.contains("balances"), "{some}");
        assert_eq!(error_code(&app, &["status", "persons", "missing"]).await, "HW308");
        assert_eq!(error_code(&app, &["status", "Persons"]).await, "HW603");
    }
}

#[tokio::test]
async fn cli_status_is_one_document_of_json() {
    for bank in banks() {
        let app = bank.open().await;
        views_at_every_state(&app).await;
        let all = json(&app, &["status"]).await;
        assert_eq!(all["head"], 3);
        let names: Vec<_> =
            all["views"].as_array().unwrap().iter().map(|view| &view["name"]).collect();
        assert_eq!(names, ["balances", "persons", "relay_log", "totals"]);
        assert_eq!(all["views"][2]["kind"], "relay");
        let new = &all["views"][0]["generations"][1];
        for (field, value) in [
            ("number", json!(2)),
            ("live", json!(false)),
            ("state", json!("rebuilding")),
            ("position", json!(1)),
            ("lag", json!(2)),
            ("complete_at", json!(3)),
            ("as_of", json!("2026-11-30T21:00:00Z")),
            ("sharding", json!("keys/2")),
            ("parked", json!(1_100)),
            ("stops", json!([])),
        ] {
            assert_eq!(new[field], value, "{field} of {new}");
        }
        assert_eq!(new["definition"]["row"], "{field_2:i64}");
        let stop = &all["views"][3]["generations"][0]["stops"][0];
        assert_eq!(stop["error"], "HW506: view totals can't apply event 2\u{1b}[2J");
    }
}
