//! Reads, with the requested freshness; each response states its own.

use axum::extract::State;
use highwater::{
    Views as _,
    http::{Problem, ReadConditions, ViewResponse},
    read::RowPage,
};

use super::{
    Api,
    extract::{Path, QueryParams},
    operations::{LIST_ACCOUNTS, SHOW_BALANCE, SHOW_STATEMENT},
    read_options::ReadOptions,
};
use crate::domain::{AccountId, Balance, Statement};

/// The number of accounts in a list.
const LIST_SIZE: usize = 100;

/// The balance of an account.
pub(super) async fn account(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
    QueryParams(options): QueryParams<ReadOptions>,
    conditions: ReadConditions,
) -> Result<ViewResponse<Balance>, Problem> {
    let balance = api.bank.view::<Balance>().get(id);
    conditions.found(options.apply(balance, &SHOW_BALANCE, &conditions).find().await?)
}

/// The last entries of an account.
pub(super) async fn statement(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
    QueryParams(options): QueryParams<ReadOptions>,
    conditions: ReadConditions,
) -> Result<ViewResponse<Statement>, Problem> {
    let statement = api.bank.view::<Statement>().get(id);
    conditions.found(options.apply(statement, &SHOW_STATEMENT, &conditions).find().await?)
}

/// The accounts in the order of their ids: one response with one freshness.
pub(super) async fn accounts(
    State(api): State<Api>,
    QueryParams(options): QueryParams<ReadOptions>,
    conditions: ReadConditions,
) -> Result<ViewResponse<RowPage<Balance>>, Problem> {
    let accounts = api.bank.view::<Balance>().range(.., LIST_SIZE);
    Ok(conditions.answer(options.apply(accounts, &LIST_ACCOUNTS, &conditions).await?))
}
