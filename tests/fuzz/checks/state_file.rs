//! The file of `--state`.

use sha2::{Digest as _, Sha256};

use crate::sim::fixture::Fixture;

/// A damaged file is refused and changes nothing, also if its checksum is right. One that is
/// accepted gives a server that goes on, and writes what it has read.
pub fn check(bytes: &[u8]) {
    restore(bytes);
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let body = &bytes[end + 1..];
    let sum: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    restore(&[format!("skirmish-state 1 {sum}\n").as_bytes(), body].concat());
}

fn restore(file: &[u8]) {
    let mut fixture = Fixture::with_small_pages(&[]);
    let empty = fixture.server.save();
    if fixture.server.restore(file, fixture.now).is_err() {
        assert_eq!(fixture.server.save(), empty, "it was loaded in part");
        return;
    }
    let saved = fixture.server.save();
    let mut next = Fixture::with_small_pages(&[]);
    next.server.restore(&saved, next.now).expect("it was written by a server");
    assert_eq!(next.server.save().escape_ascii().to_string(), saved.escape_ascii().to_string());
    for _ in 0..3 {
        fixture.tick();
    }
    fixture.server.check_accounts().expect("all is counted");
}
