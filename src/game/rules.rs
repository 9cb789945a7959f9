//! What differs between one game and another, as plain numbers (docs/protocol.md, "Rooms and
//! players").

use crate::time::TICK_MS;

/// The rules of one kind of room. Lengths are in map units.
#[derive(Debug, PartialEq, Eq)]
pub struct Rules {
    /// The name by which a client asks for them.
    pub name: &'static str,
    /// The least and the greatest x and y where a player may be put.
    pub spawn: (u16, u16),
    /// The least and the greatest x and y where a player may be.
    pub walls: (u16, u16),
    /// How far one move goes at most, in x and in y.
    pub step: u16,
    /// How players hurt each other, if they can.
    pub combat: Option<Combat>,
}

/// How players hurt each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Combat {
    /// The health of the unhurt.
    pub hp: u8,
    /// How far a blow reaches, in map units as the crow flies; whoever is just so far away is hit.
    pub reach: u16,
    /// The health that a blow costs each player whom it hits.
    pub damage: u8,
    /// Ticks from one blow of a player to its next.
    pub cooldown_ticks: u32,
    /// Ticks from a player's death to its return.
    pub respawn_ticks: u32,
}

/// The health of everybody where nobody can be hurt.
const UNHURT_HP: u8 = 100;

impl Rules {
    /// The health with which a player begins.
    #[must_use]
    pub fn hp(&self) -> u8 {
        self.combat.as_ref().map_or(UNHURT_HP, |combat| combat.hp)
    }
}

/// The ticks that a span takes.
const fn ticks(span_ms: u64) -> u32 {
    span_ms.div_ceil(TICK_MS) as u32
}

/// Move a dot, and everybody sees it.
pub static DOTS: Rules =
    Rules { name: "dots", spawn: (50, 450), walls: (10, 490), step: 10, combat: None };

/// Everybody against everybody, on a small map.
pub static BATTLE: Rules = Rules {
    name: "battle",
    spawn: (0, 100),
    walls: (0, 100),
    step: 5,
    combat: Some(Combat {
        hp: 100,
        reach: 10,
        damage: 10,
        cooldown_ticks: ticks(250),
        respawn_ticks: ticks(3_000),
    }),
};

/// Every game there is.
static ALL: [&Rules; 2] = [&DOTS, &BATTLE];

/// The rules called `name`.
#[must_use]
pub fn named(name: &str) -> Option<&'static Rules> {
    ALL.into_iter().find(|rules| rules.name == name)
}

/// The rules that a room gets by its own name: those with the longest name that it begins with.
#[must_use]
pub fn for_room(room: &str) -> Option<&'static Rules> {
    ALL.into_iter()
        .filter(|rules| room.starts_with(rules.name))
        .max_by_key(|rules| rules.name.len())
}

/// The names of all games, for people.
#[must_use]
pub fn names() -> String {
    ALL.map(|rules| rules.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_game_starts_inside_its_walls() {
        for rules in ALL {
            assert!(rules.walls.0 <= rules.spawn.0 && rules.spawn.1 <= rules.walls.1);
            assert!(rules.spawn.0 <= rules.spawn.1 && rules.step > 0);
            assert_eq!(named(rules.name), Some(rules));
        }
    }

    #[test]
    fn every_fight_comes_to_an_end_and_begins_again() {
        for combat in ALL.into_iter().filter_map(|rules| rules.combat.as_ref()) {
            assert!(combat.hp > 0 && combat.damage > 0);
            assert!(combat.cooldown_ticks > 0 && combat.respawn_ticks > 0);
        }
        let combat = BATTLE.combat.as_ref().unwrap();
        assert_eq!((combat.cooldown_ticks, combat.respawn_ticks), (5, 60), "250 ms and 3 s");
        assert_eq!((DOTS.hp(), BATTLE.hp()), (100, 100));
        assert_eq!(ticks(TICK_MS + 1), 2, "never shorter than promised");
    }

    #[test]
    fn a_room_gets_its_rules_by_its_name() {
        assert_eq!(for_room("dots-of-ann"), Some(&DOTS));
        assert_eq!(for_room("battle"), Some(&BATTLE));
        assert_eq!(for_room("battle-2"), Some(&BATTLE));
        assert_eq!(for_room("a-battle"), None);
        assert_eq!(for_room("lobby"), None);
    }
}
