//! `Highwater-Token`: what the caller has seen, in requests and responses (R3).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use highwater_core::{Error, Token, error::Invalid, value::Freshness};

use super::problem::Problem;

/// The header of consistency tokens. In a request it is what the response must have seen; several tokens, in one line or
/// in several, are merged. In a response it covers the response and the token of the request.
pub const TOKEN: HeaderName = HeaderName::from_static("highwater-token");

/// The limit on all tokens of a request together. A token of a log takes 14 bytes.
const MAX_TOKEN_BYTES: usize = 4 * 1024;

/// Returns the tokens of a request, merged.
pub(super) fn read(headers: &HeaderMap) -> Result<Token, Problem> {
    let lines = headers.get_all(TOKEN);
    let size: usize = lines.iter().map(HeaderValue::len).sum();
    if size > MAX_TOKEN_BYTES {
        let error = Error::from(Invalid::too_large("Highwater-Token", size, MAX_TOKEN_BYTES));
        return Err(Problem::from(error).status_is(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    let mut all = Token::default();
    for line in lines {
        let line = line.to_str().map_err(|_| malformed(line))?;
        for text in line.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            all = all.merge(&text.parse().map_err(Error::from)?);
        }
    }
    // Parsing bounds each token. The merged one is parsed again, since it is sent back and must be bounded too.
    Ok(all.to_string().parse().map_err(Error::from)?)
}

fn malformed(line: &HeaderValue) -> Error {
    let text = String::from_utf8_lossy(line.as_bytes());
    let right = "pass on the header of a response unchanged";
    Invalid::malformed("consistency token", &text, right).into()
}

/// Returns true if a token covers more than a response of this freshness has seen. A token of another log can't be
/// compared, and is not beyond.
pub(super) fn is_beyond(token: &Token, freshness: &Freshness) -> bool {
    let is_same = token.log().is_none_or(|log| freshness.log.is_none_or(|other| other == log));
    is_same && !token.is_covered_by(&freshness.token())
}

/// Returns the token of a caller after a response. A token of another log, or with partitions that this log doesn't have,
/// is dropped: no view could ever reach the merged token.
pub(super) fn after(before: &Token, response: &Token) -> Token {
    match (before.log(), response.log()) {
        (Some(other), Some(this)) if other != this => response.clone(),
        _ if !before.is_of_one_order() => response.clone(),
        _ => before.merge(response),
    }
}

/// Writes a token into the headers of a response.
pub(super) fn write(token: &Token, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::try_from(token.to_string()) {
        headers.insert(TOKEN, value);
    }
}
