//! What differs between one game and another, as plain numbers (PROTOCOL.md, "Players and rooms").

/// The rules of one kind of room. Lengths are in map units.
#[derive(Debug, PartialEq, Eq)]
pub struct Rules {
    /// The name by which a client asks for them.
    pub name: &'static str,
    /// The least and the greatest x and y where a player may be put.
    pub spawn: (u16, u16),
    /// The least and the greatest x and y where a player may be.
    pub walls: (u16, u16),
    /// How far one move goes.
    pub step: u16,
}

/// Move a dot, and everybody sees it.
pub static DOTS: Rules = Rules { name: "dots", spawn: (50, 450), walls: (10, 490), step: 10 };

/// Every game there is.
static ALL: [&Rules; 1] = [&DOTS];

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
    fn a_room_gets_its_rules_by_its_name() {
        assert_eq!(for_room("dots-of-ann"), Some(&DOTS));
        assert_eq!(for_room("lobby"), None);
    }
}
