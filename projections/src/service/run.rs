//! A service from its start to its end.

use std::{collections::HashSet, mem, time::Duration};

use highwater_core::{
    Result,
    error::{Invalid, Unavailable},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{sync::watch, task::JoinSet};

use super::{
    Config, Service, Shutdown,
    endpoint::Endpoint,
    readiness::{Board, Phase},
    signals::Signals,
};
use crate::WorkerHandle;

/// How often the recorder tidies up what it has counted.
const UPKEEP: Duration = Duration::from_secs(5);

impl Service {
    /// Runs until SIGTERM or Ctrl-C. Then it drains: what is under way is finished, shards and leads
    /// are given back. A second signal ends it at once, as does the end of the time for that
    /// ([`Config::drain`]); what is under way then is committed or not, and done by whoever goes on.
    ///
    /// A projection that stops for somebody to look doesn't end the service: readiness says so. A relay or
    /// a part of the program's own that ends by itself does: the rest then drains just the same. So it
    /// does if it is told to end while it is still starting.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) or
    /// [`Unavailable`](highwater_core::Error::Unavailable) if it can't start;
    /// what made a projection stop or another part fail, if anything did;
    /// [`Unavailable`](highwater_core::Error::Unavailable) if it had not drained in time. Of several the
    /// first, and the others are logged.
    pub async fn run_until_shutdown(self) -> Result<()> {
        let signals = Signals::listen()?;
        self.run_and_end(signals.told(1), |was_told| signals.told(1 + u32::from(was_told))).await
    }

    /// Runs until `shutdown`, and drains then, as [`Service::run_until_shutdown`].
    ///
    /// # Errors
    /// As [`Service::run_until_shutdown`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        self.run_and_end(shutdown, |_| std::future::pending()).await
    }

    /// What `at_once` makes when the drain begins ends it at once: it is told whether it was to end.
    async fn run_and_end<F: Future<Output = ()>>(
        mut self,
        shutdown: impl Future<Output = ()>,
        at_once: impl FnOnce(bool) -> F,
    ) -> Result<()> {
        let (board, drains) = (Board::default(), self.config.drain);
        let endpoint = Endpoint::bind(self.config.http.listen, &board, &self.metrics).await?;
        if let Some(address) = endpoint.address() {
            tracing::info!(%address, "answering at /live, /ready and /metrics");
        }
        let mut aside = JoinSet::new();
        aside.spawn(endpoint.serve());
        aside.spawn(keep_up(self.metrics.clone()));
        let mut parts = Parts::default();
        let working = async {
            self.start(&mut parts, &board).await?;
            board.enter(Phase::Running);
            parts.ended().await
        };
        // A part that hears the same signal may end at the same moment: then it was told.
        let (outcome, at_once) = tokio::select! {
            biased;
            () = shutdown => (Ok(()), at_once(true)),
            outcome = working => {
                let is_ok = outcome.is_ok();
                tell_why(&outcome);
                (outcome, at_once(is_ok))
            }
        };
        tracing::info!(within = ?drains, "draining");
        board.enter(Phase::Draining);
        let outcome = and(outcome, drain(parts, drains, at_once).await);
        #[cfg(feature = "otlp")]
        super::otlp::flush().await;
        outcome
    }

    async fn start(&mut self, parts: &mut Parts, board: &Board) -> Result<()> {
        for worker in self.workers.drain(..) {
            let running = worker.start().await?;
            board.projections(running.statuses());
            parts.workers.push(running);
        }
        parts.have(&self.config)?;
        #[cfg(feature = "kafka")]
        {
            board.sources(mem::take(&mut self.sources));
            for relay in self.relays.drain(..) {
                board.relay(relay.status());
                parts.begin(move |told| relay.run(told));
            }
        }
        self.own.drain(..).for_each(|part| parts.begin(part));
        Ok(())
    }
}

/// A part has ended although nobody has told it to.
fn tell_why(outcome: &Result<()>) {
    match outcome {
        Ok(()) => tracing::warn!("a part has ended by itself, and so does the service"),
        Err(error) => {
            tracing::error!(%error, code = %error.code(), "the service ends by itself");
        }
    }
}

/// What went wrong first counts, and the rest is told.
fn and(first: Result<()>, then: Result<()>) -> Result<()> {
    if let (Err(_), Err(error)) = (&first, &then) {
        tracing::error!(%error, code = %error.code(), "this has failed as well");
    }
    first.and(then)
}

async fn keep_up(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        metrics.run_upkeep();
    }
}

/// Ends everything in order, unless that takes too long.
async fn drain(
    mut parts: Parts,
    within: Duration,
    at_once: impl Future<Output = ()>,
) -> Result<()> {
    let late = async {
        tokio::select! {
            () = tokio::time::sleep(within) => {}
            () = at_once => {}
        }
    };
    let began = std::time::Instant::now();
    let mut outcome = Ok(());
    let drained = tokio::select! {
        () = parts.stop(&mut outcome) => Ok(()),
        () = late => Err(Unavailable::ShutdownTimeout { waited: began.elapsed() }.into()),
    };
    and(outcome, drained)
}

/// What a service runs.
#[derive(Default)]
struct Parts {
    workers: Vec<WorkerHandle>,
    others: JoinSet<Result<()>>,
    stop: watch::Sender<bool>,
}

impl Parts {
    fn begin<F>(&mut self, part: impl FnOnce(Shutdown) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let mut stop = self.stop.subscribe();
        let told = async move { drop(stop.wait_for(|stop| *stop).await) };
        self.others.spawn(part(Box::pin(told)));
    }

    /// Checks that everything that is configured is there: a name that is none is a mistake.
    fn have(&self, config: &Config) -> Result<()> {
        let statuses = self.workers.iter().flat_map(WorkerHandle::statuses);
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
    async fn stop(&mut self, outcome: &mut Result<()>) {
        self.stop.send_replace(true);
        for running in self.workers.drain(..) {
            self.others.spawn(running.stop());
        }
        while let Some(ended) = self.others.join_next().await {
            *outcome = and(mem::replace(outcome, Ok(())), joined(ended));
        }
    }
}

fn joined(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| {
        Err(Invalid::request(format!("a part of the service panicked: {error}")).into())
    })
}
