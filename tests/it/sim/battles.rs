//! Battles on a whole `Server` with a fixed set of players, so that kills and deaths match on every
//! tick.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use skirmish::codec::json::{CombatState, ServerMessage};
use skirmish::server::ConnId;

use super::fixture::{Fixture, REMOTE, handshake, text};
use super::response_reader::{Received, ResponseReader};
use crate::sim::SimRng;

const PLAYERS: usize = 12;
const TICKS: u32 = 1_000;
/// No player acts in these ticks, so that health returns.
const TRUCE: std::ops::Range<u32> = 500..640;

/// A player, its reader, and its position in the newest state.
struct Fighter {
    id: ConnId,
    reader: ResponseReader,
    at: (u16, u16),
}

/// Sends moves towards the middle of the map, and attacks.
fn send_commands(fighter: &Fighter, fixture: &mut Fixture, rng: &mut SimRng) {
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
        fixture.send(fighter.id, &text(&format!(r#"{{"type":"move","direction":"{direction}"}}"#)));
        fixture.send(fighter.id, &text(r#"{"type":"attack"}"#));
    }
}

/// The position and combat state of every player in a state.
type Snapshot = BTreeMap<u32, ((u16, u16), CombatState)>;

fn positions_and_combat(state: &str) -> Snapshot {
    let Ok(ServerMessage::StateUpdate { players, .. }) = serde_json::from_str(state) else {
        panic!("not a state: {state}");
    };
    let players = players.into_iter();
    players
        .map(|player| (player.id, ((player.x, player.y), player.combat.expect("a battle"))))
        .collect()
}

/// The newest state sent to the player.
fn latest_state(fixture: &mut Fixture, fighter: &mut Fighter) -> String {
    let mut received = Vec::new();
    let bytes = fixture.take(fighter.id);
    fighter.reader.read(&bytes, &mut received).expect("valid server output");
    match received.pop() {
        Some(Received::Text(text)) => text,
        other => panic!("not a state: {other:?}"),
    }
}

/// The states of a battle, one per tick.
fn run_battle(seed: u64) -> Vec<Snapshot> {
    let mut fixture = Fixture::with_small_pages(&[]);
    let mut rng = SimRng::seed_from_u64(seed);
    let mut fighters: Vec<Fighter> = (0..PLAYERS)
        .map(|_| {
            let id = fixture.open(REMOTE);
            fixture.send(id, &handshake("/ws?room=battle"));
            let (mut reader, mut received) = (ResponseReader::default(), Vec::new());
            reader.expect_response(false);
            reader.read(&fixture.take(id), &mut received).expect("valid server output");
            assert_eq!(received.len(), 2, "101 and init: {received:?}");
            Fighter { id, reader, at: (0, 0) }
        })
        .collect();
    let mut states = Vec::new();
    for tick in 0..TICKS {
        fixture.tick();
        let output: Vec<String> =
            fighters.iter_mut().map(|fighter| latest_state(&mut fixture, fighter)).collect();
        assert!(
            output.iter().all(|state| *state == output[0]),
            "all players receive the same state"
        );
        let positions_and_combat = positions_and_combat(&output[0]);
        for (fighter, (at, _)) in fighters.iter_mut().zip(positions_and_combat.values()) {
            fighter.at = *at;
        }
        states.push(positions_and_combat);
        for fighter in fighters.iter().filter(|_| !TRUCE.contains(&tick)) {
            send_commands(fighter, &mut fixture, &mut rng);
        }
    }
    states
}

#[test]
fn every_kill_matches_a_death_and_the_dead_do_not_move() {
    for seed in 1..=3 {
        let states = run_battle(seed);
        let (mut returns, mut heals) = (0, 0);
        for state in &states {
            let sum = |count: fn(&CombatState) -> u32| {
                state.values().map(|(_, combat)| count(combat)).sum::<u32>()
            };
            assert_eq!(sum(|combat| combat.kills), sum(|combat| combat.deaths), "seed {seed}");
        }
        for two in states.windows(2) {
            for (id, (was_at, was)) in &two[0] {
                let (at, is) = two[1][id];
                assert_eq!(is.hp == 0, is.respawn_ms > 0, "seed {seed}: {is:?}");
                assert!(was.hp > 0 || is.hp > 0 || *was_at == at, "seed {seed}: {id} moved");
                let is_back = was.hp == 0 && is.hp > 0;
                let is_healing = is.hp == was.hp + 1;
                assert!(is.hp <= was.hp || is_back || is_healing, "seed {seed}: {id}");
                assert!(is_back || is.hp == 0 || is_healing || (was.hp - is.hp) % 10 == 0);
                returns += u32::from(is_back);
                heals += u32::from(is_healing && !is_back);
            }
        }
        assert!(returns > 20, "seed {seed}: only {returns} respawns");
        assert!(heals > 20, "seed {seed}: only {heals} points of health");
    }
}

#[test]
fn equal_seeds_give_equal_battles() {
    assert_eq!(run_battle(7), run_battle(7));
}
