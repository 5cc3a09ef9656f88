//! What the bank reads for, by name, and how fresh each of these reads must be: changed at run time, for
//! everybody or for some, and back (M14, O4).

use axum::{Json, extract::State};
use highwater::{
    Highwater, Operation, ReadPolicy, Timestamp, Views as _,
    http::{CommandHeaders, Problem, ReceiptResponse},
    policy::{PolicyChange, PolicyFollower, PolicyRollback, RecordedChange, Rule},
    service::Config,
};
use serde::{Deserialize, Serialize};

use super::{Api, extract::Body};

/// An account is shown. Whoever has just changed it sees that.
pub(super) const SHOW_BALANCE: Operation = Operation::standard("balance.show");
/// The last entries of an account are shown.
pub(super) const SHOW_STATEMENT: Operation = Operation::standard("statement.show");
/// The accounts are listed.
pub(super) const LIST_ACCOUNTS: Operation = Operation::auxiliary("account.list");

/// How many changes of policies are told.
const TOLD: usize = 10;

/// Makes the operations known, reads the file of policies if there is one, and takes up what is changed from
/// now on.
pub(super) async fn follow(bank: &Highwater, config: &Config) -> highwater::Result<PolicyFollower> {
    let policies = bank.policies();
    policies.register(&[SHOW_BALANCE, SHOW_STATEMENT, LIST_ACCOUNTS])?;
    if let Some(file) = &config.policies {
        policies.load(file)?;
    }
    policies.follow().await
}

/// The policies that hold here, and their last changes.
#[derive(Serialize)]
pub(super) struct Policies {
    operations: Vec<Told>,
    history: Vec<Change>,
}

#[derive(Serialize)]
struct Told {
    name: &'static str,
    tier: &'static str,
    /// As the program was written.
    policy: ReadPolicy,
    /// What is said otherwise.
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

impl From<(Operation, Rule)> for Told {
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
    let operations = policies.operations().into_iter().map(Told::from).collect();
    let history = policies.history(TOLD).await?.into_iter().map(Change::from).collect();
    Ok(Json(Policies { operations, history }))
}

/// Another rule for an operation, by somebody and for a reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changing {
    by: String,
    why: String,
    operation: String,
    rule: Rule,
}

pub(super) async fn change(
    State(api): State<Api>,
    intent: CommandHeaders,
    Body(Changing { by, why, operation, rule }): Body<Changing>,
) -> Result<ReceiptResponse, Problem> {
    let policies = api.bank.policies();
    let operation = policies.operation(&operation)?;
    let change = PolicyChange::by(by, why).set(&operation, rule);
    Ok(intent.answer(policies.change(intent.request(change)).await?))
}

/// The last change is taken back, by somebody and for a reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollingBack {
    by: String,
    why: String,
}

pub(super) async fn roll_back(
    State(api): State<Api>,
    intent: CommandHeaders,
    Body(RollingBack { by, why }): Body<RollingBack>,
) -> Result<ReceiptResponse, Problem> {
    let rollback = intent.request(PolicyRollback::by(by, why));
    Ok(intent.answer(api.bank.policies().roll_back(rollback).await?))
}
