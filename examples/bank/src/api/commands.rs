//! Commands: what a client sends under one `Idempotency-Key` happens once, however often it sends it.

use axum::extract::State;
use highwater::{
    Receipt, Rejection, Views as _,
    http::{CommandHeaders, Problem, ReceiptResponse},
};
use serde::Deserialize;

use super::{
    Api,
    asked::Waits,
    extract::{Asking, Body, Path},
};
use crate::domain::{Account, AccountId, Amount, Balance, Deposit, Open, Receive, Send, Withdraw};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    id: AccountId,
    owner: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cash {
    cents: Amount,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    from: AccountId,
    to: AccountId,
    cents: Amount,
}

pub(super) async fn open(
    State(api): State<Api>,
    Asking(waits): Asking<Waits>,
    intent: CommandHeaders,
    Body(Opening { id, owner }): Body<Opening>,
) -> Result<ReceiptResponse, Problem> {
    let account = api.bank.aggregate::<Account>(&id);
    let receipt = account.execute(intent.request(Open { owner })).await?;
    let is_new = !receipt.is_empty();
    let stored = api.stored(&intent, receipt, &id, waits).await;
    Ok(if is_new { stored.created(format!("/accounts/{id}")) } else { stored })
}

pub(super) async fn deposit(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
    Asking(waits): Asking<Waits>,
    intent: CommandHeaders,
    Body(Cash { cents: amount }): Body<Cash>,
) -> Result<ReceiptResponse, Problem> {
    let account = api.bank.aggregate::<Account>(&id);
    let receipt = account.execute(intent.request(Deposit { amount })).await?;
    Ok(api.stored(&intent, receipt, &id, waits).await)
}

pub(super) async fn withdraw(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
    Asking(waits): Asking<Waits>,
    intent: CommandHeaders,
    Body(Cash { cents: amount }): Body<Cash>,
) -> Result<ReceiptResponse, Problem> {
    let account = api.bank.aggregate::<Account>(&id);
    let receipt = account.execute(intent.request(Withdraw { amount })).await?;
    Ok(api.stored(&intent, receipt, &id, waits).await)
}

/// Both accounts change, or neither.
pub(super) async fn transfer(
    State(api): State<Api>,
    Asking(waits): Asking<Waits>,
    intent: CommandHeaders,
    Body(Transfer { from, to, cents: amount }): Body<Transfer>,
) -> Result<ReceiptResponse, Problem> {
    if from == to {
        return Err(Rejection::new("two_accounts", "a transfer is between two accounts").into());
    }
    let command = api
        .bank
        .atomically()
        .on::<Account, _>(&from, Send { to: to.clone(), amount })
        .on::<Account, _>(&to, Receive { from: from.clone(), amount });
    let receipt = command.execute_as(intent.request(())).await?;
    Ok(api.stored(&intent, receipt, &from, waits).await)
}

impl Api {
    /// The answer to a command, after the wait that was asked for until the balance of this account has it.
    async fn stored(
        &self,
        intent: &CommandHeaders,
        receipt: Receipt,
        id: &AccountId,
        waits: Waits,
    ) -> ReceiptResponse {
        let Some(budget) = waits.budget() else { return intent.answer(receipt) };
        let applied = self.bank.view::<Balance>().applied(id, &receipt);
        let outcome = applied.within(budget).await;
        intent.answer(receipt).outcome(outcome)
    }
}
