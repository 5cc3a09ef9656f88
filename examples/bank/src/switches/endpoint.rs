//! The switches of a worker over HTTP. Anyone who can reach this endpoint can stop the worker: serve it on a loopback
//! port only.

use axum::{Json, Router, extract::State, routing::get};

use super::{Setting, Switches};

/// Creates the router of `/switches`, which returns and changes the setting.
pub fn endpoint(switches: Switches) -> Router {
    Router::new().route("/switches", get(show).put(set)).with_state(switches)
}

async fn show(State(switches): State<Switches>) -> Json<Setting> {
    Json(switches.setting())
}

async fn set(State(switches): State<Switches>, Json(setting): Json<Setting>) -> Json<Setting> {
    tracing::warn!(?setting, "the switches were set");
    switches.set(setting);
    Json(switches.setting())
}
