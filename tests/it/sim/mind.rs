//! What a client of Socket.IO believes about its room. It takes packets one by one, and fails on
//! the first that it could not understand, or that cannot follow upon those before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

/// Numbers of the promise, not read from the server.
const HP: u8 = 100;
const SIDE: u64 = 500;
const ERRORS: [&str; 7] =
    ["cooldown", "dead", "rate", "bad_position", "no_combat", "unknown_event", "binary"];

const MOVED: &str = r#"42["player_moved",{"id":""#;

/// A player, as others know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    pub x: u16,
    pub y: u16,
    pub hp: u8,
}

/// What a packet was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The first packet: the session's name.
    Open(String),
    Close,
    /// To be answered.
    Ping,
    Probed,
    Noop,
    /// It is in the room.
    Welcome(u32),
    /// It is not let in.
    Refused(String),
    /// It is sent away for good.
    Goodbye,
    /// Something has happened.
    Fact,
    /// Somebody is somewhere.
    Place(u32),
    /// An event of its own was answered.
    Answer(u64, Value),
}

#[derive(Default)]
pub struct Mind {
    /// Its own number, since it was let in.
    pub number: Option<u32>,
    /// Whether it knows who is there.
    pub is_introduced: bool,
    pub known: BTreeMap<u32, Body>,
    /// Facts since they were last taken, as they were written.
    pub facts: Vec<String>,
    /// The newest of all.
    newest: String,
    /// Those who have left.
    pub gone: BTreeSet<u32>,
    /// How often each was told to be somewhere.
    pub places: BTreeMap<u32, u64>,
    /// So much may be under way that several hits are told as one.
    pub may_merge: bool,
    /// The ids of events that are not answered yet.
    asked: VecDeque<u64>,
    /// It has asked to be let in.
    pub asks_in: bool,
    next_id: u64,
}

impl Mind {
    /// Of one to whom several hits may be told as one, or not.
    pub fn new(may_merge: bool) -> Mind {
        Mind { may_merge, ..Mind::default() }
    }

    /// An id for an event that is to be answered.
    pub fn ask(&mut self) -> u64 {
        self.next_id += 1;
        self.asked.push_back(self.next_id);
        self.next_id
    }

    /// It has asked to be let in.
    pub fn ask_in(&mut self) {
        self.asks_in = true;
    }

    /// Whether it waits for an answer.
    pub fn is_waiting(&self) -> bool {
        self.asks_in || !self.asked.is_empty()
    }

    /// Takes the packets of a payload. Of a payload nobody is told to be in two places.
    pub fn payload(&mut self, payload: &str) -> Result<Vec<Said>, String> {
        let mut places = BTreeSet::new();
        let mut said = Vec::new();
        for packet in payload.split('\x1e') {
            let one = self.packet(packet)?;
            if let Said::Place(id) = one
                && !places.insert(id)
            {
                return Err(format!("{id} is in two places: {payload}"));
            }
            said.push(one);
        }
        Ok(said)
    }

    /// Takes one packet.
    pub fn packet(&mut self, packet: &str) -> Result<Said, String> {
        self.judge(packet).map_err(|why| format!("{why}: {packet}"))
    }

    fn judge(&mut self, packet: &str) -> Result<Said, String> {
        let json = |text: &str| -> Result<Value, String> {
            serde_json::from_str(text).map_err(|error| error.to_string())
        };
        match packet {
            "1" => Ok(Said::Close),
            "2" => Ok(Said::Ping),
            "3probe" => Ok(Said::Probed),
            "6" => Ok(Said::Noop),
            "41" => Ok(Said::Goodbye),
            _ => match packet.as_bytes() {
                [b'0', ..] => {
                    let open = json(&packet[1..])?;
                    let fields = ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"];
                    let is_whole = fields.iter().all(|field| !open[field].is_null());
                    let sid = open["sid"].as_str().filter(|sid| is_whole && sid.len() >= 16);
                    Ok(Said::Open(sid.ok_or("no open packet")?.to_owned()))
                }
                [b'4', b'0', ..] => self.welcome(&json(&packet[2..])?),
                [b'4', b'4', ..] if self.asks_in => {
                    (self.asks_in, self.is_introduced) = (false, false);
                    let refusal = json(&packet[2..])?;
                    Ok(Said::Refused(refusal["message"].as_str().ok_or("no message")?.to_owned()))
                }
                [b'4', b'3', ..] => self.answer(&packet[2..]),
                [b'4', b'2', ..] if self.is_introduced && packet.starts_with(MOVED) => {
                    self.moved(packet).ok_or("nobody moved so")?
                }
                [b'4', b'2', ..] => {
                    let event = json(&packet[2..])?;
                    let name = event[0].as_str().ok_or("no name")?;
                    self.event(name, &event[1], packet)
                }
                _ => Err("no packet that a server sends".to_owned()),
            },
        }
    }

    fn welcome(&mut self, data: &Value) -> Result<Said, String> {
        if !std::mem::take(&mut self.asks_in) {
            return Err("it did not ask to come in".to_owned());
        }
        let number = data["sid"].as_str().and_then(|sid| sid.parse().ok()).ok_or("no number")?;
        if self.number.is_some_and(|before| number <= before) {
            return Err(format!("it was {:?} before", self.number));
        }
        let next_id = self.next_id;
        if !self.asked.is_empty() {
            return Err(format!("{:?} were never answered", self.asked));
        }
        *self =
            Mind { number: Some(number), next_id, may_merge: self.may_merge, ..Mind::default() };
        Ok(Said::Welcome(number))
    }

    fn answer(&mut self, text: &str) -> Result<Said, String> {
        let (id, data) = text.split_at(text.find('[').ok_or("no data")?);
        let id: u64 = id.parse().map_err(|_| "no id")?;
        let data: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let data = &data[0];
        match self.asked.pop_front() {
            Some(asked) if asked == id => {}
            other => return Err(format!("the answer to {other:?} comes next")),
        }
        let is_right = match data["ok"].as_bool() {
            Some(true) => data["position"].is_null() || body(&data["position"]).is_some(),
            Some(false) => data["error"].as_str().is_some_and(|error| ERRORS.contains(&error)),
            None => false,
        };
        match is_right {
            true => Ok(Said::Answer(id, data.clone())),
            false => Err("no answer".to_owned()),
        }
    }

    fn event(&mut self, name: &str, data: &Value, packet: &str) -> Result<Said, String> {
        let own = self.number.ok_or("it is not in")?;
        let number = |value: &Value| value.as_str().and_then(|id| id.parse::<u32>().ok());
        let id = number(&data["id"]).ok_or("nobody")?;
        let place = body(&data["position"]);
        let has_portrait = || {
            let portrait = &data["position"];
            let is_text = |field: &str| portrait[field].as_str().is_some_and(|t| !t.is_empty());
            portrait["kills"].is_u64()
                && portrait["deaths"].is_u64()
                && is_text("name")
                && is_text("color")
        };
        if !self.is_introduced {
            return self.introduce(name, id, place.ok_or("no place")?, own);
        }
        let before = self.known.get(&id).copied();
        match (name, before) {
            ("new_player", None) if id != own && has_portrait() => {
                self.known.insert(id, place.ok_or("no place")?);
            }
            ("player_left", Some(_)) if id != own => {
                self.known.remove(&id);
                self.gone.insert(id);
            }
            ("player_attacked", Some(before)) => {
                let hp = data["hp"].as_u64().and_then(|hp| u8::try_from(hp).ok()).ok_or("no hp")?;
                let is_one_blow = hp + 10 == before.hp;
                if hp >= before.hp || !(is_one_blow || self.may_merge) {
                    return Err(format!("its hp was {}", before.hp));
                }
                self.known.insert(id, Body { hp, ..before });
            }
            ("player_killed", Some(before)) => {
                let by = number(&data["by"]).ok_or("nobody did it")?;
                let hit = format!(r#"42["player_attacked",{{"id":"{id}","hp":0}}]"#);
                let is_behind_hit = self.may_merge || self.newest == hit;
                if before.hp != 0 || !is_behind_hit || !self.known.contains_key(&by) || by == id {
                    return Err(format!("its hp was {}", before.hp));
                }
                if data["respawn_ms"] != 3000 && !self.may_merge {
                    return Err("death lasts 3 s".to_owned());
                }
            }
            ("player_respawned", Some(before)) if before.hp == 0 && has_portrait() => {
                let body = place.filter(|body| body.hp == HP).ok_or("hurt, or nowhere")?;
                self.known.insert(id, body);
            }
            _ => return Err(format!("it was {before:?}, and I am {own}")),
        }
        packet.clone_into(&mut self.newest);
        self.facts.push(packet.to_owned());
        Ok(Said::Fact)
    }

    /// What comes most often is read by hand: a reader of JSON is slow where nothing is optimised.
    fn moved(&mut self, packet: &str) -> Option<Result<Said, String>> {
        let (id, rest) = packet.strip_prefix(MOVED)?.split_once(r#"","position":{"x":"#)?;
        let (x, rest) = rest.split_once(r#","y":"#)?;
        let (y, rest) = rest.split_once(r#","hp":"#)?;
        let id: u32 = id.parse().ok()?;
        let hp = rest.strip_suffix("}}]")?.parse().ok()?;
        let body = Body { x: x.parse().ok()?, y: y.parse().ok()?, hp };
        let before = self.known.insert(id, body)?;
        *self.places.entry(id).or_default() += 1;
        Some(match before.hp == body.hp {
            true => Ok(Said::Place(id)),
            false => Err(format!("its hp was {}", before.hp)),
        })
    }

    /// Who is there: everybody else, and then where it is itself.
    fn introduce(&mut self, name: &str, id: u32, body: Body, own: u32) -> Result<Said, String> {
        match name {
            "new_player" if id != own && self.known.insert(id, body).is_none() => Ok(Said::Fact),
            "player_moved" if id == own => {
                self.known.insert(id, body);
                self.is_introduced = true;
                Ok(Said::Place(id))
            }
            _ => Err("it does not know yet who is there".to_owned()),
        }
    }
}

fn body(position: &Value) -> Option<Body> {
    let number = |field: &str| position[field].as_u64().filter(|number| *number <= SIDE);
    let hp = number("hp").filter(|hp| *hp <= u64::from(HP))?;
    Some(Body { x: number("x")? as u16, y: number("y")? as u16, hp: hp as u8 })
}
