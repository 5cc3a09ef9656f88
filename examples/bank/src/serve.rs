//! HTTP beside a service: it begins and ends with it.

use std::net::SocketAddr;

use axum::Router;
use highwater::service::Service;
use tokio::net::TcpListener;

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

/// Has the service answer requests at this listener as well. When it is told to end, requests that are
/// under way are answered, and no new ones are taken.
#[must_use]
pub fn answering(service: Service, listener: TcpListener, router: Router) -> Service {
    service.component("HTTP", |told| axum::serve(listener, router).with_graceful_shutdown(told))
}
