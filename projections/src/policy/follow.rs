//! Changes that others make, and edits of the file, taken up.

use std::time::Duration;

use highwater_core::Error;
use tokio::task::JoinHandle;

use super::{policies::Policies, record::RecordedChange};
use crate::metrics;

/// How often the record and the file are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Takes up changes for as long as it is kept.
#[derive(Debug)]
#[must_use = "nothing is taken up once it is dropped"]
pub struct PolicyFollower(JoinHandle<()>);

impl PolicyFollower {
    pub(super) fn begin(policies: Policies) -> Self {
        Self(tokio::spawn(policies.keep_up()))
    }
}

impl Drop for PolicyFollower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells that this change holds in this process from now on.
pub(super) fn tell(change: &RecordedChange) {
    let RecordedChange { version, by, why, rules, .. } = change;
    metrics::policies_changed("record");
    match rules {
        Some(rules) => {
            let rules = serde_json::to_string(rules).unwrap_or_default();
            tracing::info!(change = version.get(), by, why, rules, "policies have changed");
        }
        None => tracing::info!(change = version.get(), by, why, "policies are rolled back"),
    }
}

impl Policies {
    /// For ever. What can't be looked at now is looked at again; that is told once.
    async fn keep_up(self) {
        let (mut record, mut file) = (Trouble::default(), Trouble::default());
        loop {
            // Not the clock of the port: the moments at which it is looked decide on nothing.
            tokio::time::sleep(INTERVAL).await;
            record.see(self.refresh().await.err());
            file.see(self.reload().await.err());
        }
    }

    #[cfg(not(feature = "service"))]
    async fn reload(&self) -> highwater_core::Result<()> {
        Ok(())
    }
}

/// What is in the way, told when it is another than before.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    fn see(&mut self, error: Option<Error>) {
        let now = error.as_ref().map(ToString::to_string);
        if let Some(error) = error.filter(|_| now != self.0) {
            tracing::error!(%error, code = %error.code(), "policies stay as they were");
        }
        self.0 = now;
    }
}
