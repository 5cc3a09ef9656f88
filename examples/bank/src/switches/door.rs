//! The switches of a worker over HTTP. Whoever reaches this can stop the worker: it belongs on a loopback
//! port, or nowhere.

use axum::{Json, Router, extract::State, routing::get};

use super::{Setting, Switches};

/// Tells how the switches stand, and sets them, at `/switches`.
pub fn door(switches: Switches) -> Router {
    Router::new().route("/switches", get(tell).put(set)).with_state(switches)
}

async fn tell(State(switches): State<Switches>) -> Json<Setting> {
    Json(switches.setting())
}

async fn set(State(switches): State<Switches>, Json(setting): Json<Setting>) -> Json<Setting> {
    tracing::warn!(?setting, "the switches are set");
    switches.set(setting);
    Json(switches.setting())
}
