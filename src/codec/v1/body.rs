//! Bodies as a client sees them.

use super::Malformed;

/// The direction in which a body makes one step on every tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Course {
    /// It stands.
    #[default]
    None,
    /// Towards y = 0.
    Up,
    /// Away from y = 0.
    Down,
    /// Towards x = 0.
    Left,
    /// Away from x = 0.
    Right,
}

impl Course {
    /// All of them: `ALL[course as usize] == course`.
    pub const ALL: [Course; 5] =
        [Course::None, Course::Up, Course::Down, Course::Left, Course::Right];

    /// The course with a number.
    ///
    /// # Errors
    /// There is none.
    pub fn from_number(number: u8) -> Result<Course, Malformed> {
        Course::ALL.get(usize::from(number)).copied().ok_or(Malformed::OutOfRange)
    }
}

/// The state of a body in one byte: bits 0 to 2 are its course, the others are flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(u8);

const COURSE: u8 = 0b111;

impl State {
    /// It has attacked since the base. Holds for the tick of its record.
    pub const ATTACKING: State = State(1 << 3);
    /// It is dead: it has no course.
    pub const DEAD: State = State(1 << 4);
    /// It was put where it is since the base, so clients do not interpolate. Holds for the tick of
    /// its record.
    pub const TELEPORTED: State = State(1 << 5);

    /// A living body with a course.
    #[must_use]
    pub const fn new(course: Course) -> State {
        State(course as u8)
    }

    /// This state and `flag`.
    #[must_use]
    pub const fn with(self, flag: State) -> State {
        State(self.0 | flag.0)
    }

    /// Whether it has `flag`.
    #[must_use]
    pub const fn has(self, flag: State) -> bool {
        self.0 & flag.0 != 0
    }

    /// Its course.
    #[must_use]
    pub fn course(self) -> Course {
        Course::ALL[usize::from(self.0 & COURSE)]
    }

    /// The same with another course.
    #[must_use]
    pub const fn on_course(self, course: Course) -> State {
        State(self.0 & !COURSE | course as u8)
    }

    /// The same without its course: its flags.
    #[must_use]
    pub const fn flags(self) -> State {
        self.on_course(Course::None)
    }

    /// The same without the flags that hold for one tick.
    #[must_use]
    pub const fn lasting(self) -> State {
        State(self.0 & !(State::ATTACKING.0 | State::TELEPORTED.0))
    }

    /// Its byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// The state with this byte.
    ///
    /// # Errors
    /// There is none: an unknown course or flag, or the course of a dead body.
    pub fn from_byte(byte: u8) -> Result<State, Malformed> {
        let state = State(byte);
        let course = Course::from_number(byte & COURSE)?;
        let is_dead_with_course = state.has(State::DEAD) && course != Course::None;
        if byte >> 6 != 0 || is_dead_with_course {
            return Err(Malformed::OutOfRange);
        }
        Ok(state)
    }
}

/// A body in the list of a cell. Its place lies within the walls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Its slot, unique in the room; another body may get the same slot later.
    pub id: u16,
    /// Tells apart the bodies that have had the same slot.
    pub generation: u8,
    /// Map units from the left.
    pub x: u16,
    /// Map units from the top.
    pub y: u16,
    /// Its course and flags.
    pub state: State,
}
