//! The URLs of the stores.

use std::{convert::Infallible, str::FromStr, sync::Arc};

use clap::Args;
use highwater::{Highwater, Open as _};

use crate::outcome::ToolFailure;

/// The heading of the options that every verb has.
pub(crate) const EVERYWHERE: &str = "Options of every verb";

/// The stores of an application. It has no `Debug`: a URL may have a password.
#[derive(Args)]
#[command(next_help_heading = EVERYWHERE)]
pub(crate) struct Connection {
    /// The URL of the store; or set HIGHWATER_STORE.
    #[arg(long, global = true, env = "HIGHWATER_STORE", value_name = "URL", hide_env = true)]
    store: Option<StoreUrl>,
    /// The URL of another store of views; or HIGHWATER_VIEWS.
    #[arg(long, global = true, env = "HIGHWATER_VIEWS", value_name = "URL", hide_env = true)]
    views: Option<StoreUrl>,
}

impl Connection {
    /// Returns the URL of the log, and that of the views if they are in another store.
    pub(crate) fn urls(&self) -> Result<(String, Option<String>), ToolFailure> {
        let Some(store) = &self.store else {
            let missing = "the store is not named: give --store URL, or set HIGHWATER_STORE";
            return Err(ToolFailure::Usage(missing.to_owned()));
        };
        Ok((store.of_existing(), self.views.as_ref().map(StoreUrl::of_existing)))
    }

    pub(crate) async fn open(&self) -> Result<Highwater, ToolFailure> {
        let (log, views) = self.urls()?;
        let builder = Highwater::builder(&log).await?;
        let Some(views) = views else {
            return Ok(builder.build());
        };
        let views = Highwater::open(&views).await?;
        Ok(builder.views(Arc::clone(views.views())).build())
    }
}

/// A URL that may have a password.
#[derive(Clone)]
struct StoreUrl(String);

impl FromStr for StoreUrl {
    type Err = Infallible;

    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self(url.to_owned()))
    }
}

impl StoreUrl {
    /// Returns the URL by which a file is opened, and not created if its name is mistyped.
    fn of_existing(&self) -> String {
        let url = &self.0;
        let (_, parameters) = url.split_once('?').unwrap_or((url, ""));
        let has_mode = parameters.split('&').any(|parameter| parameter.starts_with("mode="));
        match url.contains('?') {
            _ if has_mode || !url.starts_with("sqlite:") => url.clone(),
            true => format!("{url}&mode=rw"),
            false => format!("{url}?mode=rw"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_created_unless_the_url_says_so() {
        for (url, opened) in [
            ("sqlite:bank.db", "sqlite:bank.db?mode=rw"),
            ("sqlite:bank.db?prefix=bank_", "sqlite:bank.db?prefix=bank_&mode=rw"),
            ("sqlite:bank.db?mode=rwc", "sqlite:bank.db?mode=rwc"),
            ("postgres://alice@host/bank", "postgres://alice@host/bank"),
        ] {
            assert_eq!(StoreUrl(url.to_owned()).of_existing(), opened);
        }
    }
}
