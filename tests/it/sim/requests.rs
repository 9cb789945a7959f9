//! Requests of Socket.IO clients, as bytes.

use super::fixture::handshake;

/// An Engine.IO handshake over polling, with more query parameters.
pub fn opening(query: &str) -> Vec<u8> {
    format!("GET /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: play.example\r\n\r\n")
        .into_bytes()
}

/// A poll.
pub fn polling(sid: &str) -> Vec<u8> {
    opening(&format!("&sid={sid}"))
}

/// A post of a payload.
pub fn posting(sid: &str, payload: &str) -> Vec<u8> {
    let length = payload.len();
    format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: play.example\r\n\
         Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n{payload}"
    )
    .into_bytes()
}

/// A WebSocket handshake: for the session with that id, or for a new one if it is empty.
pub fn upgrading(sid: &str) -> Vec<u8> {
    match sid {
        "" => handshake("/socket.io/?EIO=4&transport=websocket"),
        sid => handshake(&format!("/socket.io/?EIO=4&transport=websocket&sid={sid}")),
    }
}
