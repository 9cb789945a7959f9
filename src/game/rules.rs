//! What a game declares, as plain data: its map, its numbers, and the fields, commands and events
//! that it adds (docs/your-own-game.md).

use std::fmt;
use std::panic::resume_unwind;

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

    pub(super) const fn encloses(self, other: Rect) -> bool {
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

impl Ground {
    /// A map from (0, 0) to (`right`, `bottom`), with walls at this distance from its borders, and
    /// the spawn anywhere inside them.
    #[must_use]
    pub const fn with_margin(right: u16, bottom: u16, margin: u16) -> Ground {
        let (far_right, far_bottom) = (right.saturating_sub(margin), bottom.saturating_sub(margin));
        let walls = Rect { left: margin, top: margin, right: far_right, bottom: far_bottom };
        Ground { map: Rect { left: 0, top: 0, right, bottom }, walls, spawn: walls }
    }

    /// Whether a world can have this area.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub(super) fn check(self) -> Result<(), &'static str> {
        let Ground { map, walls, spawn } = self;
        let has_area = spawn.left <= spawn.right && spawn.top <= spawn.bottom;
        match map.encloses(walls) && walls.encloses(spawn) && has_area {
            true => Ok(()),
            false => Err("the spawn must lie inside the walls, and the walls inside the map"),
        }
    }
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
    /// The numbers of the game, by name. Clients receive all of them. The server reads
    /// [`PLAYERS_MAX`] and [`MAP_MARGIN`], if they are here.
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
    /// The area of a world if the server was started with this `--map`, a width and a height.
    #[must_use]
    pub fn ground_with(&self, map: Option<(u16, u16)>) -> Ground {
        match (map, self.find_number(MAP_MARGIN).map(u16::try_from)) {
            (Some((width, height)), Some(Ok(margin))) => Ground::with_margin(width, height, margin),
            _ => self.ground,
        }
    }

    /// The maximum number of players in a room, unless `--room-players-max` says another.
    #[must_use]
    pub fn players_max(&self) -> usize {
        let declared = self.find_number(PLAYERS_MAX);
        declared.and_then(|number| usize::try_from(number).ok()).unwrap_or(PLAYERS_MAX_DEFAULT)
    }

    fn find_number(&self, name: &str) -> Option<i32> {
        self.numbers.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
    }

    /// The number called `name`.
    ///
    /// # Panics
    /// If the rules have none: a game reads its numbers when it is created, and
    /// [`Games::new`](super::Games::new) creates one of each.
    #[must_use]
    pub fn number(&self, name: &str) -> i32 {
        match self.find_number(name) {
            Some(number) => number,
            // Not printed as a panic: `Games::new` turns it into an error.
            None => resume_unwind(Box::new(MissingNumber(name.to_owned()))),
        }
    }
}

/// The number of the rules for [`Rules::players_max`].
pub const PLAYERS_MAX: &str = "players_max";
const PLAYERS_MAX_DEFAULT: usize = 2_000;
/// The number of rules that take the size of their maps from `--map`: the distance of walls and
/// spawn from the borders.
pub const MAP_MARGIN: &str = "map_margin";

/// The panic of a game that asks for a number which its rules do not have.
pub(super) struct MissingNumber(pub String);

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
    /// All of a `u32`, such as the number of a player or a tick. A game reads and writes it as the
    /// `i32` with the same bits: `value as u32`.
    U32,
}

impl Width {
    /// The value that takes the most characters.
    #[must_use]
    pub const fn longest(self) -> i32 {
        match self {
            Width::U8 => u8::MAX as i32,
            Width::U16 => u16::MAX as i32,
            Width::I32 => i32::MIN,
            Width::U32 => u32::MAX as i32,
        }
    }

    pub(super) const fn hold(self, value: i32) -> i32 {
        let (least, greatest) = match self {
            Width::U8 => (0, u8::MAX as i32),
            Width::U16 => (0, u16::MAX as i32),
            Width::I32 | Width::U32 => return value,
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
    /// The words that its values 0, 1, ... are written as; none if they are written as numbers.
    pub words: &'static [&'static str],
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
    /// The record of a body in skirmish.v1. Leave a field out that its clients can tell from the
    /// rest, and that changes often: it costs bytes, and its changes are not held back in a crowd.
    pub const RECORD: Detail = Detail(8);
    /// All of them.
    pub const ALL: Detail = Detail(15);

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
        Field { name, width, start, audience, detail, sends_changes: true, words: &[] }
    }

    /// The value that takes the most characters.
    #[must_use]
    pub fn longest(&self) -> i32 {
        let words = self.words.iter().enumerate();
        let longest = words.max_by_key(|(_, word)| word.len());
        longest.map_or_else(|| self.width.longest(), |(index, _)| index as i32)
    }

    /// The same, but its values are indices of `words`, which are written instead.
    #[must_use]
    pub const fn word(name: &'static str, words: &'static [&'static str], start: i32) -> Field {
        Field { words, ..Field::new(name, Width::U8, start) }
    }

    /// The value that it has after it was set to `value`.
    pub(super) fn hold(&self, value: i32) -> i32 {
        match self.words.len() {
            0 => self.width.hold(value),
            words => value.clamp(0, words as i32 - 1),
        }
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
    /// Whether a change of this field alone is sent to clients that do not receive full states.
    /// Off for a countdown, which clients continue themselves.
    pub sends_changes: bool,
}

impl RoomField {
    /// A field of the room whose changes are sent.
    #[must_use]
    pub const fn new(name: &'static str, width: Width, start: i32) -> RoomField {
        RoomField { name, width, start, sends_changes: true }
    }

    /// The same; events of the game, or other fields of the room, send its changes.
    #[must_use]
    pub const fn changes_sent_by_events(self) -> RoomField {
        RoomField { sends_changes: false, ..self }
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
    /// What a slow client receives of it.
    pub delivery: Delivery,
}

/// What a slow client receives of the events of a kind. Others receive all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All of them.
    Always,
    /// The newest one about each subject, which is the first argument.
    Newest,
    /// None.
    Volatile,
}

impl EventKind {
    /// An event that is always sent.
    #[must_use]
    pub const fn new(name: &'static str, arguments: &'static [Argument]) -> EventKind {
        EventKind { name, arguments, delivery: Delivery::Always }
    }

    /// The same, but for a slow client a newer one replaces an older one about the same subject.
    #[must_use]
    pub const fn newest_only(self) -> EventKind {
        EventKind { delivery: Delivery::Newest, ..self }
    }

    /// The same, but a slow client does not receive it: it is worth nothing if it is late.
    #[must_use]
    pub const fn volatile(self) -> EventKind {
        EventKind { delivery: Delivery::Volatile, ..self }
    }
}

/// An argument of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A player, sent as its id; 0 names none, and is sent as `null`.
    Player(&'static str),
    /// A number.
    Number(&'static str),
    /// The index of a word in a list; the word is sent.
    Word(&'static str, &'static [&'static str]),
}

impl Argument {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Argument::Player(name) | Argument::Number(name) | Argument::Word(name, _) => name,
        }
    }
}
