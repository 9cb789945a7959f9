//! Socket.IO clients with fewer than 20 states a second, which read late and in pieces: what one
//! knows after it has read everything is one tick, besides what facts have changed since.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use skirmish::time::Tick;

use super::fixture::{Fixture, REMOTE};
use super::scripted_client::ScriptedClient;
use crate::sim::SimRng;

const ROOM: &str = "battle-1";
const TICKS: u32 = 160;
const SEEDS: u64 = 4;

type Places = BTreeMap<u32, (u16, u16)>;

/// What the reference knows after each tick, and the players that joined, left or respawned in it.
#[derive(Default)]
struct History(Vec<(Places, BTreeSet<u32>)>);

impl History {
    fn record(&mut self, reference: &mut ScriptedClient) {
        let facts = std::mem::take(&mut reference.model.facts);
        let moves_at_once = |fact: &&String| {
            ["new_player", "player_left", "player_respawned"].iter().any(|it| fact.contains(it))
        };
        let id = |fact: &String| -> Option<u32> {
            fact.split_once(r#""id":""#)?.1.split('"').next()?.parse().ok()
        };
        let changed = facts.iter().filter(moves_at_once).filter_map(id).collect();
        self.0.push((places(reference), changed));
    }

    /// Whether these are the places of this tick, except for players with a fact after it.
    fn is_of(&self, tick: usize, places: &Places) -> bool {
        let later: BTreeSet<u32> =
            self.0[tick + 1..].iter().flat_map(|(_, changed)| changed).copied().collect();
        let without = |places: &Places| -> Places {
            places.iter().filter(|(id, _)| !later.contains(id)).map(|(id, at)| (*id, *at)).collect()
        };
        without(&self.0[tick].0) == without(places)
    }
}

fn places(client: &ScriptedClient) -> Places {
    client.model.players.iter().map(|(id, body)| (*id, (body.x, body.y))).collect()
}

struct Slow {
    client: ScriptedClient,
    hz: u32,
}

impl Slow {
    fn join(fixture: &mut Fixture, is_websocket: bool, hz: u32) -> Slow {
        let mut client = ScriptedClient::join(fixture, REMOTE, ROOM, is_websocket);
        client.model.may_merge = true;
        client.send(fixture, &format!(r#"42["rate",{{"hz":{hz}}}]"#));
        Slow { client, hz }
    }

    /// Reads a part or everything. Returns whether it was everything.
    fn read(&mut self, fixture: &mut Fixture, rng: &mut SimRng) -> bool {
        let is_all = rng.random_bool(0.4);
        match &mut self.client.websocket {
            Some(websocket) if !is_all => {
                let received = websocket.receive_up_to(fixture, rng.random_range(0..400));
                self.client.read_packets(received);
            }
            _ if is_all => self.client.catch_up(fixture),
            _ => {}
        }
        is_all
    }
}

/// Returns how often a client that had read everything knew the places of a tick between two of
/// its rate.
fn run(seed: u64) -> u32 {
    let mut rng = SimRng::seed_from_u64(seed);
    let mut fixture = Fixture::with_small_pages(&["--limit-loopback", "--seed", &seed.to_string()]);
    let mut reference = ScriptedClient::join(&mut fixture, "192.0.2.9", ROOM, true);
    let mut movers: Vec<ScriptedClient> =
        (0..3).map(|_| ScriptedClient::join(&mut fixture, "192.0.2.8", ROOM, true)).collect();
    let mut slow = [(true, 5), (true, 10), (false, 5), (false, 1)]
        .map(|(is_websocket, hz)| Slow::join(&mut fixture, is_websocket, hz));
    movers.iter_mut().for_each(|mover| mover.model.may_merge = true);
    reference.catch_up(&mut fixture);
    let mut history = History::default();
    let mut late = 0;
    // The tick of the room before its first one in the history.
    let first = fixture.server.metrics().ticks as u32;
    for tick in 0..TICKS as usize {
        for mover in &mut movers {
            mover.catch_up(&mut fixture);
            let [x, y] = [0; 2].map(|_| rng.random_range(20..80));
            if rng.random_bool(0.7) {
                mover.send(&mut fixture, &format!(r#"42["move",{{"x":{x},"y":{y}}}]"#));
            }
            if rng.random_bool(0.3) {
                mover.send(&mut fixture, r#"42["attack",{}]"#);
            }
        }
        if rng.random_bool(0.03) {
            movers[0].send(&mut fixture, "41");
            movers[0].connect(&mut fixture, ROOM);
        }
        reference.catch_up(&mut fixture);
        fixture.tick();
        reference.catch_up(&mut fixture);
        history.record(&mut reference);
        for slow in &mut slow {
            if !slow.read(&mut fixture, &mut rng) {
                continue;
            }
            let is_due = |tick: &usize| Tick(first + 1 + *tick as u32).is_due_at(slow.hz);
            let Some(due) = (0..=tick).rev().find(is_due) else { continue };
            let known = places(&slow.client);
            let shown = (due..=tick).find(|tick| history.is_of(*tick, &known));
            let Some(shown) = shown else {
                panic!("seed {seed}, {} Hz, tick {tick}: {known:?} since tick {due}", slow.hz);
            };
            late += u32::from(shown != due);
        }
    }
    late
}

// T02
#[test]
fn a_client_with_a_lower_rate_knows_one_tick_however_late_it_reads() {
    let late: u32 = (1..=SEEDS).map(run).sum();
    assert!(late > 0, "no state was read late");
}
