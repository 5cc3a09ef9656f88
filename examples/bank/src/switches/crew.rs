//! The workers that the switches of a page reach.

use super::{Setting, Switches};

/// The workers that the switches of a page reach.
#[derive(Debug, Clone)]
pub enum Crew {
    /// None: how workers are run is not the page's affair.
    Nobody,
    /// Those of this process.
    Here(Switches),
    /// Those with a door at these addresses.
    #[cfg(feature = "kafka")]
    Elsewhere(Doors),
}

impl Crew {
    /// How the switches stand; `None` if there are none.
    ///
    /// # Errors
    /// A worker that doesn't answer.
    pub async fn setting(&self) -> Result<Option<Setting>, Unreached> {
        match self {
            Self::Nobody => Ok(None),
            Self::Here(switches) => Ok(Some(switches.setting())),
            #[cfg(feature = "kafka")]
            Self::Elsewhere(doors) => doors.setting().await,
        }
    }

    /// Sets the switches of all of them; `None` if there are none.
    ///
    /// # Errors
    /// A worker that doesn't answer. The others are set.
    pub async fn set(&self, setting: Setting) -> Result<Option<Setting>, Unreached> {
        match self {
            Self::Nobody => Ok(None),
            Self::Here(switches) => {
                switches.set(setting);
                Ok(Some(switches.setting()))
            }
            #[cfg(feature = "kafka")]
            Self::Elsewhere(doors) => doors.set(setting).await,
        }
    }
}

/// A worker that doesn't answer at its door.
#[derive(Debug, thiserror::Error)]
#[error("the worker at {door} does not answer: {reason}")]
pub struct Unreached {
    door: String,
    reason: String,
}

#[cfg(feature = "kafka")]
pub use elsewhere::Doors;

#[cfg(feature = "kafka")]
mod elsewhere {
    use std::time::Duration;

    use super::{Setting, Unreached};

    /// How long a worker may take to answer.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// The doors of workers in other processes.
    #[derive(Debug, Clone)]
    pub struct Doors {
        client: reqwest::Client,
        doors: Vec<String>,
    }

    impl Doors {
        /// The doors at these addresses, as `http://127.0.0.1:9601`.
        #[must_use]
        pub fn at(doors: Vec<String>) -> Self {
            Self { client: reqwest::Client::new(), doors }
        }

        /// The setting of the first that answers: all have been set alike, unless one has started anew.
        pub(super) async fn setting(&self) -> Result<Option<Setting>, Unreached> {
            let mut outcome = Ok(None);
            for door in &self.doors {
                outcome = ask(door, self.client.get(url(door))).await.map(Some);
                if outcome.is_ok() {
                    break;
                }
            }
            outcome
        }

        pub(super) async fn set(&self, setting: Setting) -> Result<Option<Setting>, Unreached> {
            let mut outcome = Ok(None);
            for door in &self.doors {
                let set = ask(door, self.client.put(url(door)).json(&setting)).await;
                outcome = outcome.and(set.map(Some));
            }
            outcome
        }
    }

    fn url(door: &str) -> String {
        format!("{}/switches", door.trim_end_matches('/'))
    }

    async fn ask(door: &str, request: reqwest::RequestBuilder) -> Result<Setting, Unreached> {
        let unreached =
            |error: reqwest::Error| Unreached { door: door.to_owned(), reason: error.to_string() };
        let answer = request.timeout(PATIENCE).send().await.map_err(unreached)?;
        answer.error_for_status().map_err(unreached)?.json().await.map_err(unreached)
    }
}
