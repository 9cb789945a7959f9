//! A Socket.IO client's view of its room. It takes packets one by one and fails on the first packet
//! that is malformed or inconsistent with the packets before it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

/// From the protocol documentation, not from the server.
const HP: u8 = 100;
const SIDE: u64 = 500;
const ERRORS: [&str; 7] =
    ["cooldown", "dead", "rate", "bad_position", "no_combat", "unknown_event", "binary"];

const MOVED: &str = r#"42["player_moved",{"id":""#;

/// A player as the client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    pub x: u16,
    pub y: u16,
    pub hp: u8,
}

impl Body {
    /// Whether a client that knows this body knows `newer`: health that returns is sent when it is
    /// a multiple of 5, or full.
    pub fn is_known_as(self, newer: Body) -> bool {
        let missing = newer.hp.wrapping_sub(self.hp);
        (self.x, self.y) == (newer.x, newer.y) && missing < 5 && (missing == 0 || newer.hp < HP)
    }
}

/// A packet from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The Engine.IO open packet, with the session id.
    Open(String),
    Close,
    Ping,
    Probed,
    Noop,
    /// The client joined its room and has this player number.
    Connected(u32),
    /// The server rejected the namespace connection, with this message.
    ConnectError(String),
    /// The server disconnected the client.
    Disconnect,
    /// An event that is a fact: joined, left, attack, hit, killed, respawned, round, room.
    Fact,
    /// A player's new position.
    Moved(u32),
    /// The acknowledgement of the client's own event.
    Ack(u64, Value),
}

#[derive(Default)]
pub struct ClientModel {
    /// Its own player number, once joined.
    pub number: Option<u32>,
    /// Whether the initial player list is complete.
    pub has_player_list: bool,
    /// The newest token that it received.
    pub token: Option<String>,
    /// Whether it knows the numbers of the room's rules.
    has_rules: bool,
    pub players: BTreeMap<u32, Body>,
    /// Fact packets since the last time they were taken, as received.
    pub facts: Vec<String>,
    last_fact: String,
    /// A round has begun, and all players respawn.
    is_round_beginning: bool,
    /// Players that have left.
    pub departed: BTreeSet<u32>,
    /// How many position updates came for each player.
    pub moves: BTreeMap<u32, u64>,
    /// The client may lag so far behind that several hits arrive as one.
    pub may_merge: bool,
    /// The ids of events without an acknowledgement so far.
    pending_acks: VecDeque<u64>,
    /// It has sent a namespace connect that is not answered yet.
    pub is_connecting: bool,
    next_id: u64,
}

impl ClientModel {
    /// `may_merge`: several hits may arrive as one.
    pub fn new(may_merge: bool) -> ClientModel {
        ClientModel { may_merge, ..ClientModel::default() }
    }

    /// The id for an event that expects an acknowledgement.
    pub fn next_ack_id(&mut self) -> u64 {
        self.next_id += 1;
        self.pending_acks.push_back(self.next_id);
        self.next_id
    }

    /// Records that a namespace connect was sent.
    pub fn start_connecting(&mut self) {
        self.is_connecting = true;
    }

    /// The server has disconnected it from the namespace: an event would be an error.
    pub fn leave_room(&mut self) {
        (self.has_rules, self.has_player_list) = (false, false);
    }

    /// Whether it waits for an acknowledgement or a connect response.
    pub fn is_waiting(&self) -> bool {
        self.is_connecting || !self.pending_acks.is_empty()
    }

    /// Reads the packets of a payload. A payload holds at most one position per player.
    pub fn payload(&mut self, payload: &str) -> Result<Vec<Packet>, String> {
        let mut moved = BTreeSet::new();
        let mut packets = Vec::new();
        for packet in payload.split('\x1e') {
            let one = self.packet(packet)?;
            if let Packet::Moved(id) = one
                && !moved.insert(id)
            {
                return Err(format!("two positions of {id} in one payload: {payload}"));
            }
            packets.push(one);
        }
        Ok(packets)
    }

    pub fn packet(&mut self, packet: &str) -> Result<Packet, String> {
        self.parse(packet).map_err(|why| format!("{why}: {packet}"))
    }

    fn parse(&mut self, packet: &str) -> Result<Packet, String> {
        let json = |text: &str| -> Result<Value, String> {
            serde_json::from_str(text).map_err(|error| error.to_string())
        };
        match packet {
            "1" => Ok(Packet::Close),
            "2" => Ok(Packet::Ping),
            "3probe" => Ok(Packet::Probed),
            "6" => Ok(Packet::Noop),
            "41" => Ok(Packet::Disconnect),
            _ => match packet.as_bytes() {
                [b'0', ..] => {
                    let open = json(&packet[1..])?;
                    let fields = ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"];
                    let is_whole = fields.iter().all(|field| !open[field].is_null());
                    let sid = open["sid"].as_str().filter(|sid| is_whole && sid.len() >= 16);
                    Ok(Packet::Open(sid.ok_or("not an open packet")?.to_owned()))
                }
                [b'4', b'0', ..] => self.connected(&json(&packet[2..])?),
                [b'4', b'4', ..] if self.is_connecting => {
                    (self.is_connecting, self.has_player_list) = (false, false);
                    let refusal = json(&packet[2..])?;
                    Ok(Packet::ConnectError(
                        refusal["message"].as_str().ok_or("no message")?.to_owned(),
                    ))
                }
                [b'4', b'3', ..] => self.ack(&packet[2..]),
                [b'4', b'2', ..] if self.has_player_list && packet.starts_with(MOVED) => {
                    self.moved(packet).ok_or("not a valid move")?
                }
                [b'4', b'2', ..] => {
                    let event = json(&packet[2..])?;
                    let name = event[0].as_str().ok_or("no name")?;
                    self.event(name, &event[1], packet)
                }
                _ => Err("not a server packet".to_owned()),
            },
        }
    }

    fn connected(&mut self, data: &Value) -> Result<Packet, String> {
        if !std::mem::take(&mut self.is_connecting) {
            return Err("a connect response without a request".to_owned());
        }
        let number = data["sid"].as_str().and_then(|sid| sid.parse().ok()).ok_or("no number")?;
        if self.number.is_some_and(|before| number <= before) {
            return Err(format!("its number was {:?} before", self.number));
        }
        let next_id = self.next_id;
        if !self.pending_acks.is_empty() {
            return Err(format!("no acknowledgements of {:?}", self.pending_acks));
        }
        *self = ClientModel {
            number: Some(number),
            next_id,
            may_merge: self.may_merge,
            ..ClientModel::default()
        };
        Ok(Packet::Connected(number))
    }

    fn ack(&mut self, text: &str) -> Result<Packet, String> {
        let (id, data) = text.split_at(text.find('[').ok_or("no data")?);
        let id: u64 = id.parse().map_err(|_| "no id")?;
        let data: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let data = &data[0];
        match self.pending_acks.pop_front() {
            Some(expected) if expected == id => {}
            other => return Err(format!("expected the acknowledgement of {other:?}")),
        }
        let is_right = match data["ok"].as_bool() {
            Some(true) => data["position"].is_null() || body(&data["position"]).is_some(),
            Some(false) => data["error"].as_str().is_some_and(|error| ERRORS.contains(&error)),
            None => false,
        };
        match is_right {
            true => Ok(Packet::Ack(id, data.clone())),
            false => Err("not a valid acknowledgement".to_owned()),
        }
    }

    fn event(&mut self, name: &str, data: &Value, packet: &str) -> Result<Packet, String> {
        let own = self.number.ok_or("an event before the join")?;
        if name == "rules" {
            // The first event after each join, once.
            let is_whole = data["name"].is_string() && data["walls"][3].is_u64();
            return match !std::mem::replace(&mut self.has_rules, true) && is_whole {
                true => Ok(Packet::Fact),
                false => Err("not the first event, or incomplete".to_owned()),
            };
        } else if !self.has_rules {
            return Err("an event before the rules".to_owned());
        }
        if name == "token" && self.token.is_none() && self.players.is_empty() {
            self.token = data["token"].as_str().map(str::to_owned);
            return Ok(Packet::Fact);
        }
        let number = |value: &Value| value.as_str().and_then(|id| id.parse::<u32>().ok());
        if matches!(name, "round" | "room") {
            let is_winner = |winner: &Value| match name {
                "room" => winner.is_u64(),
                _ => winner.is_null() || number(winner).is_some(),
            };
            if !(data["round"].is_u64() && data["ends_ms"].is_u64() && is_winner(&data["winner"])) {
                return Err("not a round".to_owned());
            }
            if self.has_player_list {
                self.facts.push(packet.to_owned());
            }
            self.is_round_beginning = name == "round" && data["winner"].is_null();
            return Ok(Packet::Fact);
        }
        let id = number(&data["id"]).ok_or("no player id")?;
        let place = body(&data["position"]);
        let has_portrait = || {
            let portrait = &data["position"];
            let is_text = |field: &str| portrait[field].as_str().is_some_and(|t| !t.is_empty());
            portrait["kills"].is_u64()
                && portrait["deaths"].is_u64()
                && is_text("name")
                && is_text("color")
        };
        if !self.has_player_list {
            return self.initial_player(name, id, place.ok_or("no position")?, own);
        }
        let before = self.players.get(&id).copied();
        match (name, before) {
            ("new_player", None) if id != own && has_portrait() => {
                self.players.insert(id, place.ok_or("no position")?);
            }
            ("player_left", Some(_)) if id != own => {
                self.players.remove(&id);
                self.departed.insert(id);
            }
            ("player_attack", Some(before)) => {
                let directions = ["UP", "DOWN", "LEFT", "RIGHT"];
                let is_right =
                    data["direction"].as_str().is_some_and(|it| directions.contains(&it));
                if !is_right || before.hp == 0 {
                    return Err(format!("its hp was {}", before.hp));
                }
            }
            ("player_attacked", Some(before)) => {
                let hp = data["hp"].as_u64().and_then(|hp| u8::try_from(hp).ok()).ok_or("no hp")?;
                // Health may have returned since its last position.
                let is_one_hit = before.hp > 0 && hp + 10 >= before.hp && hp + 10 <= HP;
                if !(is_one_hit || self.may_merge && hp < before.hp) {
                    return Err(format!("its hp was {}", before.hp));
                }
                self.players.insert(id, Body { hp, ..before });
            }
            ("player_killed", Some(before)) => {
                let by = number(&data["by"]).ok_or("no killer")?;
                let hit = format!(r#"42["player_attacked",{{"id":"{id}","hp":0}}]"#);
                let is_behind_hit = self.may_merge || self.last_fact == hit;
                if before.hp != 0 || !is_behind_hit || !self.players.contains_key(&by) || by == id {
                    return Err(format!("its hp was {}", before.hp));
                }
                if data["respawn_ms"] != 3000 && !self.may_merge {
                    return Err("the respawn delay is not 3 s".to_owned());
                }
            }
            ("player_respawned", Some(before))
                if (before.hp == 0 || self.is_round_beginning) && has_portrait() =>
            {
                let body =
                    place.filter(|body| body.hp == HP).ok_or("not at full hp, or no position")?;
                self.players.insert(id, body);
            }
            _ => return Err(format!("the player was {before:?}, and the client is {own}")),
        }
        self.is_round_beginning &= name == "player_respawned";
        packet.clone_into(&mut self.last_fact);
        self.facts.push(packet.to_owned());
        Ok(Packet::Fact)
    }

    /// Parsed by hand: this is the most frequent packet, and JSON parsing is slow in debug builds.
    fn moved(&mut self, packet: &str) -> Option<Result<Packet, String>> {
        let (id, rest) = packet.strip_prefix(MOVED)?.split_once(r#"","position":{"x":"#)?;
        let (x, rest) = rest.split_once(r#","y":"#)?;
        let (y, rest) = rest.split_once(r#","hp":"#)?;
        let id: u32 = id.parse().ok()?;
        let hp = rest.strip_suffix("}}]")?.parse().ok()?;
        let body = Body { x: x.parse().ok()?, y: y.parse().ok()?, hp };
        let before = self.players.insert(id, body)?;
        *self.moves.entry(id).or_default() += 1;
        // A hit that a newer one has superseded shows in the states of the ticks between them.
        let is_merged = self.may_merge && body.hp < before.hp;
        let has_healed = 0 < before.hp && before.hp < body.hp && body.hp <= HP;
        Some(match before.hp == body.hp || is_merged || has_healed {
            true => Ok(Packet::Moved(id)),
            false => Err(format!("its hp was {}", before.hp)),
        })
    }

    /// The initial player list: every other player, and then its own position.
    fn initial_player(
        &mut self,
        name: &str,
        id: u32,
        body: Body,
        own: u32,
    ) -> Result<Packet, String> {
        match name {
            "new_player" if id != own && self.players.insert(id, body).is_none() => {
                Ok(Packet::Fact)
            }
            "player_moved" if id == own => {
                self.players.insert(id, body);
                self.has_player_list = true;
                Ok(Packet::Moved(id))
            }
            _ => Err("an event before the end of the player list".to_owned()),
        }
    }
}

fn body(position: &Value) -> Option<Body> {
    let number = |field: &str| position[field].as_u64().filter(|number| *number <= SIDE);
    let hp = number("hp").filter(|hp| *hp <= u64::from(HP))?;
    Some(Body { x: number("x")? as u16, y: number("y")? as u16, hp: hp as u8 })
}
