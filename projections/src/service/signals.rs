//! SIGTERM and Ctrl-C, by which an operator or an orchestrator ends a service.

use highwater_core::{
    Result,
    error::{Invalid, Source},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

/// How often the process has been told to end.
pub(super) struct Signals {
    times: watch::Receiver<u32>,
    _listening: JoinSet<()>,
}

impl Signals {
    /// Listens from now on. A signal no longer ends the process by itself.
    pub(super) fn listen() -> Result<Self> {
        let (mut terminate, mut interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let (sender, times) = watch::channel(0);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => tracing::info!("SIGTERM"),
                    _ = interrupt.recv() => tracing::info!("SIGINT"),
                }
                sender.send_modify(|times| *times += 1);
            }
        });
        Ok(Self { times, _listening: listening })
    }

    /// Waits until the process has been told so often.
    pub(super) fn told(&self, often: u32) -> impl Future<Output = ()> + use<> {
        let mut times = self.times.clone();
        async move { drop(times.wait_for(|times| *times >= often).await) }
    }
}

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| {
        let message = "this process can't listen to signals";
        Invalid::configuration(message).caused_by(Source::new(error)).into()
    })
}
