//! Problem details (RFC 9457): what went wrong, for programs and for people.

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

use super::{pages, verdict};

/// What went wrong, as [problem details](https://www.rfc-editor.org/rfc/rfc9457). It is made from an
/// [`Error`](highwater_core::Error) by `?`, or by hand for what is no matter of Highwater's.
///
/// Of Highwater's errors it has the members `code` (`HW…`) and `move` (who is to do what), and those of
/// the kind of error: `docs/guide/http.md` has the list. What only an operator may know is
/// logged, and not in it.
///
/// ```
/// use axum::http::StatusCode;
/// use highwater_projections::http::Problem;
///
/// let problem = Problem::new(StatusCode::FORBIDDEN).detail("This account is somebody else's.");
/// assert_eq!(problem.with("account", "alice").status(), StatusCode::FORBIDDEN);
/// ```
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: Option<Code>,
    detail: Option<Cow<'static, str>>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem that says no more than its status.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        let (members, headers) = (Map::new(), HeaderMap::new());
        Self(Box::new(Parts { status, code: None, detail: None, members, headers }))
    }

    /// The problem that a code stands for.
    #[must_use]
    pub(super) fn of(code: Code) -> Self {
        let verdict = verdict::of(code);
        let mut problem = Self::new(verdict.status).with("move", verdict.next_move);
        problem.0.code = Some(code);
        problem
    }

    /// What happened this time, for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a member for programs. One that has been there is replaced; one that can't be written as JSON
    /// is left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.members.insert(name.to_owned(), value);
        }
        self
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code of the error that it was made from.
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

    /// Sets a header of the answer. One that has been there is replaced; the type and the caching of problem
    /// details stay what they are.
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

    /// The body, with the types' pages at `base`.
    pub(super) fn body(&self, base: &str) -> Value {
        let Parts { status, code, detail, members, .. } = &*self.0;
        // What the standard names can't be given otherwise.
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
        let Parts { status, code, detail, .. } = &*self.0;
        write!(f, "{status}")?;
        if let Some(code) = code {
            write!(f, " {code}")?;
        }
        detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

impl std::error::Error for Problem {}

/// The body of a request that can't be understood.
impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status()).detail(rejection.body_text())
    }
}

/// A path that can't be understood.
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
        let body = self.body(pages::HERE).to_string();
        let mut response = (self.0.status, headers, body).into_response();
        response.extensions_mut().insert(self);
        response
    }
}
