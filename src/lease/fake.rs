//! An API server in memory, for elections on tokio's paused clock.
//!
//! It speaks HTTP to the real client and keeps one Lease with real `resourceVersion` semantics. It
//! is a fake because of what it does between the lines: it answers late, loses answers to writes
//! that it has applied, and refuses, each for one candidate alone.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kube::Client;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;

/// What happens to one request on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    /// Before the server sees it.
    pub(super) there: Duration,
    /// Before the answer arrives.
    pub(super) back: Duration,
    /// The answer never arrives.
    pub(super) lost: bool,
    /// The server refuses instead of looking.
    pub(super) refused: bool,
}

/// The API server: one Lease, or none.
#[derive(Clone, Default)]
pub(super) struct Server {
    pub(super) lease: Arc<Mutex<Option<Lease>>>,
    version: Arc<Mutex<u64>>,
}

pub(super) type Forecast = Arc<Mutex<Box<dyn FnMut() -> Weather + Send>>>;

#[derive(Clone)]
struct Line {
    server: Server,
    forecast: Forecast,
}

impl Server {
    /// A client in clear weather.
    pub(super) fn client(&self) -> Client {
        self.client_in(Weather::default).0
    }

    /// A client whose requests fare as the forecast says, and the forecast to change it.
    pub(super) fn client_in(
        &self,
        forecast: impl FnMut() -> Weather + Send + 'static,
    ) -> (Client, Forecast) {
        let forecast: Forecast = Arc::new(Mutex::new(Box::new(forecast)));
        let line = Line {
            server: self.clone(),
            forecast: forecast.clone(),
        };
        let router = Router::new().fallback(travel).with_state(line);
        (Client::new(router, "oubliette"), forecast)
    }

    pub(super) fn holder(&self) -> Option<String> {
        let lease = self.lease.lock().unwrap();
        Record::of(lease.as_ref()?.spec.as_ref()?).holder
    }

    pub(super) fn spec(&self) -> LeaseSpec {
        self.lease.lock().unwrap().clone().unwrap().spec.unwrap()
    }

    /// Writes past all rules, as `kubectl edit` would.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Option<Lease>)) {
        let mut lease = self.lease.lock().unwrap();
        change(&mut lease);
        let mut version = self.version.lock().unwrap();
        *version += 1;
        if let Some(lease) = lease.as_mut() {
            lease.metadata.resource_version = Some(version.to_string());
        }
    }

    fn serve(&self, method: &Method, body: &[u8]) -> Response {
        let mut stored = self.lease.lock().unwrap();
        let sent: Option<Lease> = serde_json::from_slice(body).ok();
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        match (method.as_str(), stored.as_ref(), sent) {
            ("GET", Some(lease), _) => answer(lease),
            ("GET" | "PUT", None, _) => failure(StatusCode::NOT_FOUND, "NotFound"),
            ("POST", Some(_), _) => failure(StatusCode::CONFLICT, "AlreadyExists"),
            ("PUT", Some(lease), Some(new)) if version(lease) != version(&new) => {
                failure(StatusCode::CONFLICT, "Conflict")
            }
            ("PUT" | "POST", _, Some(mut new)) => {
                let mut version = self.version.lock().unwrap();
                *version += 1;
                new.metadata.resource_version = Some(version.to_string());
                let answer = answer(&new);
                *stored = Some(new);
                answer
            }
            _ => failure(StatusCode::BAD_REQUEST, "BadRequest"),
        }
    }
}

fn answer(lease: &Lease) -> Response {
    Response::new(Body::from(serde_json::to_vec(lease).unwrap()))
}

fn failure(code: StatusCode, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code.as_u16(),
    });
    (code, status.to_string()).into_response()
}

/// Carries a request there and back. A client that gives up does not stop what is under way.
async fn travel(State(line): State<Line>, method: Method, body: Bytes) -> Response {
    let weather = (line.forecast.lock().unwrap())();
    let (arrive, arrived) = oneshot::channel();
    tokio::spawn(async move {
        sleep(weather.there).await;
        let response = if weather.refused {
            failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable")
        } else {
            line.server.serve(&method, &body)
        };
        if weather.lost {
            std::future::pending::<()>().await;
        }
        sleep(weather.back).await;
        let _ = arrive.send(response);
    });
    arrived.await.expect("sent or pending for ever")
}
