//! Two thousand clients that join and then read nothing: what the server holds for them (row T42).

use allocation_counter::measure;
use skirmish::close::CloseReason;
use skirmish::limits::{LINGER_MS, STALL_MS};
use skirmish::metrics::Refusal;
use skirmish::server::ConnId;
use skirmish::time::TICK_MS;

use super::fixture::{Fixture, handshake, masked, text, with_fields};
use super::requests::upgrading;
use super::scripted_client::gauge;
use super::v1_client::OFFER;

const PONG: u8 = 0x8a;

const READERS: usize = 2_000;
const ROOMS: usize = 20;
/// What the kernel may hold for one of them, as a trial measures.
const READER_BYTES: usize = 16 * 1024;
/// What the server may hold besides a state of the room.
const BESIDES_A_STATE: usize = 8 * 1024;

/// Joins a room from an address of its own, over one of the dialects.
fn join(fixture: &mut Fixture, number: usize) -> ConnId {
    let id = fixture.open(&format!("10.0.{}.{}", number / 250, number % 250));
    let room = number % ROOMS;
    match number / ROOMS % 3 {
        0 => _ = fixture.send(id, &handshake(&format!("/?room=r{room}"))),
        1 => {
            let request = handshake(&format!("/?room=r{room}"));
            fixture.send(id, &with_fields(request, OFFER));
        }
        _ => {
            fixture.send(id, &upgrading(""));
            fixture.send(id, &text(&format!(r#"40{{"room":"r{room}"}}"#)));
        }
    }
    assert!(fixture.take(id).starts_with(b"HTTP/1.1 101 "));
    id
}

// T42
#[test]
fn two_thousand_clients_that_do_not_read_hold_a_state_and_little_besides() {
    let mut fixture = Fixture::with_small_pages(&[]);
    // One player of each room reads and plays. Its states are those of the room.
    let players: Vec<ConnId> = (0..ROOMS).map(|room| join(&mut fixture, room)).collect();
    let mut readers = Vec::new();
    for number in 0..READERS {
        // All addresses together may join 250 times a second.
        if number % 10 == 0 {
            fixture.tick();
            for id in players.iter().chain(&readers) {
                fixture.take(*id);
            }
        }
        // A client that does not answer pings ends sooner.
        if number % 500 == 0 {
            readers.iter().for_each(|id| _ = fixture.send(*id, &masked(PONG, b"")));
        }
        readers.push(join(&mut fixture, ROOMS + number));
    }
    fixture.tick();
    players.iter().chain(&readers).for_each(|id| drop(fixture.take(*id)));
    let before = gauge(&mut fixture, "held_bytes") as usize;
    // From here on they read nothing. Returns the most bytes that wait for one of them.
    let stall = |fixture: &mut Fixture, ticks: u64| {
        let mut most = 0;
        for tick in 0..ticks {
            fixture.tick();
            let mut states = [0; ROOMS];
            for (room, id) in players.iter().enumerate() {
                fixture.send(*id, &text(r#"{"type":"move","direction":"UP"}"#));
                states[room] = fixture.take(*id).len();
            }
            if tick % 10 > 0 {
                continue;
            }
            for (number, id) in readers.iter().enumerate() {
                fixture.send(*id, &masked(PONG, b""));
                let (waiting, state) = (fixture.waiting_bytes(*id), states[number % ROOMS]);
                let bound = state + BESIDES_A_STATE;
                assert!(waiting <= bound, "{waiting} bytes wait for reader {number}, over {bound}");
                most = most.max(waiting);
            }
        }
        most
    };
    let mut most = 0;
    let stalled = measure(|| most = stall(&mut fixture, STALL_MS / TICK_MS - 1));
    let grown = stalled.bytes_max;
    fixture.server.take_ended(&mut Vec::new());
    assert_eq!(fixture.server.metrics().closes(CloseReason::Slow), 0, "not before 10 s");
    assert!(most > 1_000, "only {most} bytes wait for one");
    let held = (gauge(&mut fixture, "held_bytes") as usize).saturating_sub(before);
    assert!(held <= READERS * READER_BYTES, "{held} bytes more are held");
    assert!(grown <= (READERS * READER_BYTES) as u64, "{grown} bytes more are allocated");
    fixture.server.check_accounts().expect("the account is right");
    stall(&mut fixture, LINGER_MS / TICK_MS + 20);
    fixture.server.take_ended(&mut Vec::new());
    assert_eq!(fixture.server.metrics().closes(CloseReason::Slow), READERS as u64);
    assert_eq!(gauge(&mut fixture, "players"), ROOMS as u64);
    assert_eq!(fixture.server.metrics().refusals(Refusal::Memory), 0);
}
