//! `Debug` of errors: the form that Rust prints when `main` returns one.

use std::{error::Error as _, fmt};

use super::Error;

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return fmt_fields(self, f);
        }
        write!(f, "{}: {self}", self.code())?;
        let mut cause = self.source();
        if cause.is_some() {
            f.write_str("\n\nCaused by:")?;
        }
        while let Some(error) = cause {
            write!(f, "\n    {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn fmt_fields(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match error {
        Error::Rejected(rejection) => f.debug_tuple("Rejected").field(rejection).finish(),
        Error::Conflict(conflict) => f.debug_tuple("Conflict").field(conflict).finish(),
        Error::Unavailable(reason) => f.debug_tuple("Unavailable").field(reason).finish(),
        Error::UnknownOutcome { command, source } => f
            .debug_struct("UnknownOutcome")
            .field("command", command)
            .field("source", source)
            .finish(),
        Error::Invalid(invalid) => f.debug_tuple("Invalid").field(invalid).finish(),
        Error::Corrupt(corrupt) => f.debug_tuple("Corrupt").field(corrupt).finish(),
        Error::Panicked(panicked) => f.debug_tuple("Panicked").field(panicked).finish(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use crate::error::{Error, Invalid, Source, Unavailable};

    #[test]
    fn debug_prints_code_message_and_causes_on_lines_of_their_own() {
        let source = Source::new(io::Error::other("connection refused"));
        let error = Error::from(Unavailable::unreachable("connecting", source));
        let expected = "HW301: the store is unavailable while connecting: connection refused\n\n\
                        Caused by:\n    connection refused";
        assert_eq!(format!("{error:?}"), expected);
        assert!(format!("{error:#?}").starts_with("Unavailable("));
    }

    #[test]
    fn debug_of_an_error_without_a_cause_is_one_line() {
        let error = Error::from(Invalid::request("there is no command"));
        assert_eq!(format!("{error:?}"), "HW610: there is no command");
    }
}
