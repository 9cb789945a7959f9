//! What both sides must agree on, from the rules of a room.

use crate::codec::v1::schema::{ArgumentKind, FIELDS_MAX, Walls};
use crate::codec::v1::welcome::{ArgumentTerms, EventTerms, FieldTerms, NameTerms, Welcome};
use crate::codec::v1::{self, Schema, Values};
use crate::game::{Argument, Audience, Detail, Field, Ground, Rect, Rules, Snapshot, Width};
use crate::time::TICK_MS;

use super::slots::Slot;

/// Width and height of what a client sees, in map units.
pub const VIEW: [u16; 2] = [1_024, 768];
/// The side of a cell.
const SIDE: u32 = 512;
/// A map up to this width and height is one cell: a client that sees a part of it sees nearly all.
const ONE_CELL_MAX: u16 = 2_048;
/// The side of a cell that is a whole map.
const WHOLE_MAP: u32 = 1 << 16;

/// The values that both sides must agree on.
pub fn schema(rules: &Rules, ground: Ground) -> Schema {
    let Rect { right, bottom, .. } = ground.map;
    let is_one_cell = right <= ONE_CELL_MAX && bottom <= ONE_CELL_MAX;
    let side = if is_one_cell { WHOLE_MAP } else { SIDE };
    let Rect { left, top, right: wall_right, bottom: wall_bottom } = ground.walls;
    let widths = |audience| {
        let fields = rules.fields.iter().filter(move |field| is_sent(field, audience));
        fields.map(|field| width(field.width)).collect()
    };
    Schema {
        walls: Walls { left, top, right: wall_right, bottom: wall_bottom },
        step: rules.step,
        side,
        columns: (u32::from(right) / side) as u16 + 1,
        fields: widths(Audience::Public),
        owner_fields: widths(Audience::Owner),
        events: rules
            .events
            .iter()
            .map(|event| event.arguments.iter().map(|argument| kind(*argument)).collect())
            .collect(),
    }
}

/// The number of cells of a map.
pub fn cells(schema: &Schema, ground: Ground) -> usize {
    let rows = u32::from(ground.map.bottom) / schema.side + 1;
    usize::from(schema.columns) * rows as usize
}

/// WELCOME of a player.
pub fn welcome(player: u32, slot: Slot, welcome: &super::super::Welcome) -> Welcome {
    let &super::super::Welcome { room, world, token, .. } = welcome;
    let (rules, ground) = (world.rules(), world.ground());
    let schema = schema(rules, ground);
    let sides = |rect: Rect| [rect.left, rect.top, rect.right, rect.bottom];
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let Snapshot { room: values, .. } = world.snapshot();
    let room_fields = rules.room_fields.iter().zip(values).map(|(field, value)| {
        let value =
            if field.width == Width::U32 { i64::from(*value as u32) } else { (*value).into() };
        (field.name.to_owned(), value)
    });
    Welcome {
        id: player.to_string(),
        slot: slot.number,
        generation: slot.generation,
        token: token.map(|token| token.text.to_owned()),
        resume_s: token.map(|token| token.resume_s),
        room: room.to_owned(),
        rules: rules.name.to_owned(),
        numbers: rules.numbers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect(),
        map: sides(ground.map),
        walls: sides(ground.walls),
        cell: schema.side,
        columns: schema.columns,
        view: VIEW,
        tick_ms: TICK_MS as u16,
        step: schema.step,
        fields: rules.fields.iter().filter_map(field_terms).collect(),
        commands: rules
            .commands
            .iter()
            .map(|it| NameTerms { name: it.name.to_owned(), arguments: names(it.arguments) })
            .collect(),
        events: rules
            .events
            .iter()
            .map(|event| EventTerms {
                name: event.name.to_owned(),
                arguments: event.arguments.iter().map(|it| argument_terms(*it)).collect(),
            })
            .collect(),
        room_fields: room_fields.collect(),
    }
}

/// The public fields of a row of declared fields, or the owner-only ones.
pub fn values<'a>(
    rules: &'static Rules,
    audience: Audience,
    row: &'a [i32],
) -> impl Iterator<Item = i32> + 'a {
    let fields = rules.fields.iter().zip(row);
    fields.filter(move |(field, _)| is_sent(field, audience)).map(|(_, value)| *value)
}

/// Whether clients are sent a field: all of them, or its owner in HEAD.
fn is_sent(field: &Field, audience: Audience) -> bool {
    let is_in = audience == Audience::Owner || field.detail.has(Detail::RECORD);
    field.audience == audience && is_in
}

/// The owner-only fields of a row of declared fields.
pub fn owner_values(rules: &'static Rules, row: &[i32]) -> Values {
    let mut values = [0; FIELDS_MAX];
    let own = self::values(rules, Audience::Owner, row);
    values.iter_mut().zip(own).for_each(|(to, value)| *to = value);
    values
}

fn width(width: Width) -> v1::Width {
    match width {
        Width::U8 => v1::Width::U8,
        Width::U16 => v1::Width::U16,
        Width::I32 => v1::Width::I32,
        Width::U32 => v1::Width::U32,
    }
}

fn kind(argument: Argument) -> ArgumentKind {
    match argument {
        Argument::Player(_) => ArgumentKind::Player,
        Argument::Number(_) => ArgumentKind::Number,
        Argument::Word(..) => ArgumentKind::Word,
    }
}

fn argument_terms(argument: Argument) -> ArgumentTerms {
    let words: &[&str] = match argument {
        Argument::Word(_, words) => words,
        Argument::Player(_) | Argument::Number(_) => &[],
    };
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    ArgumentTerms { name: argument.name().to_owned(), kind: kind(argument), words }
}

/// `None` if no client receives it.
fn field_terms(field: &Field) -> Option<FieldTerms> {
    let is_sent = [Audience::Public, Audience::Owner].iter().any(|to| is_sent(field, *to));
    is_sent.then(|| FieldTerms {
        name: field.name.to_owned(),
        width: width(field.width),
        owner: field.audience == Audience::Owner,
        words: field.words.iter().map(|word| (*word).to_owned()).collect(),
    })
}
