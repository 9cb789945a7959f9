//! What the operator may do over `--admin-listen`: list, kick and ban players, and send them a
//! message (docs/protocol.md, "Operators"). Each request has the token, and each action is logged.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

use super::access::Source;
use super::admission::UNKNOWN_CLIENT;
use super::bans::{Ban, network_of, parse_network};
use super::conn::{Reply, Upload};
use super::endings::Ended;
use super::ids::{ConnId, Link, SessionId};
use super::listener_kind::ListenerKind;
use super::routes::{Action, Route};
use super::session::Session;
use super::state::State;
use super::tokens::{Absent, Holder, TokenHash};
use super::{end, exchange, resume, send};
use crate::close::CloseReason;
use crate::game::PlayerId;
use crate::http::{Body, Request, Response, query};
use crate::limits::{ADMIN_BODY_BYTES_MAX, NOTICE_CHARS_MAX, PLAYERS_A_PAGE};
use crate::outbox::Lane;
use crate::time::Millis;
use crate::wire::Dialect;

/// Handles a request: lists what it asks for, or awaits its body.
pub fn request(
    state: &mut State,
    id: ConnId,
    request: &Request,
    action: Action,
    mut reply: Reply,
    now: Millis,
) {
    let Some(peer) = state.conns.get(id).map(|conn| conn.peer) else { return };
    let upload = judge(state, peer, request, action, now);
    match upload {
        Ok(Some(upload)) => exchange::await_body(state, id, request, upload, reply, now),
        Ok(None) => {
            let response = list(state, action, request, now).unwrap_or_else(Failed::response);
            exchange::respond(state, id, response, reply, now);
        }
        Err(response) => {
            // What follows a refused head is undefined.
            reply.keeps_alive &= !request.has_body();
            exchange::respond(state, id, response, reply, now);
        }
    }
}

/// Whether the request is allowed, and the body that it needs.
fn judge(
    state: &mut State,
    peer: IpAddr,
    request: &Request,
    action: Action,
    now: Millis,
) -> Result<Option<Upload>, Response> {
    let source = Source { client: peer, kind: ListenerKind::Admin };
    if let Err(response) = state.access.check(source, request, now) {
        exchange::count_refused_token(state, peer, request, response.status, now);
        return Err(response);
    }
    if matches!(action, Action::Bans | Action::Players) {
        return Ok(None);
    }
    let media_type = request.value("Content-Type").and_then(|value| value.split(';').next());
    if !media_type.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case("application/json")) {
        return Err(Response::sentence(415, "The body must be application/json."));
    }
    let body = Body::of(request, ADMIN_BODY_BYTES_MAX)
        .map_err(|bad| Response::sentence(bad.status, bad.sentence))?;
    Ok(Some(Upload { route: Route::Operator(action), owner: None, body }))
}

/// Does what a request with a complete body asks for, and answers it.
pub fn act(state: &mut State, id: ConnId, action: Action, body: &[u8], now: Millis) {
    let Some(peer) = state.conns.get(id).map(|conn| conn.peer) else { return };
    let done = match action {
        Action::Kick => parse(body).and_then(|kick| run_kick(state, peer, &kick, now)),
        Action::Ban => parse(body).and_then(|ban| run_ban(state, peer, &ban, now)),
        Action::Unban => parse(body).and_then(|unban| run_unban(state, peer, &unban, now)),
        Action::Message => parse(body).and_then(|message| run_message(state, peer, message, now)),
        Action::Bans | Action::Players => Ok(Value::Null),
    };
    let response = done.map_or_else(Failed::response, |done| answer(&done));
    exchange::answer(state, id, response, now);
}

/// Why nothing was done: the status, and a sentence.
struct Failed(u16, String);

impl Failed {
    fn response(self) -> Response {
        Response::sentence(self.0, &self.1)
    }
}

fn parse<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Failed> {
    serde_json::from_slice(body).map_err(|error| Failed(400, format!("Invalid body: {error}.")))
}

fn answer(value: &Value) -> Response {
    let body = format!("{value}\n").into_bytes();
    Response::new(200, "application/json", body).with("Cache-Control", "no-store")
}

/// Players by their number, or by the address of their clients.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kick {
    player: Option<Number>,
    address: Option<IpAddr>,
}

/// The number of a player, as clients write it or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u32),
    Text(String),
}

impl Number {
    fn player(&self) -> Result<PlayerId, Failed> {
        let number = match self {
            Number::Number(number) => Ok(*number),
            Number::Text(text) => text.parse(),
        };
        number.map(PlayerId).map_err(|_| Failed(400, "The player is its number.".to_owned()))
    }
}

fn run_kick(state: &mut State, peer: IpAddr, kick: &Kick, now: Millis) -> Result<Value, Failed> {
    let count = match (&kick.player, kick.address) {
        (Some(number), None) => {
            let player = number.player()?;
            remove(state, |id, _| id == player, now)
        }
        (None, Some(address)) => {
            let network = network_of(address);
            remove(state, |_, addr| network.contains(&addr.to_canonical()), now)
        }
        _ => return Err(Failed(400, "Name one player, or one address.".to_owned())),
    };
    if count == 0 {
        return Err(Failed(404, "There is no such player.".to_owned()));
    }
    info!(%peer, count, "the operator kicked players");
    Ok(json!({ "ok": true, "players": count }))
}

/// Ends the clients of players, and the players. Returns how many.
fn remove(state: &mut State, is_meant: impl Fn(PlayerId, IpAddr) -> bool, now: Millis) -> usize {
    let sessions = state.sessions.iter().filter(|(_, it)| is_meant(it.view.player(), it.peer));
    let links: Vec<Link> = sessions.map(|(_, session)| session.link).collect();
    let absent: Vec<(TokenHash, Absent)> = state
        .tokens
        .iter()
        .filter_map(|(token, holder)| match holder {
            Holder::Absent(absent) => Some((token, absent)),
            Holder::Session(_) => None,
        })
        .filter(|(_, absent)| is_meant(absent.player, absent.peer))
        .collect();
    let count = links.len() + absent.len();
    for link in links {
        end::link(state, link, CloseReason::Kicked, now);
    }
    for (token, absent) in absent {
        state.tokens.remove(token);
        resume::leave(state, absent, CloseReason::Kicked.label(), now);
    }
    count
}

/// Addresses, by one of them, as a network, or by a player; for `seconds`, or for good.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BanRequest {
    address: Option<String>,
    player: Option<Number>,
    seconds: Option<u32>,
}

fn run_ban(
    state: &mut State,
    peer: IpAddr,
    ban: &BanRequest,
    now: Millis,
) -> Result<Value, Failed> {
    let network = match (&ban.address, &ban.player) {
        (Some(text), None) => network(text)?,
        (None, Some(number)) => network_of_player(state, number.player()?)?,
        _ => return Err(Failed(400, "Name one address or network, or one player.".to_owned())),
    };
    if network.prefix_len() == 0 || network.contains(&UNKNOWN_CLIENT) {
        let sentence = "That would ban all addresses, or all clients whose address is unknown.";
        return Err(Failed(400, sentence.to_owned()));
    }
    let until = match ban.seconds {
        None => Millis::NEVER,
        Some(0) => return Err(Failed(400, "The seconds must be more than 0.".to_owned())),
        Some(seconds) => now.after(u64::from(seconds) * 1000),
    };
    if !state.bans.add(Ban { network, until }, now) {
        return Err(Failed(409, "There are too many bans; end some first.".to_owned()));
    }
    let count = remove(state, |_, addr| network.contains(&addr.to_canonical()), now);
    end_unjoined(state, network);
    info!(%peer, %network, seconds = ban.seconds, count, "the operator banned addresses");
    Ok(json!({ "ok": true, "network": network.to_string(), "players": count }))
}

/// Ends sessions that may still join.
fn end_unjoined(state: &mut State, network: IpNet) {
    let sessions = state.eio_sessions.iter();
    let meant = sessions.filter(|(_, eio)| network.contains(&eio.client.to_canonical()));
    for id in meant.map(|(id, _)| id).collect::<Vec<_>>() {
        state.endings.push(Ended::Eio(id), CloseReason::Kicked);
    }
}

fn network(text: &str) -> Result<IpNet, Failed> {
    parse_network(text).ok_or_else(|| {
        Failed(400, "The address must be one such as 192.0.2.7, or a network.".to_owned())
    })
}

/// The addresses to ban for a player.
fn network_of_player(state: &State, player: PlayerId) -> Result<IpNet, Failed> {
    let address = address_of(state, player)?;
    if address == UNKNOWN_CLIENT || state.admission.trust.is_proxy(address) {
        let sentence = "The proxy does not name the address of this player; kick it instead.";
        return Err(Failed(409, sentence.to_owned()));
    }
    Ok(network_of(address))
}

fn address_of(state: &State, player: PlayerId) -> Result<IpAddr, Failed> {
    let mut sessions = state.sessions.iter();
    let present = sessions.find(|(_, session)| session.view.player() == player);
    let absent = || {
        state.tokens.iter().find_map(|(_, holder)| match holder {
            Holder::Absent(absent) if absent.player == player => Some(absent.peer),
            _ => None,
        })
    };
    present
        .map(|(_, session)| session.peer)
        .or_else(absent)
        .ok_or_else(|| Failed(404, "There is no such player.".to_owned()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unban {
    address: String,
}

fn run_unban(state: &mut State, peer: IpAddr, unban: &Unban, now: Millis) -> Result<Value, Failed> {
    let network = network(&unban.address)?;
    if !state.bans.remove(network, now) {
        return Err(Failed(404, "There is no ban of exactly these addresses.".to_owned()));
    }
    info!(%peer, %network, "the operator ended a ban");
    Ok(json!({ "ok": true, "network": network.to_string() }))
}

/// A text for all players, or for those of a room.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageRequest {
    text: String,
    room: Option<String>,
}

fn run_message(
    state: &mut State,
    peer: IpAddr,
    message: MessageRequest,
    now: Millis,
) -> Result<Value, Failed> {
    let MessageRequest { text, room } = message;
    let text = text.trim();
    let is_fine = !text.is_empty()
        && text.chars().count() <= NOTICE_CHARS_MAX
        && !text.chars().any(char::is_control);
    if !is_fine {
        let sentence = format!("The text must be one line of 1 to {NOTICE_CHARS_MAX} characters.");
        return Err(Failed(400, sentence));
    }
    let room = match &room {
        None => None,
        Some(name) => Some(
            state
                .rooms
                .find(name)
                .ok_or_else(|| Failed(404, "There is no such room.".to_owned()))?,
        ),
    };
    let sessions = state.sessions.iter();
    let meant: Vec<SessionId> = sessions
        .filter(|(_, session)| room.is_none_or(|room| session.room == room))
        .map(|(id, _)| id)
        .collect();
    let notices = Dialect::ALL.map(|dialect| (dialect, dialect.notice(text)));
    for id in &meant {
        let Some(session) = state.sessions.get(*id) else { continue };
        let (link, dialect) = (session.link, session.view.dialect);
        for (_, bytes) in notices.iter().filter(|(other, _)| *other == dialect) {
            send::client(state, link, bytes.clone(), Lane::Fact, now);
        }
    }
    info!(%peer, count = meant.len(), "the operator sent a message");
    Ok(json!({ "ok": true, "players": meant.len() }))
}

/// The response to a request that only reads.
fn list(state: &State, action: Action, request: &Request, now: Millis) -> Result<Response, Failed> {
    Ok(answer(&match action {
        Action::Bans => bans(state, now),
        _ => players(state, request.query)?,
    }))
}

fn bans(state: &State, now: Millis) -> Value {
    let ban = |Ban { network, until }| {
        let seconds = (until != Millis::NEVER).then(|| until.since(now).div_ceil(1000));
        json!({ "network": network.to_string(), "seconds": seconds })
    };
    json!({ "bans": state.bans.iter(now).map(ban).collect::<Vec<_>>() })
}

/// The players in the order of their numbers: at most `limit` of those after the number `after`.
fn players(state: &State, query: &str) -> Result<Value, Failed> {
    let number = |name, sentence: &str| match query::get(query, name) {
        None => Ok(None),
        Some(text) => text.parse::<u32>().map(Some).map_err(|_| Failed(400, sentence.to_owned())),
    };
    let after = number("after", "Invalid after: use the number of a player.")?.unwrap_or(0);
    let limit = number("limit", "Invalid limit: use a number.")?
        .map_or(PLAYERS_A_PAGE, |limit| (limit as usize).clamp(1, PLAYERS_A_PAGE));
    let sessions = state.sessions.iter().map(|(_, session)| session);
    let mut sessions: Vec<&Session> =
        sessions.filter(|session| session.view.player().0 > after).collect();
    sessions.sort_unstable_by_key(|session| session.view.player().0);
    let is_last = sessions.len() <= limit;
    sessions.truncate(limit);
    let next = sessions.last().filter(|_| !is_last).map(|last| last.view.player().0.to_string());
    let player = |session: &Session| {
        let room = state.rooms.get(session.room)?;
        let id = session.view.player();
        let body = room.world.find(id)?;
        Some(json!({
            "id": id.0.to_string(),
            "name": room.world.bodies()[body].shown_name(),
            "room": &*room.name,
            "address": session.peer,
            "dialect": session.view.dialect.name(),
        }))
    };
    let players: Vec<Value> = sessions.into_iter().filter_map(player).collect();
    Ok(json!({ "players": players, "next": next }))
}
