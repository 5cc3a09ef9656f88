//! Where the pages of the codes are.

use std::future::{Ready, ready};

use axum::{body::Body, http::header::CONTENT_LENGTH, response::Response};

use super::problem::Problem;

/// Where they are unless said: with the service itself.
pub(super) const HERE: &str = "/errors/";

/// Has the `type` of every problem lead to where the pages of the codes are: `base` and the code, with
/// what is between them in `base`. Without it a type is `/errors/HW…`, relative to the service.
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
    move |response| ready(based(response, &base))
}

fn based(mut response: Response, base: &str) -> Response {
    if let Some(problem) = response.extensions().get::<Problem>() {
        let body = problem.body(base).to_string();
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
    }
    response
}
