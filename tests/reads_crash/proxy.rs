//! A proxy that can pause all traffic: connections stay open, and no byte passes.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Handle,
    sync::watch,
};

pub(crate) struct Proxy {
    is_open: watch::Sender<bool>,
}

impl Proxy {
    /// Forwards one local port to another until the runtime ends.
    pub(crate) fn start(runtime: &Handle, (from, to): (u16, u16)) -> Self {
        let (is_open, gate) = watch::channel(true);
        let listener = std::net::TcpListener::bind(("127.0.0.1", from)).unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                // The server may be down.
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let ((reads, writes), (answers, asks)) = (client.into_split(), server.into_split());
                tokio::spawn(pass_on(reads, asks, gate.clone()));
                tokio::spawn(pass_on(answers, writes, gate.clone()));
            }
        });
        Self { is_open }
    }

    /// Pauses both directions.
    pub(crate) fn hold(&self) {
        self.is_open.send_replace(false);
    }

    /// Resumes both directions.
    pub(crate) fn let_through(&self) {
        self.is_open.send_replace(true);
    }
}

/// Forwards bytes until either side closes.
async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: watch::Receiver<bool>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if gate.wait_for(|is_open| *is_open).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
