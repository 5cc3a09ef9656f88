//! The parameters of a store's URL: each is known, well-formed, and given once. Any other one is refused by
//! its name, so that no parameter is silently ignored.

use std::str::FromStr;
#[cfg(any(feature = "sqlite", test))]
use std::time::Duration;

use highwater_core::{Result, error::Invalid, port::Limits};
#[cfg(any(feature = "sqlite", test))]
use jiff::SignedDuration;

/// The parameters behind the `?` of a URL.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn parse(query: &str) -> Result<Self> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        for (index, (name, _)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(invalid_parameter(name, "is given twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// Removes and returns a parameter.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.remove(index).1)
    }

    /// Removes and parses a parameter; `right` describes valid values.
    pub(crate) fn take_as<T: FromStr>(&mut self, name: &str, right: &str) -> Result<Option<T>> {
        let parse = |text: String| text.parse().map_err(|_| invalid_parameter(name, right));
        self.take(name).map(parse).transpose()
    }

    /// Removes and parses a duration with its unit.
    #[cfg(any(feature = "sqlite", test))]
    pub(crate) fn take_duration(&mut self, name: &str) -> Result<Option<Duration>> {
        let right = "should be a time with its unit, such as 500ms or 5s";
        let duration: Option<SignedDuration> = self.take_as(name, right)?;
        let unsigned =
            |duration| Duration::try_from(duration).map_err(|_| invalid_parameter(name, right));
        duration.map(unsigned).transpose()
    }

    /// Removes and parses the limits of an append.
    pub(crate) fn take_limits(&mut self) -> Result<Limits> {
        let mut limits = Limits::default();
        for (name, limit) in [
            ("max_payload", &mut limits.payload),
            ("max_metadata", &mut limits.metadata),
            ("max_events", &mut limits.events),
        ] {
            *limit = self.take_as(name, "should be a whole number")?.unwrap_or(*limit);
        }
        Ok(limits)
    }

    /// Returns the remaining parameters if the driver knows all of them.
    pub(crate) fn into_driver_parameters(
        self,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, String)>> {
        match self.0.iter().find(|(name, _)| !is_known(name)) {
            Some((name, _)) => Err(invalid_parameter(name, "is unknown")),
            None => Ok(self.0),
        }
    }
}

/// The error of a parameter. It shows the name and never the value, which may be a secret.
pub(crate) fn invalid_parameter(name: &str, how: &str) -> highwater_core::Error {
    let name: String = name.chars().take(40).collect();
    Invalid::configuration(format!("the parameter {name:?} in the URL of the store {how}")).into()
}

#[cfg(test)]
mod tests {
    use highwater_core::Code;

    use super::*;

    #[test]
    fn a_parameter_is_taken_once_and_understood() {
        let mut parameters = Parameters::parse("a=1&b=2s&max_events=7&c=%20").unwrap();
        assert_eq!(parameters.take_as::<u32>("a", "").unwrap(), Some(1));
        assert_eq!(parameters.take_as::<u32>("a", "").unwrap(), None);
        assert_eq!(parameters.take_duration("b").unwrap(), Some(Duration::from_secs(2)));
        assert_eq!(parameters.take_limits().unwrap(), Limits { events: 7, ..Limits::default() });
        let rest = parameters.into_driver_parameters(|name| name == "c").unwrap();
        assert_eq!(rest, [("c".to_owned(), " ".to_owned())]);
    }

    #[test]
    fn what_is_unknown_or_given_twice_or_malformed_is_refused_by_name() {
        let unknown = Parameters::parse("pool=hunter2").unwrap().into_driver_parameters(|_| false);
        let twice = Parameters::parse("pool=hunter2&pool=hunter2");
        let malformed = Parameters::parse("pool=hunter2").unwrap().take_duration("pool");
        let negative = Parameters::parse("pool=-1s").unwrap().take_duration("pool");
        let errors = [unknown.err(), twice.err(), malformed.err(), negative.err()];
        for error in errors.map(Option::unwrap) {
            assert_eq!(error.code(), Code::BAD_CONFIGURATION);
            assert!(error.to_string().contains("\"pool\""), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
