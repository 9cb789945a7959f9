//! The games of a server, and the check of what they declare.

use std::panic::catch_unwind;

use super::Rules;
use super::rules::{
    ARGUMENTS_MAX, Argument, FIELDS_MAX, Field, MAP_MARGIN, MissingNumber, NAME_BYTES_MAX,
    PLAYERS_MAX, RoomField,
};

/// The games of a server.
#[derive(Clone, Debug)]
pub struct Games(Vec<&'static Rules>);

impl Games {
    /// These games, the default one first.
    ///
    /// # Errors
    /// One sentence, if there is none, or if the rules of one are invalid.
    pub fn new(games: &[&'static Rules]) -> Result<Games, String> {
        if games.is_empty() {
            return Err("A server needs at least one game.".to_owned());
        }
        for (index, rules) in games.iter().enumerate() {
            rules.check()?;
            if games[..index].iter().any(|other| other.name == rules.name) {
                return Err(format!("Two games are called {:?}.", rules.name));
            }
            // A game that lacks one of its numbers fails here and not in a room.
            if let Err(panic) = catch_unwind(|| drop((rules.game)(rules))) {
                let Ok(missing) = panic.downcast::<MissingNumber>() else {
                    return Err(format!("The game {:?} panics when it is made.", rules.name));
                };
                let (name, number) = (rules.name, missing.0);
                return Err(format!(
                    "The rules {name:?} are wrong: they have no number {number:?}."
                ));
            }
        }
        Ok(Games(games.to_vec()))
    }

    /// Checks that the maps of `--map` have room for the walls and the spawn of each game.
    ///
    /// # Errors
    /// One sentence, if they are too small.
    pub fn check_map(&self, map: (u16, u16)) -> Result<(), String> {
        let is_small = |rules: &&&Rules| rules.ground_with(Some(map)).check().is_err();
        let (width, height) = map;
        match self.0.iter().find(is_small) {
            None => Ok(()),
            Some(rules) => {
                let name = rules.name;
                Err(format!("--map {width}x{height} is too small for the rules {name:?}."))
            }
        }
    }

    /// The rules called `name`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&'static Rules> {
        self.0.iter().copied().find(|rules| rules.name == name)
    }

    /// The rules called `name`, or those of the default game.
    #[must_use]
    pub fn named_or_default(&self, name: &str) -> &'static Rules {
        self.named(name).unwrap_or(self.0[0])
    }

    /// The rules with the longest name that the name of the room begins with.
    #[must_use]
    pub fn for_room(&self, room: &str) -> Option<&'static Rules> {
        let games = self.0.iter().copied();
        games.filter(|rules| room.starts_with(rules.name)).max_by_key(|rules| rules.name.len())
    }

    /// All games, the default one first.
    pub fn iter(&self) -> impl Iterator<Item = &'static Rules> {
        self.0.iter().copied()
    }

    /// The names of all games, for messages.
    #[must_use]
    pub fn names(&self) -> String {
        self.0.iter().map(|rules| rules.name).collect::<Vec<_>>().join(", ")
    }
}

impl Rules {
    fn check(&'static self) -> Result<(), String> {
        let wrong = |what: String| format!("The rules {:?} are wrong: {what}.", self.name);
        self.check_ground().and_then(|()| self.check_names()).map_err(wrong)
    }

    fn check_ground(&self) -> Result<(), String> {
        self.ground.check()?;
        for name in [PLAYERS_MAX, MAP_MARGIN] {
            if self
                .numbers
                .iter()
                .any(|(known, number)| *known == name && !(1..=65_535).contains(number))
            {
                return Err(format!("{name} must be 1 to 65535"));
            }
        }
        match self.step {
            0 => Err("a step must be at least 1".into()),
            _ => Ok(()),
        }
    }

    fn check_names(&self) -> Result<(), String> {
        check_words("name of the rules", &[self.name], &[])?;
        let fields: Vec<&str> = self.fields.iter().map(|field| field.name).collect();
        check_words("field", &fields, &["id", "x", "y", "color", "name", "type"])?;
        let room_fields: Vec<&str> = self.room_fields.iter().map(|field| field.name).collect();
        check_words("room field", &room_fields, &[])?;
        let numbers: Vec<&str> = self.numbers.iter().map(|(name, _)| *name).collect();
        let reserved = ["name", "map", "walls", "spawn", "step", "tick_ms", "moves_saved"];
        check_words("number", &numbers, &reserved)?;
        let commands: Vec<&str> = self.commands.iter().map(|command| command.name).collect();
        check_words("command", &commands, &RESERVED_COMMANDS)?;
        let events: Vec<&str> = self.events.iter().map(|event| event.name).collect();
        check_words("event", &events, &RESERVED_EVENTS)?;
        if fields.len() > FIELDS_MAX {
            return Err(format!("a body has at most {FIELDS_MAX} fields"));
        }
        for command in self.commands {
            check_arguments("command", command.name, command.arguments, &["type"])?;
        }
        for event in self.events {
            let arguments: Vec<&str> = event.arguments.iter().map(Argument::name).collect();
            check_arguments("event", event.name, &arguments, &[])?;
            for argument in event.arguments {
                if let Argument::Word(name, words) = argument {
                    check_values(name, words)?;
                }
            }
        }
        let field = |field: &Field| (field.name, field.start, field.hold(field.start));
        let room = |field: &RoomField| (field.name, field.start, field.width.hold(field.start));
        let starts = self.fields.iter().map(field).chain(self.room_fields.iter().map(room));
        for (name, start, held) in starts {
            if held != start {
                return Err(format!("the start {start} of the field {name:?} exceeds its width"));
            }
        }
        self.fields.iter().try_for_each(|field| match field.words {
            [] => Ok(()),
            words => check_values(field.name, words),
        })
    }
}

/// Commands of every game, or of the protocols.
const RESERVED_COMMANDS: [&str; 10] = [
    "move",
    "attack",
    "ping",
    "rate",
    "ack",
    "resume",
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
];

/// Events of every game, or of the protocols.
const RESERVED_EVENTS: [&str; 13] = [
    "new_player",
    "player_moved",
    "player_respawned",
    "player_left",
    "rules",
    "room",
    "own",
    "notice",
    "token",
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
];

/// Checks the names of one kind of thing.
fn check_words(kind: &str, names: &[&str], reserved: &[&str]) -> Result<(), String> {
    let is_right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    for (index, name) in names.iter().enumerate() {
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.chars().all(is_right) {
            return Err(format!("the {kind} {name:?} must be 1 to 24 of a-z 0-9 _"));
        } else if reserved.contains(name) {
            return Err(format!("the {kind} {name:?} is reserved"));
        } else if names[..index].contains(name) {
            return Err(format!("there are two of the {kind} {name:?}"));
        }
    }
    Ok(())
}

/// Checks the words that the values of a field or an argument are written as.
fn check_values(name: &str, words: &[&str]) -> Result<(), String> {
    let is_right = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_word = |word: &&str| word.len() <= NAME_BYTES_MAX && word.chars().all(is_right);
    match (1..=256).contains(&words.len()) && words.iter().all(is_word) {
        true => Ok(()),
        false => Err(format!("the words of {name:?} must be 1 to 256, of up to 24 a-z A-Z 0-9 _")),
    }
}

/// Checks the arguments of a command or an event.
fn check_arguments(
    kind: &str,
    name: &str,
    arguments: &[&str],
    reserved: &[&str],
) -> Result<(), String> {
    if arguments.len() > ARGUMENTS_MAX {
        return Err(format!("the {kind} {name:?} has more than {ARGUMENTS_MAX} arguments"));
    }
    check_words(&format!("argument of the {kind} {name:?}:"), arguments, reserved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{BATTLE, CommandKind, DOTS, EventKind, GAMES, Ground, Rect, WORLD, Width};

    fn games() -> Games {
        Games::new(&GAMES).expect("our own rules are right")
    }

    #[test]
    fn a_room_gets_its_rules_by_its_name() {
        let name = |room| games().for_room(room).map(|rules| rules.name);
        assert_eq!(name("dots-of-ann"), Some("dots"));
        assert_eq!(name("battle"), Some("battle"));
        assert_eq!(name("battle-2"), Some("battle"));
        assert_eq!(name("a-battle"), None);
        assert_eq!(name("lobby"), None);
        assert_eq!(games().names(), "dots, battle, world");
        assert_eq!(games().named_or_default("chess").name, "dots");
    }

    #[test]
    fn the_longest_name_counts() {
        static SHORT: Rules = Rules { name: "dot", ..DOTS };
        let games = Games::new(&[&DOTS, &SHORT, &BATTLE]).expect("they are right");
        assert_eq!(games.for_room("dots").map(|rules| rules.name), Some("dots"));
        assert_eq!(games.for_room("dot-1").map(|rules| rules.name), Some("dot"));
    }

    #[test]
    fn a_map_must_have_room_for_the_margin() {
        static DEEP: Rules = Rules { name: "deep", numbers: &[("map_margin", 60)], ..DOTS };
        let games = Games::new(&[&DOTS, &DEEP]).expect("valid rules");
        assert_eq!(games.check_map((120, 120)), Ok(()), "one place is left");
        let sentence = "--map 500x119 is too small for the rules \"deep\".";
        assert_eq!(games.check_map((500, 119)), Err(sentence.to_owned()));
        assert_eq!(WORLD.players_max(), 65_535);
        assert_eq!(DOTS.players_max(), 2_000);
    }

    #[test]
    fn invalid_rules_are_refused_at_the_start() {
        static NAMELESS: Rules = Rules { name: "", ..DOTS };
        static STILL: Rules = Rules { step: 0, ..DOTS };
        static OUTSIDE: Rules =
            Rules { ground: Ground { spawn: Rect::square(0, 100), ..DOTS.ground }, ..DOTS };
        static MISNAMED: Rules = Rules { commands: &[CommandKind::new("Jump!", &[])], ..DOTS };
        static LONG: Rules =
            Rules { commands: &[CommandKind::new("jump", &["a", "b", "c", "d", "e"])], ..DOTS };
        static PLACE: Rules = Rules { fields: &[Field::new("x", Width::U8, 0)], ..DOTS };
        static TWICE: Rules = Rules {
            fields: &[Field::new("score", Width::U8, 0), Field::new("score", Width::U8, 0)],
            ..DOTS
        };
        static WIDE: Rules = Rules { fields: &[Field::new("hp", Width::U8, 1000)], ..DOTS };
        static SPACED: Rules = Rules { fields: &[Field::word("to", &["a b"], 0)], ..DOTS };
        static WORDLESS: Rules =
            Rules { events: &[EventKind::new("turned", &[Argument::Word("to", &[])])], ..DOTS };
        static BEYOND: Rules = Rules { fields: &[Field::word("to", &["UP"], 1)], ..DOTS };
        static MAP: Rules = Rules { numbers: &[("map", 1)], ..DOTS };
        static MOVE: Rules = Rules { commands: &[CommandKind::new("move", &[])], ..DOTS };
        static TYPE: Rules = Rules { commands: &[CommandKind::new("jump", &["type"])], ..DOTS };
        static MOVED: Rules = Rules { events: &[EventKind::new("player_moved", &[])], ..DOTS };
        static INCOMPLETE: Rules = Rules { numbers: &[("hp", 100)], ..BATTLE };
        static EMPTY: Rules = Rules { numbers: &[("players_max", 0)], ..DOTS };
        static WALLED: Rules = Rules { numbers: &[("map_margin", 65_536)], ..DOTS };
        for (rules, what) in [
            (&NAMELESS, "the name of the rules \"\" must be"),
            (&STILL, "a step"),
            (&OUTSIDE, "the spawn"),
            (&MISNAMED, "the command \"Jump!\" must be"),
            (&LONG, "more than 4 arguments"),
            (&PLACE, "the field \"x\" is reserved"),
            (&TWICE, "two of the field \"score\""),
            (&WIDE, "the start 1000 of the field \"hp\""),
            (&SPACED, "the words of \"to\" must be"),
            (&WORDLESS, "the words of \"to\" must be"),
            (&BEYOND, "the start 1 of the field \"to\""),
            (&MAP, "the number \"map\" is reserved"),
            (&MOVE, "the command \"move\" is reserved"),
            (&TYPE, "the argument of the command \"jump\": \"type\" is reserved"),
            (&MOVED, "the event \"player_moved\" is reserved"),
            (&INCOMPLETE, "no number \"reach\""),
            (&EMPTY, "players_max must be 1 to 65535"),
            (&WALLED, "map_margin must be 1 to 65535"),
        ] {
            let error = Games::new(&[rules]).expect_err("they are wrong");
            assert!(error.starts_with("The rules ") && error.contains(what), "{error}");
        }
        assert!(Games::new(&[]).is_err());
        assert!(Games::new(&[&DOTS, &DOTS]).is_err_and(|error| error.contains("\"dots\"")));
    }
}
