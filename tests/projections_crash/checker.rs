//! Compares views with a fold of the log. The checker reads both only through their ports,
//! independently of workers, feeds and shards.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use highwater::{Highwater, View, domain::ViewName, port::ViewStore};
use highwater_test_support::ledger::{self, ByAccount, ByCustomer, ByPartner};

use crate::{
    findings::{Finding, Journal, Wrong, of_rows},
    writer::Keyspace,
};

/// The time within which a view must catch up after the last fault.
pub(crate) const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(300);

impl Journal for ByAccount {
    fn seen(&self) -> &[u64] {
        &self.0.seen
    }
}

impl Journal for ByCustomer {
    fn seen(&self) -> &[u64] {
        &self.trace.seen
    }
}

impl Journal for ByPartner {
    fn seen(&self) -> &[u64] {
        &self.0.seen
    }
}

/// Returns the findings of the three views of the ledger, once they have caught up with the log.
pub(crate) async fn check(bank: &Highwater, keys: &Keyspace) -> Vec<Finding> {
    let right = ledger::expected(&**bank.log()).await;
    let views = &**bank.views();
    let mut findings = Vec::new();
    for name in [ByAccount::NAME, ByCustomer::NAME, ByPartner::NAME] {
        findings.extend(behind(views, name, right.head, CATCH_UP_TIMEOUT).await);
    }
    findings.extend(view(views, &right.by_account, keys.accounts()).await);
    findings.extend(view(views, &right.by_customer, keys.customers()).await);
    findings.extend(view(views, &right.by_partner, keys.partners()).await);
    findings
}

/// Returns the findings of a view with these expected rows, which can have extra rows only among
/// `keys`.
pub(crate) async fn view<V: View + Journal + PartialEq>(
    views: &dyn ViewStore,
    right: &BTreeMap<String, V>,
    keys: impl Iterator<Item = String>,
) -> Vec<Finding> {
    let keys = keys.chain(right.keys().cloned()).collect();
    of_rows(V::NAME, right, &rows(views, keys).await)
}

/// Returns the shards that don't catch up within this time.
pub(crate) async fn behind(
    views: &dyn ViewStore,
    view: &str,
    head: u64,
    patience: Duration,
) -> Vec<Finding> {
    let (name, began) = (ViewName::new(view).unwrap(), Instant::now());
    loop {
        let state = views.read_view(&name, &[]).await.unwrap().state;
        let shards = (0..).zip(state.shards.iter().map(|shard| shard.position.get()));
        let behind: Vec<(u32, u64)> = shards.filter(|(_, position)| *position < head).collect();
        if behind.is_empty() || began.elapsed() >= patience {
            let finding = |(shard, at): (u32, u64)| {
                Finding::new(view, &format!("shard {shard}"), Wrong::Behind(at, head))
            };
            return behind.into_iter().map(finding).collect();
        }
        let changed = views.wait_for_view_change(&name, &state);
        let _ = tokio::time::timeout(Duration::from_millis(200), changed).await;
    }
}

async fn rows<V: View>(views: &dyn ViewStore, keys: Vec<String>) -> BTreeMap<String, V> {
    let (name, mut rows) = (ViewName::new(V::NAME).unwrap(), BTreeMap::new());
    for keys in keys.chunks(500) {
        let stored = views.read_view(&name, keys).await.unwrap().rows;
        for (key, row) in keys.iter().zip(stored) {
            let row = row.value.map(|row| serde_json::from_slice(&row).unwrap());
            rows.extend(row.map(|row| (key.clone(), row)));
        }
    }
    rows
}

/// Asserts that there are no findings, and prints the first of them.
pub(crate) fn assert_no_findings(findings: &[Finding]) {
    let named: Vec<String> = findings.iter().take(40).map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), named.join("\n"));
}
