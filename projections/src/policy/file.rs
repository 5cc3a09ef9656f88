//! A file of policies: rules that apply unless other ones are recorded.

use std::path::{Path, PathBuf};

use highwater_core::{
    Result,
    error::{Source, Unavailable},
};
use serde::Deserialize;

use super::record::Rules;
use crate::{
    config::{parse, read_file},
    metrics,
};

/// The path and the text of a file of policies.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PolicyFile {
    path: PathBuf,
    text: String,
}

/// The contents of the file (TOML).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFileContents {
    /// The author of the last edit.
    #[serde(default)]
    by: Option<String>,
    /// The reason of the last edit.
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    pub(super) operations: Rules,
}

impl PolicyFile {
    pub(super) fn read(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), text: read_file(path)? })
    }

    pub(super) async fn read_again(&self) -> Result<Self> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || Self::read(&path)).await;
        read.map_err(|error| {
            Unavailable::unreachable("reading the file of policies", Source::new(error))
        })?
    }

    pub(super) fn parse(&self) -> Result<PolicyFileContents> {
        parse(&self.path, &self.text)
    }

    /// Logs and counts that these policies apply in this process from now on. The record of changes has no entry for
    /// a file.
    pub(super) fn log(&self, contents: &PolicyFileContents, is_first: bool) {
        let PolicyFileContents { by, why, .. } = contents;
        let file = self.path.display();
        let rules = &self.text;
        metrics::policies_changed("file");
        if is_first {
            tracing::info!(%file, by, why, rules, "policies are taken from a file");
        } else {
            tracing::info!(%file, by, why, rules, "policies have changed");
        }
    }
}
