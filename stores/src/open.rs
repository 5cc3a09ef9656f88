//! The front door: a URL becomes an open store.

use std::{future::Future, sync::Arc};

use highwater_core::{Code, Highwater, Result, error::Invalid, execute::Builder, port::Store};

use crate::{MemoryStore, SystemClock, SystemIds};

/// Opens a [`Highwater`] by URL. In the facade's prelude.
pub trait Open: Sized {
    /// Opens the store that the URL names:
    ///
    /// | URL | Store |
    /// |---|---|
    /// | `sqlite:bank.db` | a file, made if it isn't there (feature `sqlite`) |
    /// | `postgres://user:password@host/database` | a PostgreSQL database (feature `postgres`) |
    /// | `memory:` | memory, gone when the last handle is dropped |
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) says what is wrong with the URL, the file, the
    /// credentials or the schema, and never shows a password;
    /// [`Unavailable`](highwater_core::Error::Unavailable) if the server can't be reached or the
    /// file is locked.
    fn open(url: &str) -> impl Future<Output = Result<Self>> + Send;

    /// Opens the store that the URL names, for everything else to be set.
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
            Some("memory") if url == "memory:" => Ok(on(MemoryStore::default())),
            Some("sqlite") => sqlite(url).await,
            Some("postgres" | "postgresql") => postgres(url).await,
            _ => Err(unknown_scheme(url).into()),
        }
    }
}

/// The machine's clock and ids on a store.
pub fn on(store: impl Store) -> Builder {
    Highwater::on(&Arc::new(store), SystemClock, SystemIds)
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

/// Names the scheme alone: the rest may hold a password.
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

    #[tokio::test]
    async fn a_url_that_cannot_be_understood_is_refused_without_showing_it() {
        for url in [
            "",
            "bank.db",
            "mysql://root:hunter2@host/db",
            "memory:x",
            "sqlite:",
            "sqlite::memory:",
        ] {
            let error = Highwater::open(url).await.unwrap_err();
            assert_eq!(error.code(), Code::BAD_URL, "{url}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        }
    }
}
