//! HTTP as a component of a service.

use std::net::SocketAddr;

use axum::Router;
use highwater::service::Service;
use tokio::net::TcpListener;

/// The outcome of a program of the bank.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Listens on an address; an error names the command-line argument that it came from.
///
/// # Errors
/// The address is in use, or is not an address of this machine.
pub async fn listener(argument: &str, address: SocketAddr) -> Outcome<TcpListener> {
    let listening = TcpListener::bind(address).await;
    listening.map_err(|error| format!("{argument} {address} can't be listened on: {error}").into())
}

/// Adds an HTTP server to a service. On shutdown it finishes the requests in progress, and accepts no new ones.
#[must_use]
pub fn with_http(service: Service, listener: TcpListener, router: Router) -> Service {
    service.component("HTTP", |shutdown| {
        axum::serve(listener, router).with_graceful_shutdown(shutdown)
    })
}
