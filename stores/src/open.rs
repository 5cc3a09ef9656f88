//! Opens a store by its URL.

use std::{future::Future, sync::Arc};

use highwater_core::{Code, Highwater, Result, error::Invalid, execute::Builder, port::Store};

use crate::{MemoryStore, SystemClock, SystemIds, parameters::Parameters};

/// Opens a [`Highwater`] by URL. In the facade's prelude.
pub trait Open: Sized {
    /// Opens the store that the URL names:
    ///
    /// | URL | Store |
    /// |---|---|
    /// | `sqlite:bank.db` | a file, created if it does not exist (feature `sqlite`) |
    /// | `postgres://user:password@host/database` | a PostgreSQL database (feature `postgres`) |
    /// | `memory:` | memory, lost when the last handle is dropped |
    ///
    /// A `?` is followed by parameters, joined by `&`, each at most once:
    ///
    /// | Parameter | Of | Meaning |
    /// |---|---|---|
    /// | `schema=bank` | PostgreSQL | the schema of the tables; `highwater` by default |
    /// | `connections=8` | PostgreSQL | the number of connections for reads and for work on views |
    /// | `connect_timeout=10` | PostgreSQL | the seconds to wait for a connection |
    /// | `answer_timeout=30` | PostgreSQL | the seconds to wait for the answer to a statement |
    /// | `prefix=bank_` | SQLite | the prefix of the table names; `highwater_` by default |
    /// | `busy_timeout=5s` | SQLite | how long to wait for another process that holds the file's lock |
    /// | `readers=4` | SQLite | the number of connections for reads |
    /// | `synchronous=full` | SQLite | when to flush; a level below `full` breaks W7 |
    /// | `mode=rw` | SQLite | the file must exist; `rwc`, the default, creates it |
    /// | `max_payload`, `max_metadata`, `max_events` | all | the limits of an append: bytes, bytes, number |
    ///
    /// PostgreSQL has also the parameters of libpq that the driver knows: `host`, `hostaddr`, `port`,
    /// `dbname`, `user`, `password`, `application_name`, `options`; `statement-cache-capacity`; and for TLS (feature
    /// `tls-rustls`, which is a default one, or `tls-native`):
    ///
    /// | Parameter | Meaning |
    /// |---|---|
    /// | `sslmode=verify-full` | encrypts, and checks the server's certificate and its name: the mode for a network that isn't trusted |
    /// | `sslmode=verify-ca` | encrypts, and checks the certificate, but not the name |
    /// | `sslmode=require` | encrypts; checks the certificate as `verify-ca` if there is a `sslrootcert`, and else nothing |
    /// | `sslmode=prefer` | the default: encrypts if the server offers it, and checks nothing |
    /// | `sslmode=disable` | does not encrypt |
    /// | `sslrootcert=FILE` | the roots, as PEM, that are trusted beside those of Mozilla (`tls-rustls`) or of the system (`tls-native`) |
    /// | `sslcert=FILE`, `sslkey=FILE` | the certificate of the client and its key, as PEM |
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the URL, a parameter, the file, the credentials or
    /// the schema is wrong; the message never shows a password.
    /// [`Unavailable`](highwater_core::Error::Unavailable) if the server can't be reached or the
    /// file is locked.
    fn open(url: &str) -> impl Future<Output = Result<Self>> + Send;

    /// Opens the store that the URL names, and returns a builder for all other settings.
    ///
    /// # Errors
    /// As [`Open::open`].
    fn builder(url: &str) -> impl Future<Output = Result<Builder>> + Send;
}

impl Open for Highwater {
    async fn open(url: &str) -> Result<Self> {
        Ok(Self::builder(url).await?.build())
    }

    async fn builder(url: &str) -> Result<Builder> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("memory") => memory(url),
            Some("sqlite") => sqlite(url).await,
            Some("postgres" | "postgresql") => postgres(url).await,
            _ => Err(unknown_scheme(url).into()),
        }
    }
}

/// Creates a builder on a store, with the clock and the ids of the machine.
pub fn on(store: impl Store) -> Builder {
    Highwater::with_store(&Arc::new(store), SystemClock, SystemIds)
}

fn memory(url: &str) -> Result<Builder> {
    let (name, query) = url.split_once('?').unwrap_or((url, ""));
    if name != "memory:" {
        return Err(Invalid::new(Code::BAD_URL, "memory has no name: write memory:").into());
    }
    let mut parameters = Parameters::parse(query)?;
    let limits = parameters.take_limits()?;
    parameters.into_driver_parameters(|_| false)?;
    Ok(on(MemoryStore::with_limits(Arc::new(SystemClock), limits)))
}

#[cfg(feature = "sqlite")]
async fn sqlite(url: &str) -> Result<Builder> {
    let options = crate::SqliteOptions::new(url)?;
    Ok(on(crate::SqliteStore::open(options, Arc::new(SystemClock)).await?))
}

#[cfg(not(feature = "sqlite"))]
async fn sqlite(_: &str) -> Result<Builder> {
    Err(without_feature("sqlite").into())
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str) -> Result<Builder> {
    let options = crate::PostgresOptions::new(url)?;
    Ok(on(crate::PostgresStore::connect(options).await?))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &str) -> Result<Builder> {
    Err(without_feature("postgres").into())
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
fn without_feature(feature: &str) -> Invalid {
    let message = format!("this program was built without the feature `{feature}` of highwater");
    Invalid::new(Code::BAD_URL, message)
}

/// The error of an unknown scheme. It shows only the scheme: the rest may have a password.
fn unknown_scheme(url: &str) -> Invalid {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    let scheme: String = scheme.chars().take(20).collect();
    let message = format!(
        "the URL of the store begins with {scheme:?}; it should read sqlite:FILE, \
         postgres://user:password@host/database, or memory:"
    );
    Invalid::new(Code::BAD_URL, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: &str) -> highwater_core::Error {
        let error = Highwater::open(url).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        error
    }

    #[tokio::test]
    async fn a_url_that_cannot_be_understood_is_refused_without_showing_it() {
        for url in [
            "",
            "bank.db",
            "mysql://root:hunter2@host/db",
            "memory:x",
            #[cfg(feature = "sqlite")]
            "sqlite:",
            #[cfg(feature = "sqlite")]
            "sqlite::memory:",
            #[cfg(feature = "sqlite")]
            "sqlite:bank.db?mode=memory",
            #[cfg(feature = "postgres")]
            "postgres:hunter2",
            #[cfg(feature = "postgres")]
            "postgres://alice:hunter2@host:port/bank",
            #[cfg(feature = "postgres")]
            "postgres://alice:hunter2@ho st/bank",
        ] {
            assert_eq!(refused(url).await.code(), Code::BAD_URL, "{url}");
        }
    }

    #[tokio::test]
    async fn a_parameter_that_is_unknown_or_malformed_is_refused_by_name() {
        for (url, name) in [
            ("memory:?max_event=1", "max_event"),
            ("memory:?max_events=many", "max_events"),
            #[cfg(feature = "sqlite")]
            ("sqlite:bank.db?busy_timeout=5", "busy_timeout"),
            #[cfg(feature = "sqlite")]
            ("sqlite:bank.db?synchronous=sometimes", "synchronous"),
            #[cfg(feature = "sqlite")]
            ("sqlite:bank.db?mode=ro", "mode"),
            #[cfg(feature = "sqlite")]
            ("sqlite:bank.db?cache=shared", "cache"),
            #[cfg(feature = "sqlite")]
            ("sqlite:bank.db?schema=bank", "schema"),
            #[cfg(feature = "postgres")]
            ("postgres://alice:hunter2@host/bank?passwrod=hunter2", "passwrod"),
            #[cfg(feature = "postgres")]
            ("postgres://alice:hunter2@host/bank?connect_timeout=soon", "connect_timeout"),
            #[cfg(feature = "postgres")]
            ("postgres://alice:hunter2@host/bank?answer_timeout=30s", "answer_timeout"),
            #[cfg(feature = "postgres")]
            ("postgres://alice:hunter2@host/bank?schema=a&schema=b", "schema"),
            #[cfg(feature = "postgres")]
            ("postgres://alice:hunter2@host/bank?sslmode=perhaps", "ssl_mode"),
        ] {
            let error = refused(url).await;
            assert_eq!(error.code(), Code::BAD_CONFIGURATION, "{url}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_no_name_is_refused_as_such() {
        for url in [
            #[cfg(feature = "sqlite")]
            "sqlite:bank.db?prefix=1;drop",
            #[cfg(feature = "postgres")]
            "postgres://alice:hunter2@host/bank?schema=Bank",
        ] {
            assert_eq!(refused(url).await.code(), Code::MALFORMED, "{url}");
        }
    }
}
