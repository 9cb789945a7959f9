//! Tag, a game of its own in one file: one player is "it" and passes that on by touch. All others
//! score a point a second, and the best of a round wins. `docs/your-own-game.md` walks through it.
//! `cargo run --example tag`, then open `examples/tag.html` in two windows.

use skirmish::game::{
    Argument, Command, CommandKind, Denied, Event, EventKind, Field, Game, Ground, PlayerId, Point,
    Rect, RoomField, Rules, Space, TICKS_PER_SECOND, Width,
};

fn main() -> std::process::ExitCode {
    skirmish::run(&[&TAG])
}

const REACH: u16 = 12;
const DASH: i32 = 40;
const DASHES: i32 = 3;
const ROUND_S: i32 = 60;
const SAFE_TICKS: i32 = TICKS_PER_SECOND as i32;

pub static TAG: Rules = Rules {
    name: "tag",
    ground: Ground {
        map: Rect::square(0, 300),
        walls: Rect::square(5, 295),
        spawn: Rect::square(50, 250),
    },
    step: 6,
    numbers: &[("reach", REACH as i32), ("dash", DASH), ("round_s", ROUND_S)],
    fields: &[
        Field::new("score", Width::U16, 0),
        Field::new("dashes", Width::U8, DASHES).owner_only(),
        Field::new("safe_ticks", Width::U8, SAFE_TICKS).hidden(),
    ],
    room_fields: &[
        RoomField::new("it", Width::U32, 0),
        RoomField::new("left_s", Width::U16, ROUND_S),
        RoomField::new("winner", Width::U32, 0),
    ],
    commands: &[CommandKind::new("dash", &["x", "y"])],
    events: &[
        EventKind::new("tagged", &[Argument::Player("id"), Argument::Player("by")]),
        EventKind::new("round_over", &[Argument::Player("winner"), Argument::Number("score")]),
    ],
    game: |_| Box::new(Tag { near: Vec::new() }),
};

// The indices in the lists above.
const SCORE: usize = 0;
const LEFT: usize = 1;
const SAFE: usize = 2;
const IT: usize = 0;
const LEFT_S: usize = 1;
const WINNER: usize = 2;

#[derive(Debug)]
struct Tag {
    near: Vec<usize>,
}

impl Game for Tag {
    /// A dash is a leap of at most `DASH` in x and in y.
    fn command(&mut self, space: &mut Space, body: usize, command: Command) -> Result<(), Denied> {
        let Command::Own { arguments: [x, y, ..], .. } = command else {
            return Err(Denied::NoCombat);
        };
        let (left, at) = (space.value(body, LEFT), space.bodies()[body].at);
        if left == 0 {
            return Err(Denied::Cooldown);
        }
        let leap = |from: i32, to: i32| to.clamp(from - DASH, from + DASH).max(0) as u16;
        space.set(body, LEFT, left - 1);
        space.teleport(body, Point { x: leap(at.x.into(), x), y: leap(at.y.into(), y) });
        Ok(())
    }

    /// A bot that is "it" follows the next player, and others walk about.
    fn bot(&mut self, space: &mut Space, body: usize) -> Option<Command> {
        let next = space.bodies()[(body + 1) % space.bodies().len()].at;
        let is_it = space.bodies()[body].id.0 as i32 == space.room(IT);
        if is_it { Some(Command::MoveTo(next)) } else { space.wander(body) }
    }

    fn tick(&mut self, space: &mut Space) {
        let Some(last) = space.bodies().len().checked_sub(1) else { return };
        let it = space.find(PlayerId(space.room(IT) as u32));
        let it = it.unwrap_or_else(|| space.random(0, last as i32) as usize);
        space.set_room(IT, space.bodies()[it].id.0 as i32);
        (0..=last).for_each(|body| space.set(body, SAFE, space.value(body, SAFE) - 1));
        space.near(space.bodies()[it].at, REACH, &mut self.near);
        let is_touched = |body: &&usize| **body != it && space.value(**body, SAFE) == 0;
        if let Some(touched) = self.near.iter().find(is_touched).copied() {
            let [id, by] = [touched, it].map(|body| space.bodies()[body].id.0);
            space.set_room(IT, id as i32);
            space.set(it, SAFE, SAFE_TICKS);
            space.report(Event::own(0, [id.into(), by.into()]), touched);
        }
        if space.now().0.is_multiple_of(TICKS_PER_SECOND) {
            end_second(space, (space.now().0 / TICKS_PER_SECOND) as i32);
        }
    }
}

fn end_second(space: &mut Space, now_s: i32) {
    let players = 0..space.bodies().len();
    for body in players.clone() {
        let is_it = space.bodies()[body].id.0 as i32 == space.room(IT);
        space.set(body, SCORE, space.value(body, SCORE) + i32::from(!is_it));
    }
    space.set_room(LEFT_S, ROUND_S - now_s % ROUND_S);
    let best = players.clone().rev().max_by_key(|body| space.value(*body, SCORE));
    if let Some(best) = best.filter(|_| now_s % ROUND_S == 0) {
        let (winner, score) = (space.bodies()[best].id.0, space.value(best, SCORE));
        space.set_room(WINNER, winner as i32);
        space.report_to_room(Event::own(1, [winner.into(), score.into()]));
        for body in players {
            space.set(body, SCORE, 0);
            space.set(body, LEFT, DASHES);
        }
    }
}
