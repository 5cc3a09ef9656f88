//! The API beside a service, from the start to the end.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use highwater::{Code, service::Service};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
};

/// What a program of the bank ends with, if it does not end well.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Listens at this address, which the argument of this name has told.
///
/// # Errors
/// Somebody else listens there, or it is no address of this machine.
pub async fn listener(argument: &str, address: SocketAddr) -> Outcome<TcpListener> {
    let listening = TcpListener::bind(address).await;
    listening.map_err(|error| format!("{argument} {address} can't be listened at: {error}").into())
}

/// Answers requests at this listener and runs the service, until SIGTERM or Ctrl-C. Both then end in
/// order: requests that are under way are answered, and no new ones are taken.
///
/// # Errors
/// As [`Service::run_until_told`]; requests that were still under way when the time for the end was over.
pub async fn beside(service: Service, listener: TcpListener, router: Router) -> Outcome {
    let drain = service.config().drain;
    let (end, ended) = oneshot::channel();
    let answering = answer(listener, router, ended)?;
    match service.run_until_told().await {
        // It was to end at once.
        Err(error) if error.code() == Code::NOT_DRAINED => Err(error.into()),
        outcome => {
            drop(end);
            within(drain, answering).await?;
            Ok(outcome?)
        }
    }
}

/// Answers requests until SIGTERM or Ctrl-C, or the service beside it has ended by itself.
fn answer(
    listener: TcpListener,
    router: Router,
    ended: oneshot::Receiver<()>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = ended => {}
        }
    };
    Ok(tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(told).into_future()))
}

async fn within(drain: Duration, answering: JoinHandle<io::Result<()>>) -> Outcome {
    match tokio::time::timeout(drain, answering).await {
        Ok(ended) => Ok(ended??),
        Err(_) => Err(format!("requests were still under way after {drain:?}").into()),
    }
}
