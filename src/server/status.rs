//! Responses about the state of the server: health and metrics.

use super::ids::{Link, SessionId};
use super::memory;
use super::rooms::Room;
use super::socketio::session::Transport;
use super::state::State;
use crate::game::Rules;
use crate::http::Request;
use crate::http::response::Response;
use crate::limits::RETRY_AFTER_S;
use crate::metrics::{Gauges, Kind, Refusal, Text};
use crate::origin;
use crate::wire::Dialect;

/// The response to a `Host` that is not allowed.
#[must_use]
pub fn wrong_host() -> Response {
    Response::sentence(421, "This server does not serve that host; see --host.")
}

/// 404: no file and no other page has this path.
#[must_use]
pub fn not_found() -> Response {
    Response::sentence(404, "Page not found.")
}

/// The redirect to the same path over TLS, at `port` of the same host.
#[must_use]
pub fn redirect(request: &Request, port: u16) -> Response {
    let Some(host) = origin::host_text(request.host) else {
        return Response::sentence(400, "The request needs the field Host.");
    };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let question = if request.query.is_empty() { "" } else { "?" };
    let target = [request.path, question, request.query].concat();
    let location = format!("https://{host}{port}{}", target.trim_start_matches('*'));
    Response::sentence(308, "This page is at https://.").with("Location", location)
}

/// 503 with `Retry-After`, for the reason in `sentence`.
#[must_use]
pub fn unavailable(sentence: &str) -> Response {
    Response::sentence(503, sentence).with("Retry-After", RETRY_AFTER_S.to_string())
}

/// 429 with `Retry-After`: the address asks for too many pages.
#[must_use]
pub fn too_many_requests() -> Response {
    Response::sentence(429, "Too many requests from your address.")
        .with("Retry-After", RETRY_AFTER_S.to_string())
}

/// The sentence for a join that the limits do not allow.
#[must_use]
pub fn too_many_joins(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::JoinRateTotal => "Too many players join at once; try again.",
        Refusal::Overload => "The server is overloaded; try again.",
        _ => "Too many joins from your address.",
    }
}

/// The server shuts down.
pub const RESTARTING: &str = "The server is restarting.";

/// The current values of all gauges.
#[must_use]
pub fn gauges(state: &State) -> Gauges {
    let compression = state.encoder.compression.stats;
    Gauges {
        connections: state.conns.len(),
        players: state.sessions.len(),
        players_absent: state.tokens.absent(),
        bots: state.rooms.iter().map(|room| room.bots.len()).sum(),
        rooms: state.rooms.len(),
        engine_sessions: state.eio_sessions.len(),
        polls_held: state.eio_sessions.polls_held(),
        held_bytes: memory::total(state),
        held_bytes_max: state.memory.max().unwrap_or_default(),
        frames_out: state.conns.frames_out() + state.metrics.snapshots,
        draining: usize::from(state.drain.is_some()),
        history_bytes: state.memory.histories,
        overload_step: state.overload.step(),
        busy_percent: state.overload.busy_percent() as usize,
        compressed_with_history: compression.with_history,
        compressed_alone: compression.alone,
        not_compressed: compression.over_budget,
        keyframes_deferred: state.encoder.keyframes_deferred,
        compression_in_bytes: compression.bytes_in,
        compression_out_bytes: compression.bytes_out,
    }
}

/// `GET /metrics`: Prometheus text.
#[must_use]
pub fn metrics(state: &State) -> Response {
    let mut text = Text::default();
    state.metrics.write(&gauges(state), &mut text);
    write_players_and_rooms(state, &mut text);
    write_traffic(state, &mut text);
    write_held_bytes(state, &mut text);
    write_limits(state, &mut text);
    let body = text.into_string().into_bytes();
    Response::new(200, "text/plain; version=0.0.4; charset=utf-8", body)
        .with("Cache-Control", "no-store")
}

/// The clients in rooms of the same rules.
#[derive(Debug)]
pub struct Users {
    /// The name of the rules.
    pub rules: &'static str,
    rooms: usize,
    /// By dialect, in the order of [`Dialect::ALL`]; over WebSockets, and over polling.
    clients: [[usize; 2]; Dialect::ALL.len()],
}

impl Users {
    /// The number of clients for each dialect and transport that there may be.
    pub fn clients(&self) -> impl Iterator<Item = (Dialect, &'static str, usize)> {
        let counts = Dialect::ALL.into_iter().zip(self.clients);
        counts.flat_map(|(dialect, [over_websocket, over_polling])| {
            let polling = dialect.is_socketio().then_some((dialect, "polling", over_polling));
            [(dialect, "websocket", over_websocket)].into_iter().chain(polling)
        })
    }
}

/// The clients of all rooms, by rules.
#[must_use]
pub fn users(state: &State) -> Vec<Users> {
    let none = |rules: &'static Rules| Users { rules: rules.name, rooms: 0, clients: [[0; 2]; 3] };
    let mut all: Vec<Users> = state.games.iter().map(none).collect();
    for room in state.rooms.iter() {
        let name = room.world.rules().name;
        let Some(users) = all.iter_mut().find(|users| users.rules == name) else { continue };
        users.rooms += 1;
        for dialect in Dialect::ALL {
            let polling = if dialect.is_socketio() { polling(state, room) } else { 0 };
            let [over_websocket, over_polling] = &mut users.clients[dialect as usize];
            *over_websocket += room.members_with(dialect) - polling;
            *over_polling += polling;
        }
    }
    all
}

/// The number of clients of a room that poll. Only those of Socket.IO may.
fn polling(state: &State, room: &Room) -> usize {
    if !Dialect::ALL.iter().any(|it| it.is_socketio() && room.has_members_with(*it)) {
        return 0;
    }
    let polls = |id: &SessionId| match state.sessions.get(*id)?.link {
        Link::Conn(_) => None,
        Link::Eio(id) => {
            Some(matches!(state.eio_sessions.get(id)?.transport, Transport::Polling(_)))
        }
    };
    room.members().iter().filter(|id| polls(id) == Some(true)).count()
}

fn write_players_and_rooms(state: &State, text: &mut Text) {
    let all = users(state);
    let help = "Clients in all rooms, without bots, by rules, dialect and transport.";
    let mut family = text.family(Kind::Gauge, "skirmish_players_by", help);
    for users in &all {
        for (dialect, transport, count) in users.clients() {
            let (rules, dialect) = (users.rules, dialect.name());
            let labels = [("rules", rules), ("dialect", dialect), ("transport", transport)];
            family.sample(&labels, count);
        }
    }
    let help = "Rooms, empty ones included, by rules.";
    let mut family = text.family(Kind::Gauge, "skirmish_rooms_by", help);
    for Users { rules, rooms, .. } in &all {
        family.sample(&[("rules", rules)], rooms);
    }
}

fn write_traffic(state: &State, text: &mut Text) {
    let by_dialect = || Dialect::ALL.into_iter().zip(state.traffic);
    let help = "Bytes from clients in rooms: of their WebSockets, and of payloads of polling.";
    let mut family = text.family(Kind::Counter, "skirmish_client_received_bytes_total", help);
    for (dialect, traffic) in by_dialect() {
        family.sample(&[("dialect", dialect.name())], traffic.received_bytes);
    }
    let help = "Bytes to clients in rooms: over their WebSockets, and in payloads of polling.";
    let mut family = text.family(Kind::Counter, "skirmish_client_sent_bytes_total", help);
    for (dialect, traffic) in by_dialect() {
        family.sample(&[("dialect", dialect.name())], traffic.sent_bytes);
    }
}

fn write_held_bytes(state: &State, text: &mut Text) {
    let help = "Bytes held for clients, by what holds them.";
    let mut family = text.family(Kind::Gauge, "skirmish_held_bytes_by", help);
    for (kind, bytes) in memory::by_kind(state) {
        family.sample(&[("kind", kind)], bytes);
    }
}

/// The limits that the operator sets, or that depend on the machine, but for those that do not
/// apply.
pub fn limits(state: &State) -> impl Iterator<Item = (&'static str, usize)> {
    let settings = &state.settings;
    let limits = [
        ("connections_max", Some(state.connections_max)),
        ("memory_bytes_max", state.memory.max()),
        ("rooms_max", Some(settings.rooms_max)),
        ("full_state_players_max", Some(settings.full_state_players_max)),
        ("view_bytes", Some(settings.view_bytes as usize)),
        ("payload_bytes_max", Some(settings.max_payload)),
        ("keep_alive_seconds", Some(settings.keep_alive_s as usize)),
        ("resume_seconds", Some(settings.resume_s as usize)),
    ];
    limits.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

fn write_limits(state: &State, text: &mut Text) {
    let settings = &state.settings;
    let help = "Limits that flags set or the machine has.";
    let mut family = text.family(Kind::Gauge, "skirmish_limit", help);
    for (name, value) in limits(state) {
        family.sample(&[("name", name)], value);
    }
    let help = "Players that a room of these rules admits.";
    let mut family = text.family(Kind::Gauge, "skirmish_room_players_limit", help);
    for rules in state.games.iter() {
        let players_max = settings.room_players_max(rules.players_max());
        family.sample(&[("rules", rules.name)], players_max);
    }
}
