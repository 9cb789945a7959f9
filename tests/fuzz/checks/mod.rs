//! What must be true of every decoder, whatever the bytes: one function for each fuzz target.
//! `cargo test` calls them with the corpus and with mutations of it, the targets of `tests/fuzz`
//! with what libFuzzer finds.
//!
//! The code must not panic, must make progress, must stay within its limits, must not depend on how
//! the bytes are split, and must agree with another implementation where there is one.

pub mod deflate;
pub mod engineio_payload;
pub mod http_head;
pub mod json_input;
pub mod nats_operations;
pub mod proxy_header;
pub mod session;
pub mod socketio_packet;
pub mod state_file;
pub mod v1_input;
pub mod v1_replica;
pub mod websocket_frames;

/// Where to split `bytes`: nowhere, after each byte, and twice by the bytes themselves.
fn splits(bytes: &[u8]) -> Vec<Vec<usize>> {
    let length = bytes.len();
    let by_bytes = |step: usize| {
        let mut at = 0;
        let next = bytes.iter().step_by(step).map(move |byte| {
            at += usize::from(*byte % 61);
            at
        });
        next.take_while(|at| *at < length).collect()
    };
    vec![Vec::new(), (1..length).collect(), by_bytes(1), by_bytes(7)]
}
