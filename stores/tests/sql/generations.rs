//! R5: plain SQL sees the rows of the live generation under the name of the view.

use highwater_core::{
    Position,
    domain::{Column, ColumnKind, GenerationSpec, Index, ViewDefinition, ViewName, ViewSpec},
    port::{ClaimMode, Progress, ShardClaim, Store, ViewCommit, WorkerId},
    value::{ShardId, Sharding},
};

use super::outbox::{Outbox, outboxes};

const OWNER: Column = Column { name: "owner", kind: ColumnKind::Text };
const CENTS: Column = Column { name: "cents", kind: ColumnKind::Integer };
const CENTS_AS_TEXT: Column = Column { name: "cents", kind: ColumnKind::Text };
const BY_OWNER: Index = &["owner"];

fn generation(number: u32, columns: &[Column]) -> ViewSpec {
    let definition = ViewDefinition {
        row: number.to_string(),
        keyed_by: String::new(),
        types: Vec::new(),
        scope: String::new(),
        version: 1,
    };
    ViewSpec {
        generation: GenerationSpec { number, complete_at: Position::START },
        columns: columns.to_vec(),
        indexes: columns.contains(&OWNER).then_some(BY_OWNER).into_iter().collect(),
        definition: Some(definition),
        ..ViewSpec::rows(ViewName::new("balances").unwrap())
    }
}

/// Opens a generation, and writes its row of a key up to a position.
async fn write(store: &dyn Store, spec: &ViewSpec, position: u64, row: &'static str) {
    store.open_view(spec, Sharding::SINGLE).await.unwrap();
    let view = spec.stored_name();
    let claim = ShardClaim {
        view: view.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: WorkerId::new("worker").unwrap(),
        mode: ClaimMode::Always,
        lease: std::time::Duration::from_secs(60),
        definition: None,
    };
    let claim = store.claim_shard(claim).await.unwrap().unwrap();
    let to = Progress { position: Position::new(position), ..claim.progress.clone() };
    let mut commit = ViewCommit::new(view, &claim, to);
    commit.rows = vec![("a".to_owned(), Some(row.into()))];
    store.commit_view(commit).await.unwrap();
}

async fn shown(outbox: &Outbox, column: &str) -> Vec<String> {
    outbox.texts(&format!("select cast({column} as text) from live_balances")).await
}

#[tokio::test]
async fn r5_the_name_of_a_view_shows_the_live_generation() {
    for outbox in outboxes("r5_the_name_of_a_view_shows_the_live_generation").await {
        let store = &*outbox.store;
        let view = ViewName::new("balances").unwrap();
        let first = generation(1, &[OWNER]);
        write(store, &first, 3, r#"{"owner":"ann"}"#).await;
        assert_eq!(shown(&outbox, "owner").await, ["ann"]);
        let second = generation(2, &[CENTS_AS_TEXT, OWNER]);
        write(store, &second, 2, r#"{"owner":"bob","cents":"7"}"#).await;
        assert!(!store.promote(&view, 2).await.unwrap());
        assert_eq!(shown(&outbox, "owner").await, ["ann"]);
        write(store, &second, 3, r#"{"owner":"bob","cents":"8"}"#).await;
        assert!(store.promote(&view, 2).await.unwrap());
        assert_eq!(shown(&outbox, "owner || cents").await, ["bob8"]);
        // Each has its table and indexes.
        for rows in ["rows_balances", "rows_balances__2"] {
            assert_eq!(outbox.indexes(rows).await.len(), 1, "{rows}");
        }
        // A third one has a column of the same name and another kind; the first one gets a column while it is live.
        let third = generation(3, &[CENTS]);
        write(store, &third, 4, r#"{"cents":9}"#).await;
        assert!(store.promote(&view, 3).await.unwrap());
        assert_eq!(shown(&outbox, "cents + 1").await, ["10"]);
        write(store, &first, 5, r#"{"owner":"eve","cents":11}"#).await;
        assert!(store.promote(&view, 1).await.unwrap());
        write(store, &generation(1, &[OWNER, CENTS]), 6, r#"{"owner":"eve","cents":12}"#).await;
        assert_eq!(shown(&outbox, "owner || (cents + 1)").await, ["eve13"]);
        store.leave(&third.stored_name(), &WorkerId::new("worker").unwrap()).await.unwrap();
        assert!(store.remove_generation(&view, 3).await.unwrap());
        assert_eq!(shown(&outbox, "owner").await, ["eve"]);
    }
}

#[tokio::test]
async fn r5_what_reads_a_view_by_its_name_keeps_its_right_on_postgres() {
    let test = "r5_what_reads_a_view_by_its_name_keeps_its_right_on_postgres";
    let Some(outbox) = Outbox::on_postgres(test).await else { return };
    let store = &*outbox.store;
    write(store, &generation(1, &[OWNER]), 3, r#"{"owner":"ann"}"#).await;
    outbox.execute("grant select on live_balances to public").await;
    write(store, &generation(2, &[CENTS]), 3, r#"{"cents":7}"#).await;
    let view = ViewName::new("balances").unwrap();
    assert!(store.promote(&view, 2).await.unwrap());
    let granted = "select count(*)::text from information_schema.role_table_grants \
                   where table_name = 'live_balances' and grantee = 'PUBLIC'";
    assert_eq!(outbox.texts(granted).await, ["1"]);
    // A database view over columns that the new generation lacks keeps it from being promoted, and the error names it.
    outbox.execute("create view report as select cents from live_balances").await;
    write(store, &generation(3, &[OWNER]), 4, r#"{"owner":"ann"}"#).await;
    let refused = store.promote(&view, 3).await.unwrap_err();
    assert!(refused.to_string().contains("live_balances"), "{refused}");
    assert_eq!(shown(&outbox, "cents").await, ["7"]);
}
