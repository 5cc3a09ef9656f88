//! R4: rows of views are not deleted by hand, since a worker would take their keys for new ones.

use highwater_core::{
    Position,
    domain::{ViewName, ViewSpec},
    port::{ParkChange, ViewCommit},
    value::Sharding,
};

use super::{
    commit,
    outbox::{Outbox, outboxes},
};

const KEYS: &str = "select key from live_balances order by key";

/// Writes the rows of three keys.
async fn filled(outbox: &Outbox) {
    outbox
        .store
        .open_view(&ViewSpec::rows(ViewName::new("balances").unwrap()), Sharding::SINGLE)
        .await
        .unwrap();
    let row = |key: &str| (key.to_owned(), Some("1".into()));
    let rows = vec![row("a"), row("b"), row("c")];
    let filled = ViewCommit { rows, ..commit(&*outbox.store, "balances").await };
    outbox.store.commit_view(filled).await.unwrap();
}

#[tokio::test]
async fn r4_a_row_is_not_deleted_by_hand_unless_its_key_is_parked() {
    for outbox in outboxes("r4_a_row_is_not_deleted_by_hand_unless_its_key_is_parked").await {
        filled(&outbox).await;
        for by_hand in ["delete from rows_balances where key = 'a'", "delete from rows_balances"] {
            let refused = outbox.fail(by_hand).await;
            for word in ["balances", "by hand", "repair"] {
                assert!(refused.contains(word) || outbox.is_postgres(), "{refused}");
            }
            assert!(refused.contains("must not be deleted by hand"), "{refused}");
        }
        if outbox.is_postgres() {
            outbox.fail("truncate rows_balances").await;
            outbox.fail("delete from live_balances where key = 'a'").await;
        }
        assert_eq!(outbox.texts(KEYS).await, ["a", "b", "c"]);
        // A commit deletes rows, alone and with others.
        let mut deleting = commit(&*outbox.store, "balances").await;
        deleting.rows = vec![("a".to_owned(), None)];
        outbox.store.commit_view(deleting).await.unwrap();
        let mut parking = commit(&*outbox.store, "balances").await;
        let since = Position::new(parking.to.position.get());
        parking.rows = vec![("b".to_owned(), Some("2".into()))];
        parking.parked = vec![ParkChange::Park {
            key: "b".to_owned(),
            since,
            error: "refused".to_owned(),
            attempts: 1,
        }];
        outbox.store.commit_view(parking).await.unwrap();
        outbox.execute("delete from rows_balances where key = 'b'").await;
        outbox.fail("delete from rows_balances where key = 'c'").await;
        assert_eq!(outbox.texts(KEYS).await, ["c"]);
        // So does one after the view was renamed.
        let name = ViewName::new("accounts").unwrap();
        let formerly = vec![ViewName::new("balances").unwrap()];
        let renamed = ViewSpec { formerly, ..ViewSpec::rows(name) };
        outbox.store.open_view(&renamed, Sharding::SINGLE).await.unwrap();
        outbox.fail("delete from rows_accounts where key = 'c'").await;
        let mut deleting = commit(&*outbox.store, "accounts").await;
        deleting.rows = vec![("c".to_owned(), None)];
        outbox.store.commit_view(deleting).await.unwrap();
        assert!(outbox.texts("select key from live_accounts").await.is_empty());
    }
}
