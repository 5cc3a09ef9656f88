//! New connections. What Highwater promises hangs on properties of the server, and another server may answer
//! at the same address after a fail-over: each new connection asks first.

use std::time::{Duration, Instant};

use highwater_core::Result;
use sqlx::{Connection as _, PgConnection, Postgres, Row as _, postgres::PgRow};

use super::{PostgresOptions, error::classify_connect, server_refusal::ServerRefusal, tls};
use crate::sql::{
    connection_pool::{ConnectionLimits, within},
    connections::Connections,
};

/// Asks what the server is, and has it end the statements of a client that is gone: a client that stopped
/// waiting must not leave a statement behind that waits for a lock. One round trip does all. Servers on Windows
/// can't see that a client is gone.
const SETUP: &str = "\
select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', \
    case when current_setting('client_connection_check_interval', true) = '0' \
         and version() !~* 'windows|mingw|visual' \
         then set_config('client_connection_check_interval', '5s', false) end";

/// The number of connections that are for the log alone. Statements on views wait for locks, and may be slow; the
/// streams and the log are read meanwhile.
const RESERVE: u32 = 1;

/// The first pause before a server that is starting is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

impl PostgresOptions {
    /// Opens a connection.
    pub(super) async fn connection(&self) -> Result<PgConnection> {
        self.connect_once().await.map_err(classify_connect(&self.connect))
    }

    /// Creates connections that are opened when they are needed.
    pub(super) fn open_connections(&self) -> Connections<Postgres> {
        let limits = ConnectionLimits {
            connections: self.connections,
            reserve: RESERVE,
            wait: self.connect_timeout,
            answer: Some(self.answer_timeout),
        };
        let options = self.clone();
        Connections::new(
            limits,
            Box::new(move || {
                let options = options.clone();
                Box::pin(async move { options.connect_when_started().await })
            }),
        )
    }

    async fn connect_once(&self) -> Result<PgConnection, sqlx::Error> {
        within(self.connect_timeout, async {
            let connecting = PgConnection::connect_with(&self.connect).await;
            let mut connection = connecting.map_err(tls::name_refusal)?;
            let server: PgRow = sqlx::raw_sql(SETUP).fetch_one(&mut connection).await?;
            match ServerRefusal::of(server.try_get(0)?, server.try_get(1)?) {
                None => Ok(connection),
                Some(refusal) => Err(sqlx::Error::Io(std::io::Error::other(refusal))),
            }
        })
        .await
    }

    /// Opens a connection, and waits for a server that is starting.
    async fn connect_when_started(&self) -> Result<PgConnection, sqlx::Error> {
        let deadline = Instant::now() + self.connect_timeout;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.connect_once().await {
                Err(error) if is_starting(&error) && Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.connect_timeout / 5);
                }
                connected => return connected,
            }
        }
    }
}

/// Returns true if the server is not there, starts, or has no connection left: all of that passes.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code == "57P03" || code == "53300")
        }
        _ => false,
    }
}
