//! What a game declares, as plain data: its map, its numbers, and the fields, commands and events
//! that it adds (docs/your-own-game.md).

use std::fmt;
use std::panic::{catch_unwind, resume_unwind};

use super::Game;
use super::body::Point;

/// A rectangle in map units, with its borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// The smallest x.
    pub left: u16,
    /// The smallest y.
    pub top: u16,
    /// The greatest x.
    pub right: u16,
    /// The greatest y.
    pub bottom: u16,
}

impl Rect {
    /// A square whose x and y go from `least` to `greatest`.
    #[must_use]
    pub const fn square(least: u16, greatest: u16) -> Rect {
        Rect { left: least, top: least, right: greatest, bottom: greatest }
    }

    /// The place inside that is nearest to `at`.
    #[must_use]
    pub fn clamp(self, at: Point) -> Point {
        Point { x: at.x.clamp(self.left, self.right), y: at.y.clamp(self.top, self.bottom) }
    }

    /// Whether a place is inside.
    #[must_use]
    pub fn contains(self, at: Point) -> bool {
        self.clamp(at) == at
    }

    const fn encloses(self, other: Rect) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && other.right <= self.right
            && other.bottom <= self.bottom
    }
}

/// The area of a world. Each world has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ground {
    /// What a page draws.
    pub map: Rect,
    /// Where a body may be.
    pub walls: Rect,
    /// Where a body may be put.
    pub spawn: Rect,
}

/// The rules of one kind of room. A game may be another one with different numbers:
/// `Rules { name: "sprint", step: 20, ..DOTS }`.
#[derive(Clone, Copy)]
pub struct Rules {
    /// The name by which a client asks for them.
    pub name: &'static str,
    /// The area of its worlds.
    pub ground: Ground,
    /// How far one move goes at most, in x and in y.
    pub step: u16,
    /// The numbers of the game, by name. Clients receive all of them.
    pub numbers: &'static [(&'static str, i32)],
    /// What the game adds to each body.
    pub fields: &'static [Field],
    /// What the game adds to the room.
    pub room_fields: &'static [RoomField],
    /// The commands of clients besides moves and attacks.
    pub commands: &'static [CommandKind],
    /// The events of the game besides those of every game.
    pub events: &'static [EventKind],
    /// Creates the game of one world.
    pub game: fn(&'static Rules) -> Box<dyn Game>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Rules").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Rules {
    /// The number called `name`.
    ///
    /// # Panics
    /// If the rules have none: a game reads its numbers when it is created, and [`Games::new`]
    /// creates one of each.
    #[must_use]
    pub fn number(&self, name: &str) -> i32 {
        match self.numbers.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => *number,
            // Not printed as a panic: `Games::new` turns it into an error.
            None => resume_unwind(Box::new(MissingNumber(name.to_owned()))),
        }
    }

    fn check(&'static self) -> Result<(), String> {
        let wrong = |what: String| format!("The rules {:?} are wrong: {what}.", self.name);
        self.check_ground().and_then(|()| self.check_names()).map_err(wrong)
    }

    fn check_ground(&self) -> Result<(), String> {
        let Ground { map, walls, spawn } = self.ground;
        let has_area = spawn.left <= spawn.right && spawn.top <= spawn.bottom;
        if !(map.encloses(walls) && walls.encloses(spawn) && has_area) {
            return Err("the spawn must lie inside the walls, and the walls inside the map".into());
        } else if self.step == 0 {
            return Err("a step must be at least 1".into());
        }
        Ok(())
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
        }
        let field = |field: &Field| (field.name, field.width, field.start);
        let room_field = |field: &RoomField| (field.name, field.width, field.start);
        let starts = self.fields.iter().map(field).chain(self.room_fields.iter().map(room_field));
        for (name, width, start) in starts {
            if width.hold(start) != start {
                return Err(format!("the start {start} of the field {name:?} exceeds its width"));
            }
        }
        Ok(())
    }
}

/// The panic of a game that asks for a number which its rules do not have.
struct MissingNumber(String);

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
const RESERVED_EVENTS: [&str; 12] = [
    "new_player",
    "player_moved",
    "player_respawned",
    "player_left",
    "rules",
    "room",
    "own",
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

/// Bytes of the name of anything that a game declares.
pub const NAME_BYTES_MAX: usize = 24;
/// Fields that a game may add to a body.
pub const FIELDS_MAX: usize = 16;
/// Arguments of a command or an event of a game.
pub const ARGUMENTS_MAX: usize = 4;

/// The width of a number in a binary dialect. A value outside is clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 0 to 255.
    U8,
    /// 0 to 65,535.
    U16,
    /// All of an `i32`.
    I32,
}

impl Width {
    /// The value that takes the most characters.
    #[must_use]
    pub const fn longest(self) -> i32 {
        match self {
            Width::U8 => u8::MAX as i32,
            Width::U16 => u16::MAX as i32,
            Width::I32 => i32::MIN,
        }
    }

    pub(super) const fn hold(self, value: i32) -> i32 {
        let (least, greatest) = match self {
            Width::U8 => (0, u8::MAX as i32),
            Width::U16 => (0, u16::MAX as i32),
            Width::I32 => return value,
        };
        if value < least {
            least
        } else if value > greatest {
            greatest
        } else {
            value
        }
    }
}

/// A whole number that a game adds to each body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// How large it can be.
    pub width: Width,
    /// Its value in a new body.
    pub start: i32,
    /// The players that receive it.
    pub audience: Audience,
    /// The messages that contain it.
    pub detail: Detail,
    /// Whether a change of this field alone makes the body part of the next state's changes. Off
    /// if an event of the game reports the change at once.
    pub sends_changes: bool,
}

/// The players that receive a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All in the room.
    Public,
    /// The body's own player.
    Owner,
    /// No player: only the game reads it.
    Hidden,
}

/// The kinds of messages that contain a public field, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail(u8);

impl Detail {
    /// The full state of the room.
    pub const STATE: Detail = Detail(1);
    /// The position of a body that has moved.
    pub const POSITION: Detail = Detail(2);
    /// The description of a body that joins or respawns.
    pub const DESCRIPTION: Detail = Detail(4);
    /// All of them.
    pub const ALL: Detail = Detail(7);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Detail) -> Detail {
        Detail(self.0 | other.0)
    }

    /// Whether `part` is in the set.
    #[must_use]
    pub const fn has(self, part: Detail) -> bool {
        self.0 & part.0 != 0
    }
}

impl Field {
    /// A public field that every message contains and whose changes are sent.
    #[must_use]
    pub const fn new(name: &'static str, width: Width, start: i32) -> Field {
        let (audience, detail) = (Audience::Public, Detail::ALL);
        Field { name, width, start, audience, detail, sends_changes: true }
    }

    /// The same, for the body's own player only.
    #[must_use]
    pub const fn owner_only(self) -> Field {
        Field { audience: Audience::Owner, ..self }
    }

    /// The same, for the game only.
    #[must_use]
    pub const fn hidden(self) -> Field {
        Field { audience: Audience::Hidden, ..self }
    }

    /// The same, in these messages only.
    #[must_use]
    pub const fn only_in(self, detail: Detail) -> Field {
        Field { detail, ..self }
    }

    /// The same; an event of the game sends its changes.
    #[must_use]
    pub const fn changes_sent_by_events(self) -> Field {
        Field { sends_changes: false, ..self }
    }

    /// Whether `part` contains it for all players.
    #[must_use]
    pub fn is_public_in(&self, part: Detail) -> bool {
        self.audience == Audience::Public && self.detail.has(part)
    }
}

/// A whole number that a game adds to the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomField {
    /// Its name on the wire.
    pub name: &'static str,
    /// How large it can be.
    pub width: Width,
    /// Its value in a new world.
    pub start: i32,
}

impl RoomField {
    /// A field of the room.
    #[must_use]
    pub const fn new(name: &'static str, width: Width, start: i32) -> RoomField {
        RoomField { name, width, start }
    }
}

/// A command of a game: a name with a few whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandKind {
    /// Its name on the wire.
    pub name: &'static str,
    /// The names of its numbers.
    pub arguments: &'static [&'static str],
}

impl CommandKind {
    /// A command.
    #[must_use]
    pub const fn new(name: &'static str, arguments: &'static [&'static str]) -> CommandKind {
        CommandKind { name, arguments }
    }
}

/// An event of a game: a name with a few arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    /// Its name on the wire.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: &'static [Argument],
    /// Whether a newer one about the same subject (the first argument) replaces an older one that
    /// still waits for a slow client.
    pub replaces_older: bool,
}

impl EventKind {
    /// An event that is always sent.
    #[must_use]
    pub const fn new(name: &'static str, arguments: &'static [Argument]) -> EventKind {
        EventKind { name, arguments, replaces_older: false }
    }

    /// The same, but for a slow client a newer one replaces an older one about the same subject.
    #[must_use]
    pub const fn newest_enough(self) -> EventKind {
        EventKind { replaces_older: true, ..self }
    }
}

/// An argument of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A player, sent as its id.
    Player(&'static str),
    /// A number.
    Number(&'static str),
}

impl Argument {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Argument::Player(name) | Argument::Number(name) => name,
        }
    }
}

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

    /// The names of all games, for messages.
    #[must_use]
    pub fn names(&self) -> String {
        self.0.iter().map(|rules| rules.name).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{BATTLE, DOTS, GAMES};

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
        assert_eq!(games().names(), "dots, battle");
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
        static MAP: Rules = Rules { numbers: &[("map", 1)], ..DOTS };
        static MOVE: Rules = Rules { commands: &[CommandKind::new("move", &[])], ..DOTS };
        static TYPE: Rules = Rules { commands: &[CommandKind::new("jump", &["type"])], ..DOTS };
        static MOVED: Rules = Rules { events: &[EventKind::new("player_moved", &[])], ..DOTS };
        static INCOMPLETE: Rules = Rules { numbers: &[("hp", 100)], ..BATTLE };
        for (rules, what) in [
            (&NAMELESS, "the name of the rules \"\" must be"),
            (&STILL, "a step"),
            (&OUTSIDE, "the spawn"),
            (&MISNAMED, "the command \"Jump!\" must be"),
            (&LONG, "more than 4 arguments"),
            (&PLACE, "the field \"x\" is reserved"),
            (&TWICE, "two of the field \"score\""),
            (&WIDE, "the start 1000 of the field \"hp\""),
            (&MAP, "the number \"map\" is reserved"),
            (&MOVE, "the command \"move\" is reserved"),
            (&TYPE, "the argument of the command \"jump\": \"type\" is reserved"),
            (&MOVED, "the event \"player_moved\" is reserved"),
            (&INCOMPLETE, "no number \"reach\""),
        ] {
            let error = Games::new(&[rules]).expect_err("they are wrong");
            assert!(error.starts_with("The rules ") && error.contains(what), "{error}");
        }
        assert!(Games::new(&[]).is_err());
        assert!(Games::new(&[&DOTS, &DOTS]).is_err_and(|error| error.contains("\"dots\"")));
    }
}
