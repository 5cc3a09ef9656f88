//! Problem details (RFC 9457): errors as responses, for programs and for people.

use std::{borrow::Cow, fmt};

use axum::{
    extract::rejection::{JsonRejection, PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use headers::{CacheControl, HeaderMapExt as _};
use highwater_core::Code;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{error_status::ErrorStatus, problem_type};

/// An error as [problem details](https://www.rfc-editor.org/rfc/rfc9457). It is created from an
/// [`Error`](highwater_core::Error) through `?`, or by the application for its own errors.
///
/// A problem of a Highwater error has the members `code` (`HW…`), `next_step` (a [`NextStep`](highwater_core::NextStep) in
/// snake_case), and those of the kind of error: `docs/guide/http.md` lists them. Details that only an operator may see
/// are logged, and not part of it.
///
/// ```
/// use axum::http::StatusCode;
/// use highwater_projections::http::Problem;
///
/// let problem = Problem::new(StatusCode::FORBIDDEN).detail("This account belongs to another customer.");
/// assert_eq!(problem.with("account", "alice").status(), StatusCode::FORBIDDEN);
/// ```
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemFields>);

#[derive(Debug, Clone)]
struct ProblemFields {
    status: StatusCode,
    code: Option<Code>,
    detail: Option<Cow<'static, str>>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// Creates a problem with a status and no details.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self(Box::new(ProblemFields {
            status,
            code: None,
            detail: None,
            members: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// Creates the problem of an error code.
    #[must_use]
    pub(super) fn of(code: Code) -> Self {
        let status = ErrorStatus::of(code);
        let mut problem = Self::new(status.status).with("next_step", status.next_step);
        problem.0.code = Some(code);
        problem
    }

    /// Sets the description of this occurrence, for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Sets a member for programs, and replaces an earlier one of this name. A value that can't be written as JSON is
    /// left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.members.insert(name.to_owned(), value);
        }
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the code of the error that the problem was created from.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.0.code
    }

    pub(super) fn status_is(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    pub(super) fn headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers.extend(headers);
        self
    }

    /// Sets a header of the response, and replaces an earlier one of this name. `Content-Type` and `Cache-Control` can't be
    /// changed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum::http::StatusCode;
    /// use highwater_projections::http::{Problem, headers::RetryAfter};
    ///
    /// let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS);
    /// let problem = problem.header(RetryAfter::delay(Duration::from_secs(5)));
    /// ```
    #[must_use]
    pub fn header(mut self, header: impl headers::Header) -> Self {
        self.0.headers.typed_insert(header);
        self
    }

    /// Returns the body, with types below `base`.
    pub(super) fn body(&self, base: &str) -> Value {
        let ProblemFields { status, code, detail, members, .. } = &*self.0;
        // Members that the standard defines can't be overridden.
        let mut body = members.clone();
        let page = code.map_or("about:blank".to_owned(), |code| format!("{base}{code}"));
        let title = code.map_or(status.canonical_reason().unwrap_or_default(), Code::title);
        body.insert("type".into(), page.into());
        body.insert("title".into(), title.into());
        body.insert("status".into(), status.as_u16().into());
        if let Some(detail) = detail {
            body.insert("detail".into(), detail.as_ref().into());
        }
        if let Some(code) = code {
            body.insert("code".into(), code.as_str().into());
        }
        body.into()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProblemFields { status, code, detail, .. } = &*self.0;
        write!(f, "{status}")?;
        if let Some(code) = code {
            write!(f, " {code}")?;
        }
        detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}

/// The problem of a malformed body.
impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status()).detail(rejection.body_text())
    }
}

/// The problem of a malformed path.
impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status()).detail(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut headers = self.0.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.typed_insert(CacheControl::new().with_no_store());
        let body = self.body(problem_type::DEFAULT_BASE).to_string();
        let mut response = (self.0.status, headers, body).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
