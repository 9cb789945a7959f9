//! What clients of skirmish.v1 receive.

use std::hash::{DefaultHasher, Hash, Hasher};

use skirmish::codec::v1::State;

use super::{Check, Simulation};

impl Simulation {
    /// Checks a binary message: the client then has what the others have on its tick.
    pub(super) fn received_v1(&mut self, index: usize, payload: &[u8]) -> Check {
        let client = &mut self.clients[index];
        let room = client.room.0;
        let Some(v1) = &mut client.v1 else { return Err("a binary message".to_owned()) };
        let is_first = v1.welcome.is_none();
        let message = v1.receive(payload)?;
        if let Some(tick) = message.tick {
            if client.latest.is_some_and(|latest| tick <= latest) {
                return Err(format!("tick {tick} after {:?}", client.latest));
            }
            client.latest = Some(tick);
        }
        if is_first {
            let welcome = v1.welcome.as_ref().ok_or("no WELCOME")?;
            client.token.clone_from(&welcome.token);
            let number = welcome.id.parse().map_err(|_| "no number in WELCOME")?;
            let own = (welcome.slot, welcome.generation);
            v1.players.insert(own, number);
            return self.joined(index, number);
        }
        let Some(head) = message.head.filter(|_| room < self.oracle.rooms.len()) else {
            return Ok(());
        };
        let v1 = client.v1.as_ref().expect("it is one");
        let welcome = v1.welcome.as_ref().expect("it came first");
        let is_battle = welcome.rules == "battle";
        let fields = ["hp", "kills", "deaths"].map(|name| {
            let public = welcome.fields.iter().filter(|field| !field.owner);
            public.enumerate().find(|(_, field)| field.name == name).map(|(index, _)| index)
        });
        let bodies = v1.bodies();
        let mut hasher = DefaultHasher::new();
        for (body, values) in &bodies {
            let state = body.state.lasting();
            (body.id, body.generation, body.x, body.y, state.byte(), values).hash(&mut hasher);
            if is_battle && state.has(State::DEAD) != (values[0] == 0) {
                return Err(format!("{body:?} with {values:?}"));
            }
            let number = v1.players.get(&(body.id, body.generation));
            let place = number.and_then(|it| self.oracle.place(room, head.tick.0, *it));
            if place.is_some_and(|place| place != Some((body.x, body.y))) {
                return Err(format!("{body:?} of {number:?}, which is at {place:?}"));
            }
        }
        let places = bodies.iter().map(|(body, values)| {
            let value = |index: Option<usize>| index.map_or(0, |index| values[index]);
            (body.x, body.y, if is_battle { fields.map(value) } else { [0; 3] })
        });
        self.oracle.compare_v1(room, head.tick.0, places, hasher.finish())
    }
}
