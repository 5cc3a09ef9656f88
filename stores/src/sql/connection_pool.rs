//! Connections that are kept, and returned after use.
//!
//! A pool of the driver pings each connection that is returned to it: one more round trip for every
//! statement, in a task of its own. It hides why it can't connect, and its tasks end with the runtime that
//! made it. Here a connection is pinged only for a reason: after an error, after its caller was cancelled,
//! and after it was idle for long.

use std::{
    io, mem,
    ops::{Deref, DerefMut},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use sqlx::{Connection as _, Database, Error};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore, SemaphorePermit},
    time::timeout,
};

/// The age at which a connection is replaced.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);
/// The time without use after which a connection is closed.
const MAX_IDLE: Duration = Duration::from_secs(10 * 60);

/// Opens a connection.
pub(crate) type Connect<DB> =
    Box<dyn Fn() -> BoxFuture<'static, Result<<DB as Database>::Connection, Error>> + Send + Sync>;

/// The connections that work may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// All of them, and the reserve.
    All,
    /// Those that are no reserve: whatever holds them, other work goes on.
    WithoutReserve,
}

/// The bounds of connections.
pub(crate) struct ConnectionLimits {
    /// The number of connections for all work.
    pub(crate) connections: u32,
    /// The number of further connections, for work that may use the reserve.
    pub(crate) reserve: u32,
    /// The longest wait for a free connection.
    pub(crate) wait: Duration,
    /// The longest wait for an answer; `None` if the database is in this process.
    pub(crate) answer: Option<Duration>,
}

impl ConnectionLimits {
    fn total(&self) -> usize {
        self.connections as usize + self.reserve as usize
    }
}

pub(super) struct ConnectionPool<DB: Database> {
    connect: Connect<DB>,
    pub(super) limits: ConnectionLimits,
    /// Permits for connections, of which the reserve is a part.
    permits: Semaphore,
    /// Permits for work that may not use the reserve, which takes one of `permits` besides.
    unreserved: Semaphore,
    /// Notifies of permits that are returned.
    returned: Notify,
    kept: Mutex<Vec<KeptConnection<DB>>>,
    is_closed: AtomicBool,
}

struct KeptConnection<DB: Database> {
    connection: DB::Connection,
    opened: Instant,
    used: Instant,
}

impl<DB: Database> ConnectionPool<DB> {
    pub(super) fn new(limits: ConnectionLimits, connect: Connect<DB>) -> Self {
        let unreserved = Semaphore::new(limits.connections as usize);
        let permits = Semaphore::new(limits.total());
        let returned = Notify::new();
        let is_closed = AtomicBool::default();
        let kept = Mutex::default();
        Self { connect, limits, permits, unreserved, returned, kept, is_closed }
    }

    /// Returns true if the database is a server, and a connection can be cut.
    pub(super) fn is_remote(&self) -> bool {
        self.limits.answer.is_some()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Takes a connection. One to a server that was idle for so long is pinged first.
    pub(super) async fn take(
        self: &Arc<Self>,
        access: Access,
        ping_after: Duration,
    ) -> Result<TakenConnection<DB>, Error> {
        let permit = self.permit(access).await?;
        let kept = match self.take_kept() {
            Some(kept) if self.is_remote() && kept.used.elapsed() >= ping_after => {
                self.ping(kept).await
            }
            kept => kept,
        };
        let connection = match kept {
            Some(kept) => kept,
            None => {
                let connection = (self.connect)().await?;
                let now = Instant::now();
                KeptConnection { connection, opened: now, used: now }
            }
        };
        Ok(TakenConnection(Some((connection, permit))))
    }

    async fn permit(self: &Arc<Self>, access: Access) -> Result<Permit<DB>, Error> {
        let unreserved = match access {
            Access::All => None,
            Access::WithoutReserve => Some(self.acquire(&self.unreserved).await?),
        };
        self.acquire(&self.permits).await?.forget();
        if let Some(permit) = unreserved {
            permit.forget();
        }
        Ok(Permit { pool: Arc::clone(self), access })
    }

    async fn acquire<'a>(&self, semaphore: &'a Semaphore) -> Result<SemaphorePermit<'a>, Error> {
        match semaphore.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(_) => match timeout(self.limits.wait, semaphore.acquire()).await {
                Ok(Ok(permit)) => Ok(permit),
                Ok(Err(_)) => Err(Error::PoolClosed),
                Err(_) => Err(Error::PoolTimedOut),
            },
        }
    }

    /// Takes the connection that was used last. Those that are too old are closed.
    fn take_kept(&self) -> Option<KeptConnection<DB>> {
        let mut kept = self.kept();
        let now = Instant::now();
        kept.retain(|kept| now - kept.opened < MAX_AGE && now - kept.used < MAX_IDLE);
        kept.pop()
    }

    /// Returns the connection if it answers, after all that is unfinished on it.
    async fn ping(&self, mut kept: KeptConnection<DB>) -> Option<KeptConnection<DB>> {
        let ping = kept.connection.ping();
        let answer = match self.is_remote() {
            true => within(self.limits.wait, ping).await,
            false => ping.await,
        };
        match answer {
            Ok(()) => Some(kept),
            Err(error) => {
                tracing::debug!(%error, "a connection does not answer; a new one takes its place");
                self.suspect();
                None
            }
        }
    }

    fn keep(&self, mut kept: KeptConnection<DB>) {
        kept.used = Instant::now();
        let mut all = self.kept();
        // `close` sets the flag first, and takes the kept connections afterwards.
        if !self.is_closed() {
            all.push(kept);
        }
    }

    /// Drops all idle connections: what has cut one of them has cut the others too.
    fn suspect(&self) {
        drop(mem::take(&mut *self.kept()));
    }

    /// Refuses all callers from now on, and returns the idle connections.
    pub(super) fn close(&self) -> impl Iterator<Item = DB::Connection> {
        self.is_closed.store(true, Ordering::Release);
        self.unreserved.close();
        self.permits.close();
        mem::take(&mut *self.kept()).into_iter().map(|kept| kept.connection)
    }

    /// Waits until no connection is taken.
    pub(super) async fn until_returned(&self) {
        loop {
            let mut returned = pin!(self.returned.notified());
            returned.as_mut().enable();
            if self.permits.available_permits() >= self.limits.total() {
                return;
            }
            returned.await;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<KeptConnection<DB>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permit for a connection. It is returned when this is dropped.
struct Permit<DB: Database> {
    pool: Arc<ConnectionPool<DB>>,
    access: Access,
}

impl<DB: Database> Drop for Permit<DB> {
    fn drop(&mut self) {
        self.pool.permits.add_permits(1);
        if self.access == Access::WithoutReserve {
            self.pool.unreserved.add_permits(1);
        }
        self.pool.returned.notify_waiters();
    }
}

/// A connection that a caller has taken. When it is dropped, because of an error or because its caller was
/// cancelled, it is kept if it still answers.
pub(crate) struct TakenConnection<DB: Database>(Option<(KeptConnection<DB>, Permit<DB>)>);

impl<DB: Database> TakenConnection<DB> {
    /// Keeps the connection for the next statement: all work on it is finished.
    pub(crate) fn keep(mut self) {
        if let Some((kept, permit)) = self.0.take() {
            permit.pool.keep(kept);
        }
    }

    /// Keeps the connection after a statement. One that is lost is closed at once.
    pub(super) fn finish<T>(mut self, answer: Result<T, Error>) -> Result<T, Error> {
        match &answer {
            Ok(_) => self.keep(),
            Err(error) if is_cut(error) || is_silent(error) => {
                if let Some((_, permit)) = self.0.take() {
                    permit.pool.suspect();
                }
            }
            Err(_) => {}
        }
        answer
    }
}

impl<DB: Database> Drop for TakenConnection<DB> {
    fn drop(&mut self) {
        // Without a runtime nothing can be asked, and the connection is closed.
        if let (Some((kept, permit)), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move {
                if let Some(kept) = permit.pool.ping(kept).await {
                    permit.pool.keep(kept);
                }
            });
        }
    }
}

impl<DB: Database> Deref for TakenConnection<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        match &self.0 {
            Some((kept, _)) => &kept.connection,
            None => unreachable!("the connection is given away only by what consumes this value"),
        }
    }
}

impl<DB: Database> DerefMut for TakenConnection<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match &mut self.0 {
            Some((kept, _)) => &mut kept.connection,
            None => unreachable!("the connection is given away only by what consumes this value"),
        }
    }
}

/// Waits for an answer, but no longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => {
            let message = format!("timed out: no answer within {limit:?}");
            Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, message)))
        }
    }
}

/// Returns true if the time for an answer is over.
pub(crate) fn is_silent(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Returns true if the connection has ended, or its server can't be written to and another one may be the
/// primary now. What was sent may have been done all the same.
pub(crate) fn is_cut(error: &Error) -> bool {
    match error {
        Error::Io(_) => !is_silent(error),
        Error::Protocol(_) => true,
        Error::Database(error) => error.code().is_some_and(|code| is_end_of_session(&code)),
        _ => false,
    }
}

/// Returns true for a connection exception, a session that was ended (by a shutdown, or because it was idle
/// for too long), and a server that is read-only.
fn is_end_of_session(state: &str) -> bool {
    let ended = ["25006", "25P03", "25P04"];
    state.starts_with("08") || state.starts_with("57P") || ended.contains(&state)
}
