//! A service in this process.

use std::net::SocketAddr;

use highwater::service::{Config, Service};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::probe::{free_address, get};

/// A service in this process, with its address.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<highwater::Result<()>>,
}

impl Served {
    pub(crate) fn start(
        configure: impl FnOnce(&mut Config),
        with: impl FnOnce(Service) -> Service,
    ) -> Self {
        let mut config = Config::of("memory:");
        config.http.listen = free_address();
        configure(&mut config);
        let address = config.http.listen;
        let service = with(Service::new(config).unwrap());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(service.run(async { drop(stopped.await) }));
        Self { address, stop, task }
    }

    /// Waits until the service ends by itself.
    pub(crate) async fn ended(self) -> highwater::Result<()> {
        self.task.await.unwrap()
    }

    pub(crate) async fn stop(self) -> highwater::Result<()> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap()
    }
}

pub(crate) async fn ask(address: SocketAddr, path: &'static str) -> (u16, String) {
    tokio::task::spawn_blocking(move || get(address, path)).await.unwrap().unwrap()
}
