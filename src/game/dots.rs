//! Dots: move a dot, and all players in the room see it.

use super::{Detail, Field, Game, Ground, Rect, Rules, Width};

/// The rules of dots.
pub const DOTS: Rules = Rules {
    name: "dots",
    ground: Ground {
        map: Rect::square(0, 500),
        walls: Rect::square(10, 490),
        spawn: Rect::square(50, 450),
    },
    step: 10,
    numbers: &[],
    fields: &[
        // Socket.IO clients expect the fields of battle in every room.
        Field::new("hp", Width::U8, 100).only_in(Detail::POSITION.and(Detail::DESCRIPTION)),
        Field::new("kills", Width::I32, 0).only_in(Detail::DESCRIPTION),
        Field::new("deaths", Width::I32, 0).only_in(Detail::DESCRIPTION),
    ],
    room_fields: &[],
    commands: &[],
    events: &[],
    game: |_| Box::new(Dots),
};

/// The game has moves only.
#[derive(Debug)]
struct Dots;

impl Game for Dots {}
