//! permessage-deflate on `--echo`, as the Autobahn testsuite does in its sections 12 (90 cases: five
//! data sets with the default offer) and 13 (126 cases: seven offers), each with 18 combinations of
//! message and fragment sizes. The suite sends 1,000 messages a case and these tests [`MESSAGES`],
//! from generated data of the same kinds. The client refuses references beyond the agreed window.

use flate2::{Compress, Compression, FlushCompress};
use skirmish::ws::deflate::Inflater;

use crate::deflate::offer;
use crate::harness::{Peer, TestServer, masked};

/// Messages of one case.
const MESSAGES: usize = 2;
/// The bytes of a message, and of the fragments of its compressed form; 0 for one frame.
const SIZES: [(usize, usize); 18] = [
    (16, 0),
    (64, 0),
    (256, 0),
    (1_024, 0),
    (4_096, 0),
    (8_192, 0),
    (16_384, 0),
    (32_768, 0),
    (65_536, 0),
    (131_072, 0),
    (8_192, 256),
    (16_384, 256),
    (32_768, 256),
    (65_536, 256),
    (131_072, 256),
    (131_072, 1_024),
    (131_072, 4_096),
    (131_072, 32_768),
];
/// What every offer of the suite contains.
const OFFER: &str = "permessage-deflate; client_no_context_takeover; client_max_window_bits";
/// The bytes that end each compressed message and are not sent (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Data from which messages are cut.
struct DataSet {
    bytes: Vec<u8>,
    is_text: bool,
}

impl DataSet {
    fn text(pieces: impl Iterator<Item = String>) -> DataSet {
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend_from_slice(piece.as_bytes());
            if bytes.len() > 200_000 {
                break;
            }
        }
        DataSet { bytes, is_text: true }
    }

    fn json() -> DataSet {
        DataSet::text((0_u32..).map(|number| {
            let random = random(number);
            format!(
                "{{\"id\":{number},\"user\":\"name{}\",\"score\":{},\"text\":\"K\u{f6}ln\"}},",
                random % 977,
                random >> 12
            )
        }))
    }

    fn html() -> DataSet {
        DataSet::text((0_u32..).map(|number| {
            let (class, link) = (random(number) % 7, random(number + 1) % 10_007);
            format!(
                "<li class=\"item-{class}\"><a href=\"/page/{link}.html\">\u{2022} {link}</a>\n"
            )
        }))
    }

    /// A picture of 512 x 512 pixels of 8 bits.
    fn bitmap() -> DataSet {
        let pixel = |at: u32| ((at / 512) / 3 + (at % 512) / 5 + (random(at) >> 30)) as u8;
        DataSet { bytes: (0..512 * 512).map(pixel).collect(), is_text: false }
    }

    /// Human-readable text, which the suite sends as binary data.
    fn prose() -> DataSet {
        let words = ["Habe", "nun", "ach", "Philosophie", "Juristerei", "und", "Medizin", "\n"];
        let word = |number| format!("{} ", words[(random(number) >> 29) as usize]);
        DataSet { is_text: false, ..DataSet::text((0_u32..).map(word)) }
    }

    /// Compressed streams between short texts, as in a PDF.
    fn document() -> DataSet {
        let byte = |at: u32| match at % 4_096 {
            0..300 => b"<< /Type /Page /Parent 1 0 R >> stream\n"[at as usize % 39],
            _ => (random(at) >> 24) as u8,
        };
        DataSet { bytes: (0..1_042_328).map(byte).collect(), is_text: false }
    }

    /// A message of at most `size` bytes; text is cut between characters.
    fn message(&self, size: usize, number: usize) -> &[u8] {
        let is_start = |at: &usize| !self.is_text || self.bytes[*at] & 0xc0 != 0x80;
        let start = number * 7_919 % (self.bytes.len() - size);
        let start = (start..).find(is_start).expect("a character begins");
        let end = (0..start + size).rev().find(is_start).expect("a character begins");
        &self.bytes[start..end]
    }
}

fn random(number: u32) -> u32 {
    let mixed = number.wrapping_add(1).wrapping_mul(2_654_435_761);
    (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519)
}

/// A message compressed without history.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::default(), false);
    let mut payload = Vec::with_capacity(message.len() * 2 + 1_024);
    compress.compress_vec(message, &mut payload, FlushCompress::Sync).expect("memory");
    assert_eq!(compress.total_in(), message.len() as u64);
    assert!(payload.ends_with(&TAIL));
    payload.truncate(payload.len() - TAIL.len());
    payload
}

/// The inflater of a client that refuses what its window does not reach, which zlib-rs does not do.
struct Client {
    inflater: Inflater,
    bits: u8,
}

impl Client {
    fn new(bits: u8, keeps_history: bool) -> Client {
        let inflater =
            if keeps_history { Inflater::keeping_history() } else { Inflater::default() };
        Client { inflater, bits }
    }

    fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let distance = distance_max(&[payload, &TAIL].concat());
        assert!(distance <= 1 << self.bits, "a distance of {distance}");
        self.inflater.message(payload, 1 << 20).expect("valid data")
    }
}

/// Reads deflate data bit by bit (RFC 1951).
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> usize {
        let mut value = 0;
        for bit in 0..count {
            value |= usize::from(self.bytes[self.at / 8] >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        value
    }

    /// The next symbol of a code.
    fn symbol(&mut self, code: &Code) -> usize {
        let (mut value, mut first, mut index) = (0, 0, 0);
        for count in &code.counts[1..] {
            value |= self.take(1);
            if value < first + count {
                return code.symbols[index + value - first];
            }
            index += count;
            first = (first + count) << 1;
            value <<= 1;
        }
        panic!("an invalid code");
    }
}

/// A Huffman code: the number of symbols of each length, and the symbols in order.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn of(lengths: &[usize]) -> Code {
        let with_length = |length| (0..lengths.len()).filter(move |at| lengths[*at] == length);
        let mut counts = [0; 16];
        lengths.iter().filter(|length| **length > 0).for_each(|length| counts[*length] += 1);
        Code { counts, symbols: (1..16).flat_map(with_length).collect() }
    }
}

/// The codes of a block with dynamic ones (RFC 1951, section 3.2.7).
fn read_codes(bits: &mut Bits) -> (Code, Code) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances) = (bits.take(5) + 257, bits.take(5) + 1);
    let mut of_lengths = [0; 19];
    for at in ORDER.iter().take(bits.take(4) + 4) {
        of_lengths[*at] = bits.take(3);
    }
    let of_lengths = Code::of(&of_lengths);
    let mut lengths: Vec<usize> = Vec::new();
    while lengths.len() < literals + distances {
        let (length, count) = match bits.symbol(&of_lengths) {
            16 => (lengths[lengths.len() - 1], 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            18 => (0, 11 + bits.take(7)),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(length, count));
    }
    (Code::of(&lengths[..literals]), Code::of(&lengths[literals..]))
}

/// The largest distance back in deflate data of whole blocks, none of which is the final one.
fn distance_max(bytes: &[u8]) -> usize {
    let mut bits = Bits { bytes, at: 0 };
    let mut distance_max = 0;
    while bits.at < bytes.len() * 8 {
        assert_eq!(bits.take(1), 0, "a message must not end the stream");
        let (literals, distances) = match bits.take(2) {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                bits.at += 32 + 8 * bits.take(16) - 16;
                continue;
            }
            1 => {
                let length = |at| match at {
                    144..256 => 9,
                    256..280 => 7,
                    _ => 8,
                };
                (Code::of(&(0..288).map(length).collect::<Vec<_>>()), Code::of(&[5; 30]))
            }
            _ => read_codes(&mut bits),
        };
        loop {
            let extra_bits = match bits.symbol(&literals) {
                0..256 => continue,
                256 => break,
                symbol @ 265..285 => (symbol - 261) as u32 / 4,
                _ => 0,
            };
            bits.take(extra_bits);
            let distance = match bits.symbol(&distances) {
                symbol @ 0..4 => 1 + symbol,
                symbol => {
                    let extra_bits = (symbol / 2 - 1) as u32;
                    1 + ((2 + symbol % 2) << extra_bits) + bits.take(extra_bits)
                }
            };
            distance_max = distance_max.max(distance);
        }
    }
    distance_max
}

/// Sends a compressed message in fragments of `fragment` bytes.
fn send(peer: &mut Peer, opcode: u8, payload: &[u8], fragment: usize) {
    let parts = payload.chunks(if fragment == 0 { payload.len() } else { fragment });
    let last = parts.len() - 1;
    let mut frames = Vec::new();
    for (number, part) in parts.enumerate() {
        // RSV1 is set in the first frame only (RFC 7692, section 6).
        let first = if number == 0 { opcode | 0x40 } else { 0 };
        frames.extend(masked(if number == last { first | 0x80 } else { first }, part));
    }
    peer.send(&frames);
}

/// The 18 cases of a data set over one connection.
fn echo_all(peer: &mut Peer, data: &DataSet, client: &mut Client) {
    let opcode = if data.is_text { 1 } else { 2 };
    for (number, (size, fragment)) in SIZES.into_iter().enumerate() {
        for turn in 0..MESSAGES {
            let message = data.message(size, number + 31 * turn);
            send(peer, opcode, &compressed(message), fragment);
            let frame = peer.frame();
            assert_eq!(frame.first, opcode | 0xc0, "{size} bytes");
            assert!(client.message(&frame.payload) == message, "{size} bytes came back");
        }
    }
}

#[test]
fn five_data_sets_with_the_default_offer() {
    // Section 12.
    let server = TestServer::start(&["--echo"]);
    let addr = server.addr;
    std::thread::scope(|scope| {
        for make in
            [DataSet::json, DataSet::bitmap, DataSet::prose, DataSet::html, DataSet::document]
        {
            scope.spawn(move || {
                let (mut peer, answer) = offer(addr, "/", OFFER);
                let agreed = answer.field("sec-websocket-extensions");
                assert_eq!(agreed, Some("permessage-deflate; client_no_context_takeover"));
                echo_all(&mut peer, &make(), &mut Client::new(15, true));
            });
        }
    });
}

#[test]
fn seven_offers() {
    // Section 13: what is added to the offer, and what the server then keeps to.
    let fallbacks = format!(
        "{OFFER}; server_no_context_takeover; server_max_window_bits=9, \
         {OFFER}; server_no_context_takeover, {OFFER}"
    );
    let with = |added: &str| format!("{OFFER}{added}");
    let cases = [
        (with(""), "", 15, true),
        (with("; server_no_context_takeover"), "; server_no_context_takeover", 15, false),
        (with("; server_max_window_bits=9"), "; server_max_window_bits=9", 9, true),
        (with("; server_max_window_bits=15"), "; server_max_window_bits=15", 15, true),
        (
            with("; server_no_context_takeover; server_max_window_bits=9"),
            "; server_no_context_takeover; server_max_window_bits=9",
            9,
            false,
        ),
        (
            with("; server_no_context_takeover; server_max_window_bits=15"),
            "; server_no_context_takeover; server_max_window_bits=15",
            15,
            false,
        ),
        (fallbacks, "; server_no_context_takeover; server_max_window_bits=9", 9, false),
    ];
    let server = TestServer::start(&["--echo"]);
    let (addr, data) = (server.addr, &DataSet::json());
    std::thread::scope(|scope| {
        for (offered, added, bits, keeps_history) in &cases {
            scope.spawn(move || {
                let (mut peer, answer) = offer(addr, "/", offered);
                let agreed = format!("permessage-deflate; client_no_context_takeover{added}");
                assert_eq!(answer.field("sec-websocket-extensions"), Some(&*agreed), "{offered}");
                echo_all(&mut peer, data, &mut Client::new(*bits, *keeps_history));
            });
        }
    });
}

#[test]
fn distances_are_measured() {
    // So that the cases with a small window can fail.
    for distance in [300, 600, 20_000, 32_000] {
        let noise: Vec<u8> = (0..distance).map(|at| (random(at) >> 24) as u8).collect();
        let payload = compressed(&[&noise[..], &noise[..200]].concat());
        assert_eq!(distance_max(&[&payload, &TAIL[..]].concat()), distance as usize);
    }
}
