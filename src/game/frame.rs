//! What is visible in a world at one moment, and the [`Frame`] that a room makes of it once a tick.

use super::{Body, Fact, PlayerId, Rules, World};
use crate::ordered;
use crate::time::Tick;

/// The visible state of a world, borrowed from the world or from a [`Frame`].
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The rules of the world.
    pub rules: &'static Rules,
    /// The tick that it shows.
    pub tick: Tick,
    /// All bodies, in the order of their players' numbers.
    pub bodies: &'a [Body],
    /// The declared fields of all bodies: a row of `rules.fields.len()` for each.
    pub values: &'a [i32],
    /// The declared fields of the room.
    pub room: &'a [i32],
}

impl<'a> Snapshot<'a> {
    /// The index of a player's body, if there is one.
    #[must_use]
    pub fn find(&self, id: PlayerId) -> Option<usize> {
        ordered::search(self.bodies, id.0, |body| body.id.0).ok()
    }

    /// The declared fields of the body at an index.
    #[must_use]
    pub fn row(&self, index: usize) -> &'a [i32] {
        let fields = self.rules.fields.len();
        &self.values[index * fields..(index + 1) * fields]
    }
}

/// A room on one tick. It does not change until the next one replaces it, so that every client that
/// receives this tick receives the same.
#[derive(Debug)]
pub struct Frame {
    rules: &'static Rules,
    tick: Tick,
    bodies: Vec<Body>,
    values: Vec<i32>,
    room: Vec<i32>,
    facts: Vec<Fact>,
}

impl Frame {
    /// The first one of a world, before its first tick.
    #[must_use]
    pub fn of(world: &World) -> Frame {
        let Snapshot { rules, tick, bodies, values, room } = world.snapshot();
        let (bodies, values, room) = (bodies.to_vec(), values.to_vec(), room.to_vec());
        Frame { rules, tick, bodies, values, room, facts: Vec::new() }
    }

    /// Replaces it with the world as it is now. `facts` are those since the last one; they are
    /// moved here.
    pub fn renew(&mut self, world: &World, facts: &mut Vec<Fact>) {
        let Snapshot { tick, bodies, values, room, .. } = world.snapshot();
        self.tick = tick;
        self.bodies.clear();
        self.bodies.extend_from_slice(bodies);
        self.values.clear();
        self.values.extend_from_slice(values);
        self.room.clear();
        self.room.extend_from_slice(room);
        self.facts.clear();
        std::mem::swap(&mut self.facts, facts);
        // The memory of a burst, such as many joins, must not be held for good.
        let count = self.facts.len();
        for list in [&mut self.facts, facts] {
            if list.capacity() > 4 * count {
                list.shrink_to(2 * count);
            }
        }
    }

    /// The tick that it shows.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// What is visible in it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        let Frame { rules, tick, bodies, values, room, .. } = self;
        Snapshot { rules, tick: *tick, bodies, values, room }
    }

    /// What has happened since the frame before, in order. Clients have received it already.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{BATTLE, Command, Event, Point};

    #[test]
    fn a_frame_keeps_its_tick_while_the_world_changes() {
        let (ann, ben) = (PlayerId(1), PlayerId(2));
        let mut world = World::new(&BATTLE, 7, 4);
        let mut facts = Vec::new();
        world.join(ann, Some("Ann".into()), &mut facts);
        world.join(ben, None, &mut facts);
        world.tick(&mut facts);
        let mut frame = Frame::of(&world);
        frame.renew(&world, &mut facts);
        let at = frame.snapshot().bodies[0].at;
        let events: Vec<Event> = frame.facts().iter().map(|fact| fact.event).collect();
        assert_eq!(events, [Event::Joined(ann), Event::Joined(ben)]);
        assert!(facts.is_empty());

        let x = if at.x < 50 { 100 } else { 0 };
        world.apply(ann, Command::MoveTo(Point { x, y: 50 }), &mut facts).unwrap();
        world.leave(ben, &mut facts);
        assert_ne!(world.snapshot().bodies[0].at, at);
        assert_eq!(frame.snapshot().bodies[0].at, at);
        assert_eq!(frame.snapshot().find(ben), Some(1));
        assert_eq!(frame.snapshot().row(1)[0], 100);

        world.tick(&mut facts);
        frame.renew(&world, &mut facts);
        assert_eq!((frame.tick(), frame.snapshot().find(ben)), (world.now(), None));
        assert_eq!(frame.facts().len(), 1);
    }
}
