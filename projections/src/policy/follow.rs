//! A task that picks up changes of other processes, and edits of the file.

use std::{fmt, time::Duration};

use highwater_core::{Error, Result};
use tokio::task::JoinHandle;

use super::policies::Policies;

/// The time between two reads of the record and the file.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Picks up changes of policies until it is dropped.
#[must_use = "no change is picked up once it is dropped"]
pub struct PolicyFollower(JoinHandle<()>);

impl PolicyFollower {
    pub(super) fn start(policies: Policies) -> Self {
        Self(tokio::spawn(follow(policies)))
    }
}

impl fmt::Debug for PolicyFollower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyFollower").finish_non_exhaustive()
    }
}

impl Drop for PolicyFollower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs until it is aborted. After an error the next poll tries again.
async fn follow(policies: Policies) {
    let mut record = ErrorLog::default();
    #[cfg(feature = "service")]
    let mut file = ErrorLog::default();
    loop {
        // Not the clock of the port: the moments of the polls decide nothing.
        tokio::time::sleep(POLL_INTERVAL).await;
        record.report(policies.refresh().await);
        #[cfg(feature = "service")]
        file.report(policies.cache.refresh_file().await);
    }
}

/// Logs an error when it differs from the one before.
#[derive(Default)]
struct ErrorLog(Option<String>);

impl ErrorLog {
    fn report(&mut self, outcome: Result<()>) {
        let error = outcome.err();
        let text = error.as_ref().map(Error::to_string);
        if let Some(error) = error.filter(|_| text != self.0) {
            tracing::error!(%error, code = %error.code(), "policies stay as they were");
        }
        self.0 = text;
    }
}
