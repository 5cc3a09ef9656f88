//! TLS to the server: the parameters of a URL that belong together, and errors that no retry changes.
//!
//! The driver reports what is wrong with a certificate as an error of the network with rustls, and as one of TLS with
//! the library of the system. Here both become one error, which says whose the next step is.

use std::{error::Error as StdError, fs::File, io};

use highwater_core::{Code, Result};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::parameters::invalid_parameter;

/// Applies what libpq says about the parameters of TLS: `require` with a root checks the certificate against it. What
/// would have no effect is refused, and so is a file that can't be read.
pub(super) fn complete(
    connect: PgConnectOptions,
    parameters: &[(String, String)],
) -> Result<PgConnectOptions> {
    let given = |name: &str| parameters.iter().find(|(given, _)| given == name);
    let mut files = ["sslrootcert", "sslcert", "sslkey"].into_iter().filter_map(given);
    files.try_for_each(|(name, file)| check_file(name, file))?;
    if given("sslcert").is_some() != given("sslkey").is_some() {
        return Err(invalid_parameter("sslcert", "and sslkey belong together: give both"));
    }
    match connect.get_ssl_mode() {
        _ if given("sslrootcert").is_none() => Ok(connect),
        PgSslMode::Require => Ok(connect.ssl_mode(PgSslMode::VerifyCa)),
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => Ok(connect),
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => {
            let how = "has no effect without sslmode: add sslmode=verify-full";
            Err(invalid_parameter("sslrootcert", how))
        }
    }
}

/// Checks that a file can be read. A certificate may also be given itself, as PEM.
fn check_file(name: &str, file: &str) -> Result<()> {
    if file.trim_start().starts_with("-----BEGIN") {
        return Ok(());
    }
    File::open(file).map(drop).map_err(|error| {
        let how = format!("names a file that can't be read: {error}");
        invalid_parameter(name, &how)
    })
}

/// An error of TLS that stays until the program, its URL or the server is changed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}; {advice}")]
pub(super) struct TlsRefusal {
    code: Code,
    reason: String,
    advice: &'static str,
}

impl TlsRefusal {
    /// Returns the refusal that an error carries.
    pub(super) fn in_error(error: &sqlx::Error) -> Option<&Self> {
        let sqlx::Error::Tls(source) = error else { return None };
        source.downcast_ref()
    }

    pub(super) fn code(&self) -> Code {
        self.code
    }
}

const NO_TLS_IN_PROGRAM: &str =
    "build the program with the feature tls-rustls or tls-native of highwater";
const NO_TLS_ON_SERVER: &str = "set ssl = on at the server, or, if the network can be trusted, sslmode=disable in the URL of the store";
const OTHER_ROOT: &str =
    "set sslrootcert in the URL of the store to the root that has signed the server's certificate";
#[cfg(feature = "tls-rustls")]
const OTHER_HOST: &str = "name the server in the URL of the store as its certificate does, or give it a certificate for this name";
#[cfg(feature = "tls-rustls")]
const NOT_VALID_NOW: &str = "renew the certificate of the server, and check the clocks";
const CLIENT_REFUSED: &str =
    "check sslcert and sslkey in the URL of the store, and ssl_ca_file of the server";
const ANY_CERTIFICATE: &str = "set sslrootcert in the URL of the store to the root that has signed the server's certificate, \
     name the server as its certificate does, and check sslcert and sslkey";

/// Converts an error of TLS that a new connection has met. All others stay as they are.
pub(super) fn name_refusal(error: sqlx::Error) -> sqlx::Error {
    let refusal = match &error {
        sqlx::Error::Tls(source) => match transient(&**source) {
            Some(cut) => return sqlx::Error::Io(cut),
            None => Some(refusal_of(&**source)),
        },
        #[cfg(feature = "tls-rustls")]
        sqlx::Error::Io(error) => refused_certificate(error).or_else(|| refused_client(error)),
        #[cfg(not(feature = "tls-rustls"))]
        sqlx::Error::Io(error) => refused_client(error),
        _ => None,
    };
    refusal.map_or(error, |refusal| sqlx::Error::Tls(Box::new(refusal)))
}

/// Returns the error of the network that ended a handshake, if there was one.
fn transient(error: &(dyn StdError + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cut) = error.downcast_ref::<io::Error>() {
            return Some(io::Error::new(cut.kind(), cut.to_string()));
        }
        next = error.source();
    }
    None
}

fn refusal_of(error: &(dyn StdError + 'static)) -> TlsRefusal {
    let reason = error.to_string();
    let (code, advice) = if reason.contains("without TLS support") {
        (Code::BAD_CONFIGURATION, NO_TLS_IN_PROGRAM)
    } else if reason.contains("does not support TLS") {
        (Code::BAD_CONFIGURATION, NO_TLS_ON_SERVER)
    } else if reason.contains("Invalid certificate") {
        (Code::BAD_CREDENTIALS, OTHER_ROOT)
    } else {
        (Code::BAD_CREDENTIALS, ANY_CERTIFICATE)
    };
    TlsRefusal { code, reason, advice }
}

/// Returns the refusal of the client's certificate by the server, which the library of the system reports in words.
fn refused_client(error: &io::Error) -> Option<TlsRefusal> {
    let reason = error.to_string();
    let is_alert = reason.contains("SSL routines") && reason.contains("alert");
    is_alert.then_some(TlsRefusal { code: Code::BAD_CREDENTIALS, reason, advice: CLIENT_REFUSED })
}

/// Returns the refusal of a certificate, of the server or of the client, by rustls.
#[cfg(feature = "tls-rustls")]
fn refused_certificate(error: &io::Error) -> Option<TlsRefusal> {
    use rustls::{CertificateError as Bad, Error::*};

    let error: &rustls::Error = error.get_ref()?.downcast_ref()?;
    let advice = match error {
        InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => OTHER_HOST,
        InvalidCertificate(
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. },
        ) => NOT_VALID_NOW,
        InvalidCertificate(_) => OTHER_ROOT,
        AlertReceived(_) => CLIENT_REFUSED,
        _ => return None,
    };
    Some(TlsRefusal { code: Code::BAD_CREDENTIALS, reason: error.to_string(), advice })
}
