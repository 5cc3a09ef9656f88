//! Read-your-writes by hand: an insert, then waiting until a reader of the log has it, then a select by
//! key.

use std::time::{Duration, Instant};

use highwater_benches::{Asked, Asking, Board, Spot};
use sqlx::{Row as _, postgres::PgListener};
use tokio::sync::mpsc;

#[cfg(feature = "kafka")]
use crate::raw_kafka::{self, Publishing};
use crate::raw_postgres::{self, Deposited, Pool};

/// Selects the row that a writer has written with a number.
const SELECT: &str = "select payload from by_hand.events where stream = $1 and version = $2";

impl Pool {
    async fn ask(&self, number: u64) {
        let (stream, version) = self.key(number);
        let query = sqlx::query(SELECT).bind(stream).bind(version);
        let row = query.fetch_one(self.pool()).await.unwrap();
        let event: Deposited = serde_json::from_slice(row.get(0)).unwrap();
        assert!(!event.memo.is_empty());
    }
}

/// A writer, and the record of what has arrived.
pub(crate) struct Author<W> {
    writer: W,
    board: Board,
}

impl Asked for Author<Pool> {
    async fn write_and_ask(&self, number: u64) -> Duration {
        let position = self.writer.insert_and_notify(number).await;
        let acknowledged = Instant::now();
        self.board.when(Spot { lane: 0, position }).await;
        self.writer.ask(number).await;
        acknowledged.elapsed()
    }
}

/// Starts commands, and a listener to the log that selects the new rows.
pub(crate) async fn through_postgres(url: &str, per_second: u32) -> Asking<Author<Pool>> {
    let mut listener = PgListener::connect(url).await.unwrap();
    listener.listen("by_hand").await.unwrap();
    let (board, reader) = (Board::default(), raw_postgres::connect(url).await);
    let author = Author { writer: Pool::open(url).await, board: board.clone() };
    let (tell, seen) = mpsc::channel(1_024);
    Asking::start(per_second, author, async move {
        let selecting = raw_postgres::select(listener, reader, tell);
        tokio::join!(selecting, raw_postgres::note(seen, board));
    })
}

#[cfg(feature = "kafka")]
impl Asked for Author<Publishing> {
    async fn write_and_ask(&self, number: u64) -> Duration {
        let pool = self.writer.pool();
        pool.insert(number).await;
        let acknowledged = Instant::now();
        self.writer.publish(number);
        self.board.when(Spot { lane: number, position: 1 }).await;
        pool.ask(number).await;
        acknowledged.elapsed()
    }
}

/// Produces inserted rows, which a consumer receives.
#[cfg(feature = "kafka")]
pub(crate) async fn through_kafka(
    url: &str,
    servers: &str,
    per_second: u32,
) -> Asking<Author<Publishing>> {
    let (writer, consumer) = raw_kafka::connected(url, servers).await;
    let board = Board::default();
    let author = Author { writer, board: board.clone() };
    Asking::start(per_second, author, raw_kafka::see(consumer, board))
}
