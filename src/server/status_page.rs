//! `GET /status` for the operator: who may read it, the page, and the numbers that it shows.
//!
//! With `--admin-token-file` every listener serves it to requests with the token; a public listener
//! only over TLS, since the token could be read on the way. Without that flag `--admin-listen`
//! serves it, to browsers on this machine. A browser sends the password with every request, so the
//! page only reads: requests that change something need a bearer token (`operator`).

use super::access::{Source, is_foreign};
use super::exchange;
use super::routes::Route;
use super::shared_json::SharedJson;
use super::state::{State, Status};
use super::status;
use super::status_data;
use crate::http::{Assets, Request, Response};
use crate::limits::STATUS_MS;
use crate::time::Millis;

const NOT_LOCAL: &str = "The status page needs a token: start the server with \
    --admin-token-file FILE. Without one it is available on this machine only, as localhost, and \
    not with --trusted-proxy.";
const NEEDS_HTTPS: &str = "The status page needs https here: over plain http the token could be \
    read on the way. Start the server with --cert, let a proxy of --trusted-proxy send \
    X-Forwarded-Proto: https, or use --admin-listen.";
const OTHER_SITE: &str = "Pages of other sites may not read this.";

/// The response to a request for the page, a file that it loads, or the numbers.
pub fn answer(
    state: &mut State,
    assets: &Assets,
    source: Source,
    request: &Request,
    route: Route,
    now: Millis,
) -> Response {
    let is_data = route == Route::StatusData;
    if is_data && is_foreign(request) {
        // It is not counted: pages of any site could raise the number.
        return Response::sentence(403, OTHER_SITE);
    }
    if let Err(response) = judge(state, source, request, is_data, now) {
        // A browser asks without a token first.
        if response.status != 401 || request.has("Authorization") {
            exchange::count_refused_token(state, source.client, request, response.status, now);
        }
        return response;
    }
    if !is_data {
        let file = assets.answer_status(request);
        return own(file.unwrap_or_else(status::not_found));
    }
    if state.status.as_ref().is_none_or(|status| status.outdated_at <= now) {
        let json = SharedJson::new(status_data::json(state, now));
        state.status = Some(Status { outdated_at: now.after(STATUS_MS), json });
    }
    let status = state.status.as_mut().expect("it was made if it was missing");
    own(status.json.answer(request))
}

/// The response to a request over plain http, whose token could be read on the way.
#[must_use]
pub fn refuse_open() -> Response {
    Response::sentence(403, NEEDS_HTTPS)
}

/// Only pages of the same origin may load it: those of others could learn from a script that they
/// can load that the browser has the password.
fn own(response: Response) -> Response {
    response.with("Cross-Origin-Resource-Policy", "same-origin")
}

fn judge(
    state: &mut State,
    source: Source,
    request: &Request,
    is_data: bool,
    now: Millis,
) -> Result<(), Response> {
    if state.access.has_token() {
        return state.access.check_reader(source, request, !is_data, now);
    }
    match state.admission.trust.is_local_at_any_port(source.client, request) {
        true => Ok(()),
        false => Err(Response::sentence(403, NOT_LOCAL)),
    }
}
