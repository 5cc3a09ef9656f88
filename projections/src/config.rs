//! Configuration from a TOML file and the environment: read, parsed, and explained if it is wrong.

use std::path::Path;

use figment2::{
    Error as FigmentError, Figment, Metadata, Profile, Provider,
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
        figment = figment.merge(FileText { file, text: &read_file(file)? });
    }
    extract(&figment.merge(Environment::read(prefix)), file)
}

/// Parses the text of a file. No variable of the environment is read.
///
/// # Errors
/// As [`load`].
pub(crate) fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    extract(&Figment::from(FileText { file, text }), Some(file))
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

/// Extracts the values. Numbers in the environment are text, so they are parsed leniently.
fn extract<T: DeserializeOwned>(figment: &Figment, file: Option<&Path>) -> Result<T> {
    figment.extract_lossy().map_err(|error| explain(figment, &error, file))
}

/// A configuration file that has been read.
struct FileText<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Provider for FileText<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::from("TOML file", self.file)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, FigmentError> {
        Toml::string(self.text).data()
    }
}

/// The variables of the environment, as text: a password that looks like a number stays text.
struct Environment {
    prefix: String,
    values: Dict,
}

impl Environment {
    fn read(prefix: &str) -> Self {
        let prefix = format!("{prefix}_");
        let mut values = Dict::new();
        for (name, value) in std::env::vars_os() {
            let (Some(name), Ok(value)) = (name.to_str(), value.into_string()) else { continue };
            let Some(key) = name.strip_prefix(&prefix) else { continue };
            let key = key.to_ascii_lowercase().replace("__", ".");
            merge(&mut values, nest(&key, Value::from(value)));
        }
        Self { prefix, values }
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

    fn data(&self) -> Result<Map<Profile, Dict>, FigmentError> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Describes an error by its key and place. The value is not shown: it may be a secret.
fn explain(figment: &Figment, error: &FigmentError, file: Option<&Path>) -> Error {
    let mut path = error.path.clone();
    let fault = match &error.kind {
        Kind::UnknownField(name, known) => {
            complete(&mut path, name);
            format!("is unknown; the known keys are {}", known.join(", "))
        }
        Kind::MissingField(name) => {
            complete(&mut path, name);
            "is missing".to_owned()
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("must be {expected}")
        }
        Kind::InvalidLength(_, expected) => format!("must have {expected}"),
        Kind::UnknownVariant(_, known) => format!("must be one of {}", known.join(", ")),
        Kind::Message(expected) if error.metadata.is_some() && !path.is_empty() => {
            format!("must be {expected}")
        }
        Kind::DuplicateField(name) => {
            complete(&mut path, name);
            "is given twice".to_owned()
        }
        _ if path.is_empty() => return unreadable(file, error),
        _ => "is out of its range".to_owned(),
    };
    let key = path.join(".");
    let metadata = figment.find_metadata(&key).or(error.metadata.as_ref());
    let place = metadata.map_or_else(String::new, |metadata| place(metadata, &path));
    Invalid::configuration(format!("the key {key}{place} {fault}")).into()
}

fn complete(path: &mut Vec<String>, name: &str) {
    if path.last().is_none_or(|last| last != name) {
        path.push(name.to_owned());
    }
}

/// Returns the place of a value, if it is known.
fn place(metadata: &Metadata, path: &[String]) -> String {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match &metadata.source {
        Some(source) => format!(" in {source}"),
        None => format!(" in the environment ({})", metadata.interpolate(&Profile::Default, &keys)),
    }
}

/// Describes a file that is not TOML. Only the first line of the parser's message is used: the others quote the file,
/// which may contain a secret.
fn unreadable(file: Option<&Path>, error: &FigmentError) -> Error {
    let file = file.map_or_else(|| "the environment".into(), |file| file.display().to_string());
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    Invalid::configuration(format!("{file} is not a configuration: {line}")).into()
}
