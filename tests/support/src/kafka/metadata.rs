//! One request of Kafka's protocol, sent without a client: a client would turn to another server.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Request 3 (metadata) in version 1, from a client without a name, about no topic. No field follows that a later server
/// could expect.
const REQUEST: [u8; 18] = *b"\0\0\0\x0e\0\x03\0\x01hiwa\xff\xff\0\0\0\0";

/// A server that is alive and not paused answers within milliseconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the numbers of the servers that the one at this port takes for alive. It is among them once its own cluster has
/// admitted it.
///
/// # Errors
/// If the server doesn't answer.
pub(super) async fn live_servers(port: u16) -> io::Result<Vec<i32>> {
    tokio::time::timeout(RESPONSE_TIMEOUT, request(port)).await?
}

async fn request(port: u16) -> io::Result<Vec<i32>> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.write_all(&REQUEST).await?;
    let length = server.read_u32().await?;
    let mut answer = server.take(length.into());
    let _correlation = answer.read_u32().await?;
    let mut numbers = Vec::new();
    for _ in 0..answer.read_u32().await? {
        numbers.push(answer.read_i32().await?);
        skip_text(&mut answer).await?;
        let _port = answer.read_i32().await?;
        skip_text(&mut answer).await?;
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Skips a host or the name of a rack. A rack may be absent: its length is -1.
async fn skip_text(answer: &mut tokio::io::Take<TcpStream>) -> io::Result<()> {
    let length = answer.read_i16().await?;
    let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
    answer.read_exact(&mut text).await.map(drop)
}
