//! A proxy that can hold all traffic (connections stay open, and no byte passes), silence the connections that are open,
//! cut all of them, and lead new ones to another server.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Handle,
    sync::watch,
};

pub struct Proxy {
    port: u16,
    target: Arc<AtomicU16>,
    is_open: watch::Sender<bool>,
    silences: watch::Sender<u64>,
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Forwards one local port to another until the runtime ends. The port 0 is any free one.
    pub fn start(runtime: &Handle, (from, to): (u16, u16)) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", from)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            target: Arc::new(AtomicU16::new(to)),
            is_open: watch::Sender::new(true),
            silences: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
        };
        let target = Arc::clone(&proxy.target);
        let gate = proxy.is_open.subscribe();
        let silences = proxy.silences.subscribe();
        let cuts = proxy.cuts.subscribe();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                // The server may be down.
                let to = ("127.0.0.1", target.load(Ordering::SeqCst));
                let Ok(server) = TcpStream::connect(to).await else { continue };
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                let mut silences = silences.clone();
                silences.mark_unchanged();
                let gate = gate.clone();
                tokio::spawn(async move {
                    let (mut reads, mut writes) = client.into_split();
                    let (mut answers, mut asks) = server.into_split();
                    // Each side is told that the other one has ended, as it is without a proxy.
                    tokio::select! {
                        () = pass_on(&mut reads, &mut asks, gate.clone()) => return,
                        () = pass_on(&mut answers, &mut writes, gate.clone()) => return,
                        _ = cuts.changed() => return,
                        _ = silences.changed() => {}
                    }
                    // Both sides stay open until the connection is cut.
                    let _ = cuts.changed().await;
                });
            }
        });
        proxy
    }

    /// The port at which clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Pauses both directions.
    pub fn hold(&self) {
        self.is_open.send_replace(false);
    }

    /// Resumes both directions.
    pub fn let_through(&self) {
        self.is_open.send_replace(true);
    }

    /// Lets no byte pass any more on the connections that are open, which stay open. New ones pass.
    pub fn silence(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }

    /// Leads new connections to another local port.
    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// Forwards bytes until either side closes.
async fn pass_on(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut gate: watch::Receiver<bool>,
) {
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
