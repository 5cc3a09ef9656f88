//! R3: tokens of another log are refused immediately.

use std::time::Duration;

use highwater::{
    Code, Position, Token, Views as _,
    value::{LogId, PartitionId},
};
use highwater_test_support::bank::{Balance, banks};

use crate::views::{deposit, work_until};

const LONG_BUDGET: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_token_survives_a_restart_of_everything() {
    for store in banks() {
        let text = {
            let bank = store.open().await;
            let receipt = deposit(&bank, "alice", 1).await;
            work_until::<Balance>(&bank, &receipt).await;
            receipt.token().to_string()
        };
        let bank = store.open().await;
        let token: Token = text.parse().unwrap();
        assert_eq!(token.log(), Some(bank.log().log_id()));
        let alice =
            bank.view::<Balance>().get("alice").after(&token).within(LONG_BUDGET).await.unwrap();
        assert_eq!(alice.cents, 1);
        // A token of the previous format names no log, and is accepted as it is.
        let old: Token = "AQAB".parse().unwrap();
        assert_eq!(bank.view::<Balance>().get("alice").after(&old).await.unwrap().cents, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_token_of_another_log_or_of_the_future_is_refused_at_once() {
    for (store, another) in banks().into_iter().zip(banks()) {
        let (bank, another) = (store.open().await, another.open().await);
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let foreign = deposit(&another, "alice", 1).await.token().clone();
        let own = deposit(&bank, "alice", 2).await.token().clone();
        let future = Position::new(3);
        for token in [
            foreign.clone(),
            foreign.merge(&own),
            Token::of(LogId::new(7), Position::START),
            Token::of(bank.log().log_id(), future),
            Token::at(future),
            own.clone().with(PartitionId::LOG, Position::END),
            // The log has no such partition, at any position.
            own.clone().with(PartitionId::new(1), Position::START),
            own.with(PartitionId::new(7), Position::new(1)),
            Token::default().with(PartitionId::new(1), Position::new(1)),
        ] {
            let alice = bank.view::<Balance>().get("alice").after(&token).within(LONG_BUDGET);
            let error = alice.await.unwrap_err();
            assert_eq!(error.code(), Code::FOREIGN_TOKEN, "{token:?}: {error}");
            let applied = bank.view::<Balance>().applied("alice", &token).within(LONG_BUDGET);
            assert_eq!(applied.await.unwrap_err().code(), Code::FOREIGN_TOKEN, "{token:?}");
            let rows = bank.view::<Balance>().range("".., 10).after(&token).within(LONG_BUDGET);
            assert_eq!(rows.await.unwrap_err().code(), Code::FOREIGN_TOKEN);
        }
    }
}
