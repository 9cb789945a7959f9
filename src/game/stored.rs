//! A world as plain values for a file. Its players wait for their clients there: they hold no keys,
//! and nothing is kept of the last ticks.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::body::{Body, Flags};
use super::past::Past;
use super::saved::Saved;
use super::{Direction, Ground, PlayerId, Point, Rect};
use crate::time::Tick;

/// A world as plain values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredWorld {
    space: StoredSpace,
    /// What the game has saved.
    pub(super) game: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSpace {
    /// Left, top, right and bottom of each.
    map: [u16; 4],
    walls: [u16; 4],
    spawn: [u16; 4],
    tick: u32,
    moves_saved_max: u8,
    rng: StoredRng,
    bodies: Vec<StoredBody>,
    /// The declared fields of the room.
    room: Vec<i32>,
}

/// A generator of random numbers: its key, and its position in the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRng {
    seed: [u8; 32],
    stream: u64,
    word: u128,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBody {
    id: u32,
    x: u16,
    y: u16,
    /// The index of the direction.
    facing: u8,
    dead: bool,
    color: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Moves that are saved.
    credit: u8,
    /// The declared fields.
    values: Vec<i32>,
}

fn sides(rect: Rect) -> [u16; 4] {
    [rect.left, rect.top, rect.right, rect.bottom]
}

fn rect([left, top, right, bottom]: [u16; 4]) -> Rect {
    Rect { left, top, right, bottom }
}

impl StoredBody {
    fn of(body: &Body, values: &[i32]) -> StoredBody {
        StoredBody {
            id: body.id.0,
            x: body.at.x,
            y: body.at.y,
            facing: body.facing as u8,
            dead: body.flags.dead,
            color: body.color,
            name: body.name.as_deref().map(str::to_owned),
            credit: body.credit,
            values: values.to_vec(),
        }
    }

    fn body(&self, tick: Tick) -> Result<Body, &'static str> {
        let facing = Direction::ALL.get(usize::from(self.facing));
        Ok(Body {
            id: PlayerId(self.id),
            at: Point { x: self.x, y: self.y },
            course: None,
            facing: *facing.ok_or("a player faces in a direction that does not exist")?,
            flags: Flags { dead: self.dead, ..Flags::default() },
            color: self.color,
            name: self.name.as_deref().map(Into::into),
            moved: tick,
            flagged: tick,
            credit: self.credit,
            waiting: None,
        })
    }
}

impl StoredWorld {
    pub(super) fn of(saved: &Saved, game: Vec<i64>) -> StoredWorld {
        let Saved { ground, tick, bodies, values, room, rng, moves_saved_max, .. } = saved;
        let fields = values.len().checked_div(bodies.len()).unwrap_or_default();
        let rows = bodies.iter().enumerate();
        let bodies = rows.map(|(index, body)| {
            StoredBody::of(body, &values[index * fields..(index + 1) * fields])
        });
        let space = StoredSpace {
            map: sides(ground.map),
            walls: sides(ground.walls),
            spawn: sides(ground.spawn),
            tick: tick.0,
            moves_saved_max: *moves_saved_max,
            rng: StoredRng {
                seed: rng.get_seed(),
                stream: rng.get_stream(),
                word: rng.get_word_pos(),
            },
            bodies: bodies.collect(),
            room: room.clone(),
        };
        StoredWorld { space, game }
    }

    /// The space, which was not checked.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub(super) fn saved(&self) -> Result<Saved, &'static str> {
        let StoredSpace { map, walls, spawn, rng, bodies, room, .. } = &self.space;
        let tick = Tick(self.space.tick);
        let mut past = Past::default();
        (0..bodies.len()).for_each(|index| past.insert(index));
        let StoredRng { seed, stream, word } = *rng;
        let mut rng = ChaCha8Rng::from_seed(seed);
        rng.set_stream(stream);
        rng.set_word_pos(word);
        Ok(Saved {
            ground: Ground { map: rect(*map), walls: rect(*walls), spawn: rect(*spawn) },
            tick,
            values: bodies.iter().flat_map(|body| &body.values).copied().collect(),
            held: vec![None; bodies.len()],
            bodies: bodies.iter().map(|body| body.body(tick)).collect::<Result<_, _>>()?,
            past,
            room: room.clone(),
            rng,
            moves_saved_max: self.space.moves_saved_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{BATTLE, Command, DOTS, WORLD, World};

    #[test]
    fn a_stored_world_goes_on_as_the_world_does_when_all_players_stand() {
        for rules in [&DOTS, &BATTLE, &WORLD] {
            let (mut world, mut facts) = (World::new(rules, 7, 4), Vec::new());
            for number in 1..=40 {
                let name = (number % 3 == 0).then(|| format!("Ann {number}").into());
                world.join(PlayerId(number), name, &mut facts);
            }
            for round in 0..60_u32 {
                for number in 1..=40 {
                    let direction = Direction::ALL[((round + number) % 4) as usize];
                    let step = Command::Step(direction);
                    let command = if round % 6 == 0 { Command::Attack } else { step };
                    let _ = world.apply(PlayerId(number), command, &mut facts);
                }
                world.tick(&mut facts);
            }
            let text = serde_json::to_string(&world.store()).expect("values are text");
            let stored: StoredWorld = serde_json::from_str(&text).expect("it is whole");
            let mut restored = World::restore(rules, &stored).expect("it is valid");
            assert_eq!(restored.store(), world.store());
            // Also what chance decides: where the dead respawn.
            for _ in 0..200 {
                world.tick(&mut facts);
                restored.tick(&mut facts);
                assert_eq!(restored.store(), world.store(), "{}", rules.name);
            }
        }
    }

    #[test]
    fn a_world_that_is_wrong_is_refused() {
        let mut world = World::new(&BATTLE, 7, 4);
        world.join(PlayerId(1), Some("Ann".into()), &mut Vec::new());
        let right = world.store();
        type Damage = fn(&mut StoredWorld);
        let damages: [Damage; 6] = [
            |it| it.space.bodies[0].facing = 4,
            |it| it.space.bodies[0].x = 101,
            |it| it.space.bodies[0].name = Some(String::new()),
            |it| it.space.bodies[0].values.clear(),
            |it| it.space.room.push(1),
            |it| it.game.push(7),
        ];
        for damage in damages {
            let mut wrong = right.clone();
            damage(&mut wrong);
            let error = World::restore(&BATTLE, &wrong).expect_err("it is wrong");
            assert!(error.ends_with('.') && error.contains("battle"), "{error}");
        }
        World::restore(&BATTLE, &right).expect("it is valid");
        World::restore(&DOTS, &right).expect_err("it has other rules");
    }
}
