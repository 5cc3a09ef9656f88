//! Commands: a command with an `Idempotency-Key` is applied once, however often the client sends it.

use axum::extract::State;
use highwater::{
    Receipt, Rejection, Views as _,
    http::{CommandHeaders, Problem, ReceiptResponse},
};
use serde::Deserialize;

use super::{
    Api,
    extract::{Body, Path, QueryParams},
    read_options::WaitOption,
};
use crate::domain::{Account, AccountId, Amount, Balance, Deposit, Open, Receive, Send, Withdraw};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenBody {
    id: AccountId,
    owner: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AmountBody {
    cents: Amount,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransferBody {
    from: AccountId,
    to: AccountId,
    cents: Amount,
}

pub(super) async fn open(
    State(api): State<Api>,
    QueryParams(wait): QueryParams<WaitOption>,
    headers: CommandHeaders,
    Body(OpenBody { id, owner }): Body<OpenBody>,
) -> Result<ReceiptResponse, Problem> {
    let account = api.bank.aggregate::<Account>(&id);
    let receipt = account.execute(headers.request(Open { owner })).await?;
    let is_new = !receipt.is_empty();
    let stored = api.stored(&headers, receipt, &id, wait).await;
    Ok(if is_new { stored.created(format!("/accounts/{id}")) } else { stored })
}

pub(super) async fn deposit(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
    QueryParams(wait): QueryParams<WaitOption>,
    headers: CommandHeaders,
    Body(AmountBody { cents: amount }): Body<AmountBody>,
) -> Result<ReceiptResponse, Problem> {
    let account = api.bank.aggregate::<Account>(&id);
    let receipt = account.execute(headers.request(Deposit { amount })).await?;
    Ok(api.stored(&headers, receipt, &id, wait).await)
}

pub(super) async fn withdraw(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
    QueryParams(wait): QueryParams<WaitOption>,
    headers: CommandHeaders,
    Body(AmountBody { cents: amount }): Body<AmountBody>,
) -> Result<ReceiptResponse, Problem> {
    let account = api.bank.aggregate::<Account>(&id);
    let receipt = account.execute(headers.request(Withdraw { amount })).await?;
    Ok(api.stored(&headers, receipt, &id, wait).await)
}

/// Both accounts change, or neither.
pub(super) async fn transfer(
    State(api): State<Api>,
    QueryParams(wait): QueryParams<WaitOption>,
    headers: CommandHeaders,
    Body(TransferBody { from, to, cents: amount }): Body<TransferBody>,
) -> Result<ReceiptResponse, Problem> {
    if from == to {
        return Err(Rejection::new("two_accounts", "a transfer is between two accounts").into());
    }
    let command = api
        .bank
        .atomically()
        .on::<Account, _>(&from, Send { to: to.clone(), amount })
        .on::<Account, _>(&to, Receive { from: from.clone(), amount });
    let receipt = command.execute_as(headers.request(())).await?;
    Ok(api.stored(&headers, receipt, &from, wait).await)
}

impl Api {
    /// Creates the response to a command, after waiting as long as requested for the balance of this account to apply it.
    async fn stored(
        &self,
        headers: &CommandHeaders,
        receipt: Receipt,
        id: &AccountId,
        wait: WaitOption,
    ) -> ReceiptResponse {
        let Some(budget) = wait.budget() else { return headers.answer(receipt) };
        let applied = self.bank.view::<Balance>().applied(id, &receipt);
        let outcome = applied.within(budget).await;
        headers.answer(receipt).outcome(outcome)
    }
}
