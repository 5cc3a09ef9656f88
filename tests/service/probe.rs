//! Probes a service like an orchestrator.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The time within which an expected state must be reached.
pub(crate) const STATE_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns an address that no socket listens on now.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Returns the status and the body of a response; `None` if there is none.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(STATE_TIMEOUT)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Waits until the readiness report of the service satisfies the condition.
pub(crate) fn until(address: SocketAddr, is: impl Fn(u16, &Value) -> bool) -> Value {
    let began = Instant::now();
    let mut last = None;
    while began.elapsed() < STATE_TIMEOUT {
        if let Some((status, body)) = get(address, "/ready") {
            let report: Value = serde_json::from_str(&body).unwrap();
            if is(status, &report) {
                return report;
            }
            last = Some(report);
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the report never satisfies the condition; the last one was {last:?}");
}

/// Runs [`until`] on a thread that may block.
pub(crate) async fn until_said(
    address: SocketAddr,
    is: impl Fn(u16, &Value) -> bool + Send + 'static,
) -> Value {
    tokio::task::spawn_blocking(move || until(address, is)).await.unwrap()
}
