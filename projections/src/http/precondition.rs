//! `If-Match` and `If-None-Match` as the version that a command expects (W1).

use axum::http::{HeaderMap, StatusCode};
use highwater_core::Version;

use super::{problem::Problem, single_header};

/// Returns the version that a command expects. The entity tag of a version is its number, as `"17"`.
///
/// # Errors
/// 412 for a tag that no version has, and for a condition that can't be evaluated: several tags, or `*`. A condition that
/// isn't understood must not be treated as no condition.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<Version>, Problem> {
    let failed = |detail: String| Problem::new(StatusCode::PRECONDITION_FAILED).detail(detail);
    let matching = single_header(headers, "If-Match").map_err(failed)?;
    let not_matching = single_header(headers, "If-None-Match").map_err(failed)?;
    match (matching, not_matching.map(str::trim)) {
        (None, None) => Ok(None),
        (None, Some("*")) => Ok(Some(Version::NONE)),
        (Some(tag), None) => version(tag).map(Some).ok_or_else(|| {
            failed("If-Match takes one version of a stream, in quotes: \"17\"".to_owned())
        }),
        _ => Err(failed("a command takes If-Match, or If-None-Match: *".to_owned())),
    }
}

fn version(tag: &str) -> Option<Version> {
    let number = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| is_number).map(Version::new)
}
