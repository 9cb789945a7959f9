//! Bots: players of a room that the server runs (`--bots`). They use the commands of people,
//! and leave as people join.

use super::ids::PlayerNumbers;
use crate::game::{Fact, PlayerId, World};

/// The bots of a room.
#[derive(Debug, Default)]
pub struct Bots {
    /// The number of players, bots included, while fewer people are in the room.
    seats: usize,
    /// Their players, in the order in which they joined.
    players: Vec<PlayerId>,
    /// The numbers of those that have left, which return first: no other player gets them.
    absent: Vec<PlayerId>,
}

impl Bots {
    /// Bots that fill a room up to `seats` players.
    #[must_use]
    pub fn up_to(seats: usize) -> Bots {
        Bots { seats, ..Bots::default() }
    }

    /// The number of bots that are in the room.
    #[must_use]
    pub fn len(&self) -> usize {
        self.players.len()
    }

    /// Lets bots join or leave, so that the room is filled if there are `people` in it, and no bot
    /// is in it otherwise. Then each acts. Call it before each tick of the world.
    pub fn act(
        &mut self,
        people: usize,
        world: &mut World,
        facts: &mut Vec<Fact>,
        numbers: &mut PlayerNumbers,
    ) {
        let wanted = if people == 0 { 0 } else { self.seats.saturating_sub(people) };
        while self.players.len() > wanted {
            let Some(bot) = self.players.pop() else { break };
            world.leave(bot, facts);
            self.absent.push(bot);
        }
        while self.players.len() < wanted {
            let bot = self.absent.pop().or_else(|| numbers.take().map(PlayerId));
            let Some(bot) = bot else { break };
            world.join(bot, Some(free_name(world).into()), facts);
            self.players.push(bot);
        }
        for bot in &self.players {
            if let Some(command) = world.bot(*bot) {
                // As for a person, a denied command has no effect.
                let _ = world.apply(*bot, command, facts);
            }
        }
    }
}

/// The first of `Bot 1`, `Bot 2`, ... that no player has.
fn free_name(world: &World) -> String {
    let is_free = |name: &String| {
        let mut names = world.bodies().iter().filter_map(|body| body.name.as_deref());
        !names.any(|taken| taken.eq_ignore_ascii_case(name))
    };
    (1_u32..).map(|number| format!("Bot {number}")).find(is_free).unwrap_or_default()
}
