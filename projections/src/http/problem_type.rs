//! The `type` of problems: the base URL of the pages of the error codes.

use std::future::{Ready, ready};

use axum::{body::Body, http::header::CONTENT_LENGTH, response::Response};

use super::problem::Problem;

/// The default base, relative to the service.
pub(super) const DEFAULT_BASE: &str = "/errors/";

/// Creates a response mapper that sets the base URL of the `type` of every problem: a type is `base` followed by the
/// code, so `base` ends with its own separator. Without the mapper a type is `/errors/HW…`, relative to the service.
///
/// ```
/// use axum::{Router, middleware::map_response};
/// use highwater_projections::http::error_pages_at;
///
/// let router: Router = Router::new();
/// let router = router.layer(map_response(error_pages_at("https://bank.example/docs/errors/")));
/// ```
pub fn error_pages_at(
    base: impl Into<String>,
) -> impl Fn(Response) -> Ready<Response> + Clone + Send + Sync + 'static {
    let base = base.into();
    move |response| ready(with_base(response, &base))
}

fn with_base(mut response: Response, base: &str) -> Response {
    if let Some(problem) = response.extensions().get::<Problem>() {
        let body = problem.body(base).to_string();
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
    response
}
