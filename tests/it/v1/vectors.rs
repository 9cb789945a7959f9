//! Golden vectors: messages in hex, and what they make of a client, in `tests/golden/v1/`.
//! `tests/browser/v1.test.mjs` gives the same files to the JavaScript. `SKIRMISH_BLESS=1` rewrites
//! them.
//!
//! ```text
//! # A comment.
//! < b0 7b 22 ...                      a message of the server; what follows is the client after it
//! > 11                                the client has sent this
//! event 16 7 8 -10                     an EVENT: kind and arguments
//! roster 7.0 is 1234 #a1b2c3 Ann      an entry of a ROSTER: body, player, color, name
//! tick 9 age 1 flags 0 applied 5 lead 0 at 120,130 values 3
//! body 0 7.1 at 120,130 state 4 values 100 1       cell, slot and generation, ...
//! sum 1a2b3c4d of 3 bodies
//! ```

use std::fmt::Write;
use std::path::Path;

use rand::RngExt;
use skirmish::codec::v1::client::{ClientMessage, Command, Input, encode_who};
use skirmish::codec::v1::replica::Received;
use skirmish::codec::v1::server::{Check, Event, Head, Part, Parts, RosterEntry, encode_roster};
use skirmish::codec::v1::welcome::{ArgumentTerms, EventTerms, FieldTerms, NameTerms, Welcome};
use skirmish::codec::v1::{
    ArgumentKind, Body, Course, List, NO_SLOT, Replica, Schema, State, Width,
};
use skirmish::codec::v1::{cell, delta};
use skirmish::time::Tick;

use super::world::{Client, Habits, World, one_cell, small_cells, view};

pub fn compare(name: &str, made: &str) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/v1"));
    let path = folder.join(name).with_extension("txt");
    if std::env::var_os("SKIRMISH_BLESS").is_some() {
        return std::fs::write(&path, made).expect("tests/golden/v1 is writable");
    }
    let golden = std::fs::read_to_string(&path).expect("the vectors are in the repository");
    for (number, (is, should_be)) in (1..).zip(made.lines().zip(golden.lines())) {
        assert_eq!(is, should_be, "line {number} of {name}.txt");
    }
    assert_eq!(made.lines().count(), golden.lines().count(), "{name}.txt has another length");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!(" {byte:02x}")).collect()
}

/// A client that writes down what it receives.
struct Script {
    out: String,
    schema: Schema,
    replica: Replica,
    /// Whether each body is written.
    is_detailed: bool,
    /// Refused ticks until the client asks for a keyframe again.
    ticks_to_resync: u32,
}

impl Script {
    fn new(comment: &str, schema: Schema, is_detailed: bool) -> Script {
        let mut out = String::new();
        for line in comment.lines() {
            writeln!(out, "# {line}").expect("memory");
        }
        let welcome = welcome(&schema);
        let mut message = Vec::new();
        welcome.encode(&mut message);
        assert_eq!(Welcome::decode(&message), Ok(welcome));
        writeln!(out, "<{}", hex(&message)).expect("memory");
        let replica = Replica::new(schema.clone());
        Script { out, schema, replica, is_detailed, ticks_to_resync: 0 }
    }

    fn comment(&mut self, text: &str) {
        writeln!(self.out, "# {text}").expect("memory");
    }

    fn receive(&mut self, message: &[u8]) {
        let Script { out, schema, replica, .. } = self;
        writeln!(out, "<{}", hex(message)).expect("memory");
        for part in Parts::new(message, schema) {
            match part {
                Ok(Part::Event(Event { kind, arguments })) => {
                    let kinds = Event::arguments_of(schema, kind).expect("it is known");
                    write!(out, "event {kind}").expect("memory");
                    put_values(&arguments[..kinds.len()], out);
                    writeln!(out)
                }
                Ok(Part::Roster(mut entries)) => entries.try_for_each(|entry| {
                    let RosterEntry { id, generation, player, color, name } = entry;
                    writeln!(out, "roster {id}.{generation} is {player} #{color:06x} {name}")
                }),
                _ => Ok(()),
            }
            .expect("memory");
        }
        if replica.receive(message) != Ok(Received::Applied) {
            if self.ticks_to_resync == 0 {
                self.ticks_to_resync = 21;
                writeln!(out, "> 11").expect("memory");
            }
            self.ticks_to_resync -= 1;
            return;
        }
        let Some(Head { flags, tick, age, applied, lead, x, y, values, .. }) = replica.head()
        else {
            return;
        };
        let Tick(tick) = tick;
        write!(
            out,
            "tick {tick} age {age} flags {flags} applied {applied} lead {lead} at {x},{y} values"
        )
        .expect("memory");
        self.ticks_to_resync = if *age == 0 { 0 } else { self.ticks_to_resync };
        put_values(&values[..schema.owner_fields.len()], out);
        let mut count = 0;
        for (cell, list) in replica.cells() {
            count += list.bodies().len();
            for (index, body) in list.bodies().iter().enumerate().filter(|_| self.is_detailed) {
                let Body { id, generation, x, y, state } = *body;
                let state = state.byte();
                write!(out, "body {cell} {id}.{generation} at {x},{y} state {state} values")
                    .expect("memory");
                put_values(list.values(index), out);
            }
        }
        writeln!(out, "sum {:08x} of {count} bodies", replica.sum()).expect("memory");
    }
}

fn put_values(values: &[i32], out: &mut String) {
    for value in values {
        write!(out, " {value}").expect("memory");
    }
    out.push('\n');
}

fn welcome(schema: &Schema) -> Welcome {
    let fields = schema.fields.iter().map(|width| (width, false));
    let fields = fields.chain(schema.owner_fields.iter().map(|width| (width, true)));
    let fields = fields.zip('a'..).map(|((width, owner), name)| FieldTerms {
        name: name.to_string(),
        width: *width,
        owner,
        words: if *width == Width::U8 { vec!["no".into(), "yes".into()] } else { vec![] },
    });
    let walls = schema.walls;
    Welcome {
        id: "7".into(),
        slot: 3,
        generation: 1,
        token: None,
        resume_s: None,
        room: "world".into(),
        rules: "world".into(),
        numbers: [("reach".into(), 40)].into(),
        map: [0, 0, 500, 500],
        walls: [walls.left, walls.top, walls.right, walls.bottom],
        cell: schema.side,
        columns: schema.columns,
        view: [1024, 768],
        tick_ms: 50,
        step: schema.step,
        fields: fields.collect(),
        commands: vec![NameTerms { name: "dig".into(), arguments: vec!["depth".into()] }],
        events: vec![
            EventTerms {
                name: "found".into(),
                arguments: vec![
                    argument("by", ArgumentKind::Player, &[]),
                    argument("of", ArgumentKind::Player, &[]),
                    argument("gold", ArgumentKind::Number, &[]),
                    argument("luck", ArgumentKind::Word, &["bad", "usual", "good"]),
                ],
            },
            EventTerms { name: "over".into(), arguments: vec![] },
        ],
        room_fields: [("round".into(), 2)].into(),
    }
}

fn argument(name: &str, kind: ArgumentKind, words: &[&str]) -> ArgumentTerms {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    ArgumentTerms { name: name.into(), kind, words }
}

/// The tick after `age` ticks with some cells.
fn tick(schema: &Schema, tick: u32, age: u8, cells: &[&[u8]]) -> Vec<u8> {
    let mut values = [0; 16];
    values[0] = 300;
    let cells_count = cells.len() as u8;
    let (tick, applied, lead) = (Tick(tick), 21, -1);
    let (x, y) = (120, 130);
    let head = Head { flags: 0, tick, age, cells: cells_count, applied, lead, x, y, values };
    let mut message = Vec::new();
    head.encode(schema, &mut message);
    message.extend(cells.concat());
    message
}

fn body((id, generation): (u16, u8), (x, y): (u16, u16), state: State) -> Body {
    Body { id, generation, x, y, state }
}

/// A list of one cell.
fn list(bodies: &[(Body, [i32; 2])]) -> List {
    let mut list = List::default();
    for (body, values) in bodies {
        list.push(*body, values);
    }
    list
}

#[test]
fn every_kind_of_message() {
    let schema = Schema { columns: 2, side: 256, ..one_cell(&[Width::U8, Width::I32]) };
    let comment = "Every kind of message and record. Written by tests/it/v1/vectors.rs.\n\
        Two fields, a u8 and an i32, and an owner-only u16. Cells of 256 x 256, 2 in a row.";
    let mut script = Script::new(comment, schema.clone(), true);
    let state = State::new;
    let right = state(Course::Right);
    let full = |list: &List| {
        let mut out = Vec::new();
        cell::encode_full(&schema, 0, list.borrowed(), &mut out);
        out
    };
    let mut base = list(&[
        (body((3, 1), (120, 130), right), [100, -1]),
        (body((4, 0), (200, 200), state(Course::Up).with(State::TELEPORTED)), [90, 7]),
        (body((9, 0), (20, 30), state(Course::None)), [80, 0]),
        (body((700, 2), (240, 240), right), [70, 70_000]),
    ]);
    script.comment("A keyframe at the last tick before the wrap-around.");
    script.receive(&tick(&schema, u32::MAX, 0, &[&full(&base)]));

    let mut step = |script: &mut Script, comment: &str, at: u32, age: u8, new: List| {
        script.comment(comment);
        let mut out = Vec::new();
        let elsewhere = |body: &Body| match body.id {
            4 => Some((300, 200)),
            700 => Some((260, 240)),
            _ => None,
        };
        let encoded =
            delta::encode(&schema, 0, (base.borrowed(), age), new.borrowed(), elsewhere, &mut out);
        let cells: &[&[u8]] = if encoded == delta::Encoded::Nothing { &[] } else { &[&out] };
        script.receive(&tick(&schema, at, age, cells));
        base = new;
    };
    let new = list(&[
        (body((3, 1), (130, 130), right), [100, -1]),
        (body((4, 0), (200, 190), state(Course::Up)), [90, 7]),
        (body((9, 0), (20, 30), state(Course::None)), [80, 0]),
        (body((700, 2), (250, 240), right), [70, 70_000]),
    ]);
    step(&mut script, "All keep their courses: no cell.", 0, 1, new);
    let new = list(&[
        (body((3, 1), (130, 140), state(Course::Down)), [100, -1]),
        (body((4, 0), (200, 180), state(Course::Up).with(State::ATTACKING)), [90, 7]),
        (body((9, 0), (20, 30), state(Course::None)), [80, -2]),
    ]);
    step(&mut script, "A turn, an attack, a field; slot 700 leaves by its course.", 1, 1, new);
    let new = list(&[
        (body((3, 1), (160, 160), right), [100, -1]),
        (body((4, 0), (50, 60), state(Course::Left).with(State::TELEPORTED)), [90, 8]),
        (body((9, 0), (30, 30), right), [80, -2]),
        (body((300, 5), (17, 18), state(Course::None).with(State::TELEPORTED)), [1, i32::MIN]),
    ]);
    step(&mut script, "5 ticks: 3 turned 2 ticks ago, 9 now, 4 jumped, 300 joined.", 6, 5, new);
    let new = list(&[
        (body((3, 1), (160, 160), State::DEAD), [0, -1]),
        (body((9, 0), (40, 30), right), [80, -2]),
    ]);
    step(&mut script, "3 died, 4 jumped to another cell, 300 left the game.", 7, 1, new);

    script.comment("Cell 1 comes, with the body that came from cell 0.");
    let other = list(&[(body((4, 0), (300, 200), State::default()), [90, 8])]);
    let mut cells = Vec::new();
    cell::encode_full(&schema, 1, other.borrowed(), &mut cells);
    script.receive(&tick(&schema, 8, 1, &[&cells]));
    script.comment("Cell 0 goes.");
    let mut cells = Vec::new();
    cell::encode_forget(0, &mut cells);
    script.receive(&tick(&schema, 9, 1, &[&cells]));

    let mut message = Vec::new();
    let none = NO_SLOT.into();
    for (kind, arguments) in
        [(3, [4, 0, 0, 0]), (16, [3, 4, -100_000, 2]), (16, [none, 0, i32::MAX, 255]), (17, [0; 4])]
    {
        Event { kind, arguments }.encode(&schema, &mut message);
    }
    let entry = |id, player, color, name| RosterEntry { id, generation: 1, player, color, name };
    let entries = [entry(3, 7, 0xa1_b2_c3, "Ann é"), entry(65_534, u32::MAX, 5, "")];
    encode_roster(entries.into_iter(), &mut message);
    script.comment("Events and a roster.");
    script.receive(&message);
    script.comment("A sum before its tick, which is right, and one in its tick, which is wrong.");
    let sum = script.replica.sum();
    let mut message = Vec::new();
    Check { tick: Tick(10), sum }.encode(&mut message);
    message.extend(tick(&schema, 10, 1, &[]));
    script.receive(&message);
    let mut message = tick(&schema, 11, 1, &[]);
    Check { tick: Tick(11), sum: sum ^ 1 }.encode(&mut message);
    script.receive(&message);
    script.comment("The client has no base until the keyframe, and asks again after 20 ticks.");
    for at in 12..34 {
        script.receive(&tick(&schema, at, 1, &[]));
    }
    script.receive(&tick(&schema, 34, 0, &[&full(&base)]));
    let page = include_str!("../../../docs/skirmish-v1.md");
    let example = page.split("```hex\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = example.expect("the page has an example").lines();
    let example: String = example
        .filter_map(|line| line.split("  ").next())
        .map(|bytes| format!(" {bytes}"))
        .collect();
    assert!(script.out.contains(&format!("\n<{example}\n")), "{example}");
    script.comment("Another base, a keyframe, a malformed message, and an empty keyframe.");
    script.receive(&tick(&schema, 36, 1, &[]));
    script.receive(&tick(&schema, 37, 0, &[&full(&base)]));
    script.receive(&[&tick(&schema, 38, 1, &[])[..], &[0xe0]].concat());
    script.receive(&tick(&schema, 39, 0, &[]));
    compare("messages", &script.out);
}

#[test]
fn random_worlds() {
    let fields = [Width::U8, Width::U16, Width::I32, Width::U32];
    let many = [Width::U8; 16];
    for (name, schema, bodies_max, ticks, seed) in [
        ("random-one-cell", one_cell(&fields), 300, 30, 1),
        ("random-cells", small_cells(&fields), 40, 60, 2),
        ("random-fields", small_cells(&many), 8, 40, 3),
    ] {
        let habits = Habits { bodies_max, turns: 0.1, changes: 0.03 };
        let mut world = World::new(schema.clone(), Tick(u32::MAX - 9), habits, seed);
        let mut client = Client::new(&world);
        let comment = "A random world. Written by tests/it/v1/vectors.rs.";
        let mut script = Script::new(comment, schema, false);
        for _ in 0..ticks {
            for _ in 0..[1, 1, 2, 7][world.rng.random_range(0..4)] {
                world.run_tick();
            }
            let view = view(&mut world);
            script.receive(&client.message(&mut world, &view));
        }
        compare(name, &script.out);
    }
}

#[test]
fn messages_of_a_client() {
    let mut out = String::from(
        "# Messages of a client. Written by tests/it/v1/vectors.rs; the browser tests encode the\n\
         # same ones. An input is its direction, presses, seq, ack, view age and hold.\n",
    );
    let mut put = |text: &str, message: &ClientMessage| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(ClientMessage::decode(&bytes).as_ref(), Ok(message), "{text}");
        writeln!(out, "{text}\n>{}", hex(&bytes)).expect("memory");
    };
    for (direction, presses, seq, ack, view_age, hold) in [
        (Course::None, 0, 0, 0, 0, 0),
        (Course::Up, 1, 1, 0x1234, 8, 3),
        (Course::Down, 15, 0x1234, u16::MAX, 20, 12),
        (Course::Left, 30, u16::MAX - 1, 2, 254, 254),
        (Course::Right, 31, u16::MAX, u16::MAX - 1, 255, 255),
    ] {
        let input = Input { direction, presses, seq, ack, view_age, hold };
        let number = direction as u8;
        let text = format!("input {number} {presses} {seq} {ack} {view_age} {hold}");
        put(&text, &ClientMessage::Input(input));
    }
    put("resync", &ClientMessage::Resync);
    for bodies in [vec![], vec![(3, 1)], (0..64).map(|at| (at * 1000, at as u8 * 4)).collect()] {
        let mut bytes = Vec::new();
        encode_who(bodies.iter().copied(), &mut bytes);
        let text = bodies.iter().map(|(id, generation)| format!(" {id}.{generation}"));
        let text = format!("who{}", text.collect::<String>());
        put(&text, &ClientMessage::decode(&bytes).expect("it was encoded"));
    }
    for hz in [1, 20] {
        put(&format!("rate {hz}"), &ClientMessage::Rate(hz));
    }
    for values in [&[][..], &[-1], &[i32::MIN, i32::MAX, 0, 0x0102_0304]] {
        let mut arguments = [0; 4];
        arguments[..values.len()].copy_from_slice(values);
        let command = Command { number: 200, count: values.len() as u8, arguments };
        let text = values.iter().map(|value| format!(" {value}")).collect::<String>();
        put(&format!("command 200{text}"), &ClientMessage::Command(command));
    }
    compare("client", &out);
}

#[test]
fn malformed_messages_of_a_client_are_refused() {
    for bytes in [
        &[][..],
        &[0x0f],
        &[0x10, 0, 0, 0, 0, 0, 0],
        &[0x10, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x10, 5, 0, 0, 0, 0, 0, 0],
        &[0x11, 0],
        &[0x12, 1, 0, 0],
        &[0x12, 0, 0],
        &[&[0x12, 65], &[0; 195][..]].concat(),
        &[0x13, 0],
        &[0x13, 21],
        &[0x14],
        &[0x14, 0, 1],
        &[0x14, 0, 1, 2, 3, 4, 5],
        &[&[0x14, 0], &[0; 20][..]].concat(),
    ] {
        assert!(ClientMessage::decode(bytes).is_err(), "{bytes:02x?}");
    }
}
