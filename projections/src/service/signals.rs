//! SIGTERM and Ctrl-C, which an operator or an orchestrator sends to shut down a service.

use highwater_core::{
    Result,
    error::{Invalid, Source},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

/// The number of shutdown signals received so far.
pub(super) struct Signals {
    count: watch::Receiver<u32>,
    _listening: JoinSet<()>,
}

impl Signals {
    /// Starts to listen. From now on a signal does not end the process by itself.
    pub(super) fn listen() -> Result<Self> {
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let (sender, count) = watch::channel(0);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => tracing::info!("SIGTERM"),
                    _ = interrupt.recv() => tracing::info!("SIGINT"),
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count, _listening: listening })
    }

    /// Waits for this number of signals.
    pub(super) fn received(&self, times: u32) -> impl Future<Output = ()> + use<> {
        let mut count = self.count.clone();
        async move { drop(count.wait_for(|count| *count >= times).await) }
    }
}

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| {
        let message = "this process can't listen to signals";
        Invalid::configuration(message).caused_by(Source::new(error)).into()
    })
}
