//! `Highwater-Token`: what the caller has seen, in and out (R3).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use highwater_core::{Error, Token, error::Invalid, value::Freshness};

use super::problem::Problem;

/// The header of consistency tokens. In a request: what the answer must have seen; several, in one line or
/// in several, all count. In an answer: what whoever has seen it, and whatever it had seen before, has seen.
pub const TOKEN: HeaderName = HeaderName::from_static("highwater-token");

/// How many bytes of tokens a request may have. Those of a log take 14 each.
const LIMIT: usize = 4 * 1024;

/// All the tokens of a request, merged.
pub(super) fn read(headers: &HeaderMap) -> Result<Token, Problem> {
    let lines = headers.get_all(TOKEN);
    let size: usize = lines.iter().map(HeaderValue::len).sum();
    if size > LIMIT {
        let error = Error::from(Invalid::too_large("Highwater-Token", size, LIMIT));
        return Err(Problem::from(error).status_is(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    let mut all = Token::default();
    for line in lines {
        let line = line.to_str().map_err(|_| malformed(line))?;
        for text in line.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            all = all.merge(&text.parse().map_err(Error::from)?);
        }
    }
    // Each is bounded, but not what they make together; and it is sent back.
    Ok(all.to_string().parse().map_err(Error::from)?)
}

fn malformed(line: &HeaderValue) -> Error {
    let text = String::from_utf8_lossy(line.as_bytes());
    let right = "pass on the header of an answer unchanged";
    Invalid::malformed("consistency token", &text, right).into()
}

/// Whether a token stands for more than an answer of this freshness has seen. What a token of another log
/// stands for can't be said.
pub(super) fn is_beyond(token: &Token, freshness: &Freshness) -> bool {
    let is_same = token.log().is_none_or(|log| freshness.log.is_none_or(|other| other == log));
    is_same && !token.is_covered_by(&freshness.token())
}

/// What the caller has seen after an answer. A token of another log, or with partitions that this one doesn't
/// have, says nothing of this one; were it merged, nobody could wait for what comes out.
pub(super) fn after(before: &Token, answered: &Token) -> Token {
    match (before.log(), answered.log()) {
        (Some(other), Some(this)) if other != this => answered.clone(),
        _ if !before.is_of_one_order() => answered.clone(),
        _ => before.merge(answered),
    }
}

/// Puts a token into an answer.
pub(super) fn write(token: &Token, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::try_from(token.to_string()) {
        headers.insert(TOKEN, value);
    }
}
