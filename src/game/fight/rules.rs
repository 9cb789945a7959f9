//! The rules of the two fights: battle, with rounds on a small map, and world, on a large one.

use super::{Fight, rounds};
use crate::game::rules::{Argument, EventKind, MAP_MARGIN, PLAYERS_MAX};
use crate::game::{Detail, Direction, Field, Ground, Rect, Rules, Width};

/// What has the scores.
const SCORE: Detail = Detail::STATE.and(Detail::DESCRIPTION).and(Detail::RECORD);

/// The rules of battle, on a small map.
pub const BATTLE: Rules = Rules {
    name: "battle",
    ground: Ground {
        map: Rect::square(0, 100),
        walls: Rect::square(0, 100),
        spawn: Rect::square(0, 100),
    },
    step: 5,
    numbers: &with_rounds(fight(10)),
    fields: &[
        Field::new("hp", Width::U8, 100).changes_sent_by_events(),
        Field::new("kills", Width::I32, 0).only_in(SCORE),
        Field::new("deaths", Width::I32, 0).only_in(SCORE),
        Field::new("respawn_ms", Width::U16, 0).only_in(Detail::STATE),
        Field::new("attack_tick", Width::U32, 0).only_in(Detail::STATE.and(Detail::RECORD)),
        Field::word("facing", &Direction::NAMES, Direction::Down as i32).only_in(Detail::STATE),
        Field::new("cooldown_ms", Width::U16, 0).hidden(),
        Field::new("heal_ms", Width::U16, 0).hidden(),
    ],
    room_fields: &rounds::FIELDS,
    commands: &[],
    events: &[HIT, KILLED, ATTACK, ROUND],
    game: |rules| Box::new(Fight::with_rounds(rules)),
};

/// The rules of world: the fight of battle without rounds, for thousands of players.
pub const WORLD: Rules = Rules {
    name: "world",
    ground: Ground::with_margin(16_000, 16_000, MARGIN),
    step: 10,
    numbers: &on_any_map(fight(40)),
    room_fields: &[],
    events: &[HIT, KILLED, ATTACK],
    game: |rules| Box::new(Fight::new(rules)),
    ..BATTLE
};

/// The distance of the walls of world from the borders of its map.
const MARGIN: u16 = 10;

/// The index of the event `round`.
pub(super) const ROUND_EVENT: u8 = 3;

/// The events of a fight, in the order of their functions in [`super`].
const HIT: EventKind =
    EventKind::new("player_attacked", &[Argument::Player("id"), Argument::Number("hp")])
        .newest_only();
const KILLED: EventKind = EventKind::new(
    "player_killed",
    &[Argument::Player("id"), Argument::Player("by"), Argument::Number("respawn_ms")],
);
const ATTACK: EventKind = EventKind::new(
    "player_attack",
    &[Argument::Player("id"), Argument::Word("direction", &Direction::NAMES)],
)
.volatile();
const ROUND: EventKind = EventKind::new(
    "round",
    &[Argument::Number("round"), Argument::Number("ends_ms"), Argument::Player("winner")],
);

type Numbers<const N: usize> = [(&'static str, i32); N];

/// The numbers of a fight. The reach is Euclidean and inclusive.
const fn fight(reach: i32) -> Numbers<7> {
    [
        ("hp", 100),
        ("reach", reach),
        ("damage", 10),
        // From one attack of a player to its next.
        ("cooldown_ms", 250),
        // From a death to the respawn.
        ("respawn_ms", 3_000),
        // From the last hit of a player until its health returns.
        ("heal_after_ms", 5_000),
        // For each point of health that returns.
        ("heal_every_ms", 100),
    ]
}

/// The same with the numbers of rounds.
const fn with_rounds([a, b, c, d, e, f, g]: Numbers<7>) -> Numbers<10> {
    // A round ends after this time, or with this many kills of a player.
    let [round_ms, round_kills] = [("round_ms", 180_000), ("round_kills", 20)];
    // From the end of a round to the next one.
    [a, b, c, d, e, f, g, round_ms, round_kills, ("result_ms", 5_000)]
}

/// The same with what the server reads about a large room.
const fn on_any_map([a, b, c, d, e, f, g]: Numbers<7>) -> Numbers<9> {
    [a, b, c, d, e, f, g, (PLAYERS_MAX, 65_535), (MAP_MARGIN, MARGIN as i32)]
}
