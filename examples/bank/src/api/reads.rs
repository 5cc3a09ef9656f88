//! Reads, as fresh as they are asked for, which say how fresh they are.

use axum::extract::State;
use highwater::{
    RowPage, Views as _,
    http::{Problem, ReadConditions, ViewResponse},
};

use super::{
    Api,
    asked::Asked,
    extract::{Asking, Path},
    operations::{LIST_ACCOUNTS, SHOW_BALANCE, SHOW_STATEMENT},
};
use crate::domain::{AccountId, Balance, Statement};

/// How many accounts are listed at once.
const LISTED: usize = 100;

/// What is in an account.
pub(super) async fn account(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
    Asking(asked): Asking<Asked>,
    after: ReadConditions,
) -> Result<ViewResponse<Balance>, Problem> {
    let balance = api.bank.view::<Balance>().get(id);
    after.found(asked.of(balance, &SHOW_BALANCE, &after).find().await?)
}

/// The last entries of an account.
pub(super) async fn statement(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
    Asking(asked): Asking<Asked>,
    after: ReadConditions,
) -> Result<ViewResponse<Statement>, Problem> {
    let statement = api.bank.view::<Statement>().get(id);
    after.found(asked.of(statement, &SHOW_STATEMENT, &after).find().await?)
}

/// The accounts in the order of their names: one answer with one freshness.
pub(super) async fn accounts(
    State(api): State<Api>,
    Asking(asked): Asking<Asked>,
    after: ReadConditions,
) -> Result<ViewResponse<RowPage<Balance>>, Problem> {
    let accounts = api.bank.view::<Balance>().range(.., LISTED);
    Ok(after.answer(asked.of(accounts, &LIST_ACCOUNTS, &after).await?))
}
