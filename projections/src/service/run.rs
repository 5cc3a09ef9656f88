//! A service from its start to its end.

use std::{collections::HashSet, time::Duration};

use highwater_core::{
    Result,
    error::{Invalid, Unavailable},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{sync::watch, task::JoinSet};

use super::{
    Config, Service, Told,
    endpoint::Endpoint,
    readiness::{Board, Phase},
    signals::Signals,
};
use crate::Running;

/// How often the recorder tidies up what it has counted.
const UPKEEP: Duration = Duration::from_secs(5);

impl Service {
    /// Runs until SIGTERM or Ctrl-C. Then it drains: what is under way is finished, shards and leads
    /// are given back. A second signal ends it at once, as does the end of the time for that
    /// ([`Config::drain`]); what is under way then is committed or not, and done by whoever goes on.
    ///
    /// A projection that stops for somebody to look doesn't end the service: readiness says so. A relay or
    /// a part of the program's own that ends by itself does: the rest then drains just the same.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) or
    /// [`Unavailable`](highwater_core::Error::Unavailable) if it can't start;
    /// [`Unavailable`](highwater_core::Error::Unavailable) if it had not drained in time; what made a
    /// projection stop or another part fail, if anything did.
    pub async fn run_until_told(self) -> Result<()> {
        let signals = Signals::listen()?;
        self.run_and_end(signals.told(1), signals.told(2)).await
    }

    /// Runs until `shutdown`, and drains then, as [`Service::run_until_told`].
    ///
    /// # Errors
    /// As [`Service::run_until_told`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        self.run_and_end(shutdown, std::future::pending()).await
    }

    async fn run_and_end(
        self,
        shutdown: impl Future<Output = ()>,
        at_once: impl Future<Output = ()>,
    ) -> Result<()> {
        let Self { config, metrics, workers, own, .. } = self;
        let board = Board::default();
        let endpoint = Endpoint::bind(config.http.listen, &board, &metrics).await?;
        if let Some(address) = endpoint.address() {
            tracing::info!(%address, "answering at /live, /ready and /metrics");
        }
        let mut aside = JoinSet::new();
        aside.spawn(endpoint.serve());
        aside.spawn(keep_up(metrics));
        let mut parts = Parts::default();
        for worker in workers {
            let running = worker.start().await?;
            board.projections(running.statuses());
            parts.workers.push(running);
        }
        parts.have(&config)?;
        #[cfg(feature = "kafka")]
        {
            board.sources(self.sources);
            for relay in self.relays {
                board.relay(relay.status());
                parts.begin(move |told| relay.run(told));
            }
        }
        for part in own {
            parts.begin(part);
        }
        board.enter(Phase::Running);
        let outcome = tokio::select! {
            () = shutdown => Ok(()),
            outcome = parts.ended() => outcome,
        };
        tracing::info!(within = ?config.drain, "draining");
        board.enter(Phase::Draining);
        let outcome = outcome.and(drain(parts, config.drain, at_once).await);
        #[cfg(feature = "otlp")]
        super::otlp::flush().await;
        outcome
    }
}

async fn keep_up(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.run_upkeep();
    }
}

/// Ends everything in order, unless that takes too long.
async fn drain(parts: Parts, within: Duration, at_once: impl Future<Output = ()>) -> Result<()> {
    let late = async {
        tokio::select! {
            () = tokio::time::sleep(within) => {}
            () = at_once => {}
        }
    };
    let began = std::time::Instant::now();
    tokio::select! {
        outcome = parts.stop() => outcome,
        () = late => Err(Unavailable::NotDrained { waited: began.elapsed() }.into()),
    }
}

/// What a service runs.
#[derive(Default)]
struct Parts {
    workers: Vec<Running>,
    others: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Parts {
    fn begin<F>(&mut self, part: impl FnOnce(Told) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let mut stop = self.stop.subscribe();
        let told = async move { drop(stop.wait_for(|stop| *stop).await) };
        self.others.spawn(part(Box::pin(told)));
    }

    /// Checks that everything that is configured is there: a name that is none is a mistake.
    fn have(&self, config: &Config) -> Result<()> {
        let statuses = self.workers.iter().flat_map(Running::statuses);
        let names: HashSet<&str> = statuses.map(|status| status.view().as_str()).collect();
        match config.projections.keys().find(|name| !names.contains(name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let mut names: Vec<_> = names.into_iter().collect();
                names.sort_unstable();
                let message = format!(
                    "the key projections.{name} is about no projection of this service; there are {}",
                    names.join(", ")
                );
                Err(Invalid::configuration(message).into())
            }
        }
    }

    /// Waits until one ends although nobody has told it to: a relay can't work as it is set up, say.
    async fn ended(&mut self) -> Result<()> {
        match self.others.join_next().await {
            Some(ended) => joined(ended),
            None => std::future::pending().await,
        }
    }

    /// Ends everything in order, all of it at the same time.
    async fn stop(mut self) -> Result<()> {
        self.stop.send_replace(true);
        for running in self.workers.drain(..) {
            self.others.spawn(running.stop());
        }
        let mut outcome = Ok(());
        while let Some(ended) = self.others.join_next().await {
            outcome = outcome.and(joined(ended));
        }
        outcome
    }
}

fn joined(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| {
        Err(Invalid::request(format!("a part of the service panicked: {error}")).into())
    })
}
