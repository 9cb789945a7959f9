//! Benchmarks of masks, frames, messages and states, with their allocations.
//!
//! `cargo bench --bench codec`

use std::hint::black_box;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use skirmish::codec::json::{self, ClientMessage, Direction};
use skirmish::game::{Command, DOTS, PlayerId, World};
use skirmish::http::Request;
use skirmish::limits::MOVE_CREDIT_MAX;
use skirmish::wire::{self, Message};
use skirmish::ws::deflate::Deflater;
use skirmish::ws::{Assembler, FrameRules, Mask, frame};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const RULES: FrameRules = FrameRules {
    mask: Mask::Required,
    takes_compressed: false,
    message_bytes_max: 1 << 24,
    fragments_max: 16,
};

fn main() {
    divan::main();
}

#[divan::bench(args = [32, 1_024, 65_536])]
fn unmask(bencher: Bencher, bytes: usize) {
    let mut payload = vec![7u8; bytes];
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        frame::apply_mask(black_box(&mut payload), [1, 2, 3, 4], 1);
    });
}

/// Decodes a complete masked text frame: header, mask, UTF-8.
#[divan::bench(args = [32, 1_024, 65_536])]
fn decode_frame(bencher: Bencher, bytes: usize) {
    let mut masked = Vec::new();
    frame::encode_masked(frame::TEXT, &vec![b'x'; bytes], [1, 2, 3, 4], &mut masked);
    let mut assembler = Assembler::default();
    bencher.counter(BytesCount::new(masked.len())).bench_local(|| {
        let mut input = [0u8; 65_550];
        let input = &mut input[..masked.len()];
        input.copy_from_slice(&masked);
        assembler.next(black_box(input), &RULES).expect("it is right").0
    });
}

/// Encodes a server frame behind its payload.
#[divan::bench(args = [32, 1_024, 65_536])]
fn encode_frame(bencher: Bencher, bytes: usize) {
    let mut buffer = frame::HEADROOM.to_vec();
    buffer.resize(frame::HEADROOM.len() + bytes, b'x');
    bencher.bench_local(|| {
        black_box(frame::encode_in_place(frame::TEXT, black_box(&mut buffer)).len())
    });
}

#[divan::bench]
fn decode_move(bencher: Bencher) {
    let mut text = Vec::new();
    ClientMessage::Move(Direction::Right).encode(&mut text);
    bencher.bench_local(|| wire::json::decode(&Message::Payload(black_box(&text)), &DOTS));
}

#[divan::bench]
fn decode_ping(bencher: Bencher) {
    bencher.bench_local(|| ClientMessage::decode(black_box(br#"{"type":"ping","t":123456.789}"#)));
}

/// Encodes the full state of a room as a text frame.
#[divan::bench(args = [10, 100, 1_000, 5_000])]
fn encode_state(bencher: Bencher, players: u32) {
    let mut world = World::new(&DOTS, 1, MOVE_CREDIT_MAX);
    (1..=players).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
    let mut scratch = Vec::new();
    bencher.bench_local(|| wire::json::state(black_box(&world).snapshot(), &mut scratch));
}

/// Decodes a full state, as a client does.
#[divan::bench(args = [10, 1_000])]
fn decode_state(bencher: Bencher, players: u32) {
    let mut world = World::new(&DOTS, 1, MOVE_CREDIT_MAX);
    (1..=players).for_each(|number| world.join(PlayerId(number), None, &mut Vec::new()));
    let frame = wire::json::state(world.snapshot(), &mut Vec::new());
    let (header_bytes, _) = frame::parse(frame.bytes(), Mask::Forbidden, false)
        .expect("it is right")
        .expect("it is whole");
    let text = &frame.bytes()[header_bytes..];
    bencher.counter(BytesCount::new(text.len())).bench_local(|| {
        let message: json::ServerMessage =
            serde_json::from_slice(black_box(text)).expect("it is a message");
        matches!(message, json::ServerMessage::StateUpdate { .. })
    });
}

/// The state of a room before and after a tick in which a tenth of the players move.
fn two_states(players: u32) -> [Vec<u8>; 2] {
    let mut world = World::new(&DOTS, 1, MOVE_CREDIT_MAX);
    let mut facts = Vec::new();
    (1..=players).for_each(|number| world.join(PlayerId(number), None, &mut facts));
    let state = |world: &World| {
        let state = wire::json::state(world.snapshot(), &mut Vec::new());
        frame::payloads(state.bytes()).flat_map(|(_, text)| text.to_vec()).collect::<Vec<u8>>()
    };
    let before = state(&world);
    for number in (1..=players).step_by(10) {
        let step = Command::Step(skirmish::game::Direction::Left);
        world.apply(PlayerId(number), step, &mut facts).expect("a player may move");
    }
    world.tick(&mut facts);
    [before, state(&world)]
}

/// Compresses a state with the one before as its history. The estimate of the server is 8 us and
/// 10 us for each KiB.
#[divan::bench(args = [10, 100, 500])]
fn compress_with_history(bencher: Bencher, players: u32) {
    let ([before, after], mut deflater) = (two_states(players), Deflater::default());
    let (level, mut out) = (if after.len() < 1_024 { 1 } else { 6 }, Vec::new());
    bencher.counter(BytesCount::new(after.len())).bench_local(|| {
        out.clear();
        deflater.frames([(frame::TEXT, black_box(&after[..]))], &before, level, &mut out);
        out.len()
    });
}

/// Compresses a state alone. The estimate is 8 us and 20 us for each KiB.
#[divan::bench(args = [10, 100, 500])]
fn compress_alone(bencher: Bencher, players: u32) {
    let ([_, after], mut deflater) = (two_states(players), Deflater::default());
    let mut out = Vec::new();
    bencher.counter(BytesCount::new(after.len())).bench_local(|| {
        out.clear();
        deflater.frames([(frame::TEXT, black_box(&after[..]))], &[], 6, &mut out);
        out.len()
    });
}

/// Parses a browser's handshake request.
#[divan::bench]
fn parse_request(bencher: Bencher) {
    let head = b"GET /ws?room=dots&name=Ann HTTP/1.1\r\nHost: play.example:8765\r\n\
        Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
        Upgrade: websocket\r\nOrigin: http://play.example:8765\r\nSec-WebSocket-Version: 13\r\n\
        Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    bencher.bench_local(|| Request::parse(black_box(head)).expect("it is right").is_http_11);
}
