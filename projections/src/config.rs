//! Configuration from a TOML file and the environment: read, parsed, and explained if it is wrong.

use std::path::Path;

use figment::{
    Error as Wrong, Figment, Metadata, Profile, Provider,
    error::Kind,
    providers::{Format as _, Toml},
    util::nest,
    value::{Dict, Map, Value},
};
use highwater_core::{
    Error, Result,
    error::{Invalid, Source},
};
use serde::de::DeserializeOwned;

/// Reads a file, if one is given, and the variables of the environment with a prefix, which win.
///
/// # Errors
/// [`Invalid`](highwater_core::Error::Invalid); it names the first key that is wrong, and where it stands.
pub(crate) fn load<T: DeserializeOwned>(file: Option<&Path>, prefix: &str) -> Result<T> {
    let mut figment = Figment::new();
    if let Some(file) = file {
        figment = figment.merge(Text { file, text: &read_file(file)? });
    }
    extract(&figment.merge(Environment::read(prefix)), file)
}

/// Parses the text of a file. No variable of the environment is read.
///
/// # Errors
/// As [`load`].
pub(crate) fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    extract(&Figment::from(Text { file, text }), Some(file))
}

/// Reads the text of a file.
///
/// # Errors
/// [`Invalid`](highwater_core::Error::Invalid) if it can't be read.
pub(crate) fn read_file(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| {
        let message = format!("the configuration file {} can't be read", file.display());
        Invalid::configuration(message).caused_by(Source::new(error)).into()
    })
}

/// Numbers in the environment are text.
fn extract<T: DeserializeOwned>(figment: &Figment, file: Option<&Path>) -> Result<T> {
    figment.extract_lossy().map_err(|wrong| explain(figment, &wrong, file))
}

/// A file that has been read.
struct Text<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Provider for Text<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::from("TOML file", self.file)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Wrong> {
        Toml::string(self.text).data()
    }
}

/// The variables of the environment, as text: a password that looks like a number stays what it is.
struct Environment {
    prefix: String,
    found: Dict,
}

impl Environment {
    fn read(prefix: &str) -> Self {
        let prefix = format!("{prefix}_");
        let mut found = Dict::new();
        for (name, value) in std::env::vars_os() {
            let (Some(name), Ok(value)) = (name.to_str(), value.into_string()) else { continue };
            let Some(key) = name.strip_prefix(&prefix) else { continue };
            let key = key.to_ascii_lowercase().replace("__", ".");
            merge(&mut found, nest(&key, Value::from(value)));
        }
        Self { prefix, found }
    }
}

fn merge(into: &mut Dict, value: Value) {
    let Value::Dict(_, dict) = value else { return };
    for (key, value) in dict {
        match (into.get_mut(&key), value) {
            (Some(Value::Dict(_, inner)), value @ Value::Dict(..)) => merge(inner, value),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        let prefix = self.prefix.clone();
        Metadata::named("the environment").interpolater(move |_, keys| {
            format!("{prefix}{}", keys.join("__").to_ascii_uppercase())
        })
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Wrong> {
        Ok(Map::from([(Profile::Default, self.found.clone())]))
    }
}

/// Names the key and where it stands. What stands there is not shown: it may be a secret.
fn explain(figment: &Figment, wrong: &Wrong, file: Option<&Path>) -> Error {
    let mut path = wrong.path.clone();
    let what = match &wrong.kind {
        Kind::UnknownField(name, known) => {
            complete(&mut path, name);
            format!("is not known; there are {}", known.join(", "))
        }
        Kind::MissingField(name) => {
            complete(&mut path, name);
            "is missing".to_owned()
        }
        Kind::InvalidType(_, right) | Kind::InvalidValue(_, right) => format!("must be {right}"),
        Kind::InvalidLength(_, right) => format!("must have {right}"),
        Kind::UnknownVariant(_, known) => format!("must be one of {}", known.join(", ")),
        Kind::Message(right) if wrong.metadata.is_some() && !path.is_empty() => {
            format!("must be {right}")
        }
        Kind::DuplicateField(name) => {
            complete(&mut path, name);
            "is there twice".to_owned()
        }
        _ if path.is_empty() => return unreadable(file, wrong),
        _ => "is out of its range".to_owned(),
    };
    let key = path.join(".");
    let metadata = figment.find_metadata(&key).or(wrong.metadata.as_ref());
    let place = metadata.map_or_else(String::new, |metadata| place(metadata, &path));
    Invalid::configuration(format!("the key {key}{place} {what}")).into()
}

fn complete(path: &mut Vec<String>, name: &str) {
    if path.last().is_none_or(|last| last != name) {
        path.push(name.to_owned());
    }
}

/// Where a value stands, as far as that is known.
fn place(metadata: &Metadata, path: &[String]) -> String {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match &metadata.source {
        Some(source) => format!(" in {source}"),
        None => format!(" in the environment ({})", metadata.interpolate(&Profile::Default, &keys)),
    }
}

/// The file is no TOML. The parser shows the line at fault, which may hold a secret.
fn unreadable(file: Option<&Path>, wrong: &Wrong) -> Error {
    let file = file.map_or_else(|| "the environment".into(), |file| file.display().to_string());
    let text = wrong.to_string();
    let line = text.lines().next().unwrap_or_default();
    Invalid::configuration(format!("{file} is no configuration: {line}")).into()
}
