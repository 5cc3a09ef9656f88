//! One question of Kafka's protocol, asked without a client: a client would go and ask another server.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Request 3 (metadata) in version 1, from a client without a name, about no topic. It is followed by
/// no field that a later server could miss.
const REQUEST: [u8; 18] = *b"\0\0\0\x0e\0\x03\0\x01hiwa\xff\xff\0\0\0\0";

/// A server that is alive and not stopped answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// The numbers of the servers that the one at this port takes for alive. It is among them once its own
/// cluster has let it in.
///
/// # Errors
/// If it doesn't answer.
pub(super) async fn alive(port: u16) -> io::Result<Vec<i32>> {
    tokio::time::timeout(PATIENCE, ask(port)).await?
}

async fn ask(port: u16) -> io::Result<Vec<i32>> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.write_all(&REQUEST).await?;
    let length = server.read_u32().await?;
    let mut answer = server.take(length.into());
    let _request = answer.read_u32().await?;
    let mut numbers = Vec::new();
    for _ in 0..answer.read_u32().await? {
        numbers.push(answer.read_i32().await?);
        pass_text(&mut answer).await?;
        let _port = answer.read_i32().await?;
        pass_text(&mut answer).await?;
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// A host, or the name of a rack, which may be absent: that is a length of -1.
async fn pass_text(answer: &mut tokio::io::Take<TcpStream>) -> io::Result<()> {
    let length = answer.read_i16().await?;
    let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
    answer.read_exact(&mut text).await.map(drop)
}
