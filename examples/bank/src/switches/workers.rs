//! The workers that the page's switches control.

use super::{Setting, Switches};

/// The workers that the page's switches control.
#[derive(Debug, Clone)]
pub enum ControlledWorkers {
    /// No workers: the page has no switches.
    None,
    /// The workers of this process.
    Local(Switches),
    /// The workers of other processes, through their endpoints.
    #[cfg(feature = "kafka")]
    Remote(RemoteSwitches),
}

impl ControlledWorkers {
    /// Returns the setting of the switches; `None` if there are none.
    ///
    /// # Errors
    /// A worker does not respond.
    pub async fn setting(&self) -> Result<Option<Setting>, WorkerUnreachable> {
        match self {
            Self::None => Ok(None),
            Self::Local(switches) => Ok(Some(switches.setting())),
            #[cfg(feature = "kafka")]
            Self::Remote(remote) => remote.setting().await,
        }
    }

    /// Sets the switches of all workers; returns `None` if there are none.
    ///
    /// # Errors
    /// A worker does not respond. The others are set.
    pub async fn set(&self, setting: Setting) -> Result<Option<Setting>, WorkerUnreachable> {
        match self {
            Self::None => Ok(None),
            Self::Local(switches) => {
                switches.set(setting);
                Ok(Some(switches.setting()))
            }
            #[cfg(feature = "kafka")]
            Self::Remote(remote) => remote.set(setting).await,
        }
    }
}

/// A worker whose endpoint does not respond.
#[derive(Debug, thiserror::Error)]
#[error("the worker at {address} does not respond: {reason}")]
pub struct WorkerUnreachable {
    address: String,
    reason: String,
}

#[cfg(feature = "kafka")]
pub use remote::RemoteSwitches;

#[cfg(feature = "kafka")]
mod remote {
    use std::time::Duration;

    use super::{Setting, WorkerUnreachable};

    /// The limit on the response of a worker.
    const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

    /// The switches of workers in other processes.
    #[derive(Debug, Clone)]
    pub struct RemoteSwitches {
        client: reqwest::Client,
        addresses: Vec<String>,
    }

    impl RemoteSwitches {
        /// Creates the switches of the workers at these addresses, such as `http://127.0.0.1:9601`.
        #[must_use]
        pub fn at(addresses: Vec<String>) -> Self {
            Self { client: reqwest::Client::new(), addresses }
        }

        /// Returns the setting of the first worker that responds: all are set alike, unless one has restarted.
        pub(super) async fn setting(&self) -> Result<Option<Setting>, WorkerUnreachable> {
            let mut outcome = Ok(None);
            for address in &self.addresses {
                outcome = send(address, self.client.get(url(address))).await.map(Some);
                if outcome.is_ok() {
                    break;
                }
            }
            outcome
        }

        pub(super) async fn set(
            &self,
            setting: Setting,
        ) -> Result<Option<Setting>, WorkerUnreachable> {
            let mut outcome = Ok(None);
            for address in &self.addresses {
                let set = send(address, self.client.put(url(address)).json(&setting)).await;
                outcome = outcome.and(set.map(Some));
            }
            outcome
        }
    }

    fn url(address: &str) -> String {
        format!("{}/switches", address.trim_end_matches('/'))
    }

    async fn send(
        address: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Setting, WorkerUnreachable> {
        let unreachable = |error: reqwest::Error| WorkerUnreachable {
            address: address.to_owned(),
            reason: error.to_string(),
        };
        let response = request.timeout(RESPONSE_TIMEOUT).send().await.map_err(unreachable)?;
        response.error_for_status().map_err(unreachable)?.json().await.map_err(unreachable)
    }
}
