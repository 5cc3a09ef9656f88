//! The bank's read operations by name, and their freshness policies: changed at run time, for all clients or for some, and
//! rolled back (M14, O4).

use axum::{Json, extract::State};
use highwater::{
    Highwater, Views as _,
    consistency::{Operation, ReadPolicy},
    http::{CommandHeaders, Problem, ReceiptResponse},
    policy::{PolicyChange, PolicyFollower, PolicyRollback, RecordedChange, Rule},
    service::Config,
    value::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{Api, extract::Body};

/// Shows an account. A client that has just changed it sees the change.
pub(super) const SHOW_BALANCE: Operation = Operation::standard("balance.show");
/// Shows the last entries of an account.
pub(super) const SHOW_STATEMENT: Operation = Operation::standard("statement.show");
/// Lists the accounts.
pub(super) const LIST_ACCOUNTS: Operation = Operation::auxiliary("account.list");

/// The number of policy changes in the history.
const HISTORY_SIZE: usize = 10;

/// Registers the operations, reads the file of policies if there is one, and follows later changes.
pub(super) async fn follow(bank: &Highwater, config: &Config) -> highwater::Result<PolicyFollower> {
    let policies = bank.policies();
    policies.register(&[SHOW_BALANCE, SHOW_STATEMENT, LIST_ACCOUNTS])?;
    if let Some(file) = &config.policies {
        policies.load(file)?;
    }
    policies.follow().await
}

/// The policies in effect, and their last changes.
#[derive(Serialize)]
pub(super) struct Policies {
    operations: Vec<OperationPolicy>,
    history: Vec<Change>,
}

#[derive(Serialize)]
struct OperationPolicy {
    name: &'static str,
    tier: &'static str,
    /// The policy in the program.
    policy: ReadPolicy,
    /// The rule that overrides it.
    rule: Rule,
}

#[derive(Serialize)]
struct Change {
    number: u64,
    by: String,
    at: Timestamp,
    why: String,
    is_rollback: bool,
}

impl From<(Operation, Rule)> for OperationPolicy {
    fn from((operation, rule): (Operation, Rule)) -> Self {
        let (name, tier, policy) = (operation.name(), operation.tier().name(), operation.policy());
        Self { name, tier, policy, rule }
    }
}

impl From<RecordedChange> for Change {
    fn from(change: RecordedChange) -> Self {
        let RecordedChange { version, by, at, why, rules, .. } = change;
        Self { number: version.get(), by, at, why, is_rollback: rules.is_none() }
    }
}

pub(super) async fn policies(State(api): State<Api>) -> Result<Json<Policies>, Problem> {
    let policies = api.bank.policies();
    let operations = policies.operations().into_iter().map(OperationPolicy::from).collect();
    let history = policies.history(HISTORY_SIZE).await?.into_iter().map(Change::from).collect();
    Ok(Json(Policies { operations, history }))
}

/// A new rule for an operation, with author and reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    by: String,
    why: String,
    operation: String,
    rule: Rule,
}

pub(super) async fn change(
    State(api): State<Api>,
    headers: CommandHeaders,
    Body(ChangeBody { by, why, operation, rule }): Body<ChangeBody>,
) -> Result<ReceiptResponse, Problem> {
    let policies = api.bank.policies();
    let operation = policies.operation(&operation)?;
    let change = PolicyChange::by(by, why).set(&operation, rule);
    Ok(headers.answer(policies.change(headers.request(change)).await?))
}

/// A rollback of the last change, with author and reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackBody {
    by: String,
    why: String,
}

pub(super) async fn roll_back(
    State(api): State<Api>,
    headers: CommandHeaders,
    Body(RollbackBody { by, why }): Body<RollbackBody>,
) -> Result<ReceiptResponse, Problem> {
    let rollback = headers.request(PolicyRollback::by(by, why));
    Ok(headers.answer(api.bank.policies().roll_back(rollback).await?))
}
