//! Battles of a whole `Server` in which nobody comes or goes, so that every kill must be somebody's
//! death, on every tick.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use skirmish::codec::json::{CombatState, ServerMessage};
use skirmish::server::ConnId;

use super::ear::{Ear, Heard};
use super::lab::{FAR, Lab, handshake, text};

const PLAYERS: usize = 12;
const TICKS: u32 = 1_000;

/// A player, what it reads, and where the newest state says that it is.
struct Fighter {
    id: ConnId,
    ear: Ear,
    at: (u16, u16),
}

/// Everybody goes to the middle of the map, more or less, and everybody attacks.
fn act(fighter: &Fighter, lab: &mut Lab, rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(0..3) {
        let (x, y) = fighter.at;
        let direction = match rng.random_range(0..6) {
            0 | 1 if x < 50 => "RIGHT",
            0 | 1 => "LEFT",
            2 | 3 if y < 50 => "DOWN",
            2 | 3 => "UP",
            4 => "RIGHT",
            _ => "UP",
        };
        lab.send(fighter.id, &text(&format!(r#"{{"type":"move","direction":"{direction}"}}"#)));
        lab.send(fighter.id, &text(r#"{"type":"attack"}"#));
    }
}

/// Where everybody is in a state, and how everybody fares.
type Seen = BTreeMap<u32, ((u16, u16), CombatState)>;

fn seen(state: &str) -> Seen {
    let Ok(ServerMessage::StateUpdate { players, .. }) = serde_json::from_str(state) else {
        panic!("no state: {state}");
    };
    let players = players.into_iter();
    players.map(|player| (player.id, ((player.x, player.y), player.combat.unwrap()))).collect()
}

/// The newest message.
fn hear(lab: &mut Lab, fighter: &mut Fighter) -> String {
    let mut heard = Vec::new();
    let bytes = lab.take(fighter.id);
    fighter.ear.hear(&bytes, &mut heard).expect("the server is right");
    match heard.pop() {
        Some(Heard::Text(text)) => text,
        other => panic!("no state: {other:?}"),
    }
}

/// The states of a fight, tick by tick.
fn fight(seed: u64) -> Vec<Seen> {
    let mut lab = Lab::with_small_pages(&[]);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut fighters: Vec<Fighter> = (0..PLAYERS)
        .map(|_| {
            let id = lab.open(FAR);
            lab.send(id, &handshake("/ws?room=battle"));
            let (mut ear, mut heard) = (Ear::default(), Vec::new());
            ear.asked(false);
            ear.hear(&lab.take(id), &mut heard).expect("the server is right");
            assert_eq!(heard.len(), 2, "101 and init: {heard:?}");
            Fighter { id, ear, at: (0, 0) }
        })
        .collect();
    let mut states = Vec::new();
    for _ in 0..TICKS {
        lab.tick();
        let said: Vec<String> =
            fighters.iter_mut().map(|fighter| hear(&mut lab, fighter)).collect();
        assert!(said.iter().all(|state| *state == said[0]), "all see the same");
        let seen = seen(&said[0]);
        for (fighter, (at, _)) in fighters.iter_mut().zip(seen.values()) {
            fighter.at = *at;
        }
        states.push(seen);
        for fighter in &fighters {
            act(fighter, &mut lab, &mut rng);
        }
    }
    states
}

#[test]
fn every_kill_is_a_death_and_the_dead_lie_still() {
    for seed in 1..=3 {
        let states = fight(seed);
        let mut returns = 0;
        for state in &states {
            let sum = |count: fn(&CombatState) -> u32| {
                state.values().map(|(_, combat)| count(combat)).sum::<u32>()
            };
            assert_eq!(sum(|combat| combat.kills), sum(|combat| combat.deaths), "seed {seed}");
        }
        for two in states.windows(2) {
            for (id, (was_at, was)) in &two[0] {
                let (at, is) = two[1][id];
                assert!(is.hp <= 100 && is.hp % 10 == 0, "seed {seed}: {is:?}");
                assert_eq!(is.hp == 0, is.respawn_ms > 0, "seed {seed}: {is:?}");
                assert!(was.hp > 0 || is.hp > 0 || *was_at == at, "seed {seed}: {id} moved");
                let is_back = was.hp == 0 && is.hp > 0;
                assert!(is.hp <= was.hp || is_back, "seed {seed}: {id} heals");
                returns += u32::from(is_back);
            }
        }
        assert!(returns > 20, "seed {seed}: a fight of {returns} returns is none");
    }
}

#[test]
fn equal_seeds_make_equal_fights() {
    assert_eq!(fight(7), fight(7));
}
