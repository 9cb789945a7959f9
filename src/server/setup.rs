//! What a server is made from.

use super::fault::FaultHook;
use crate::config::Serve;
use crate::game::Games;
use crate::http::Assets;

/// The arguments of [`Server::new`](super::Server::new).
#[derive(Debug)]
pub struct Setup {
    /// The flags.
    pub settings: Serve,
    /// The games that can be played.
    pub games: Games,
    /// The pages.
    pub assets: Assets,
    /// The ports of the listeners.
    pub ports: Vec<u16>,
    /// The maximum number of connections.
    pub connections_max: usize,
    /// The maximum of the bytes that are held for clients; `None` for no limit.
    pub memory_max: Option<usize>,
    /// The seed of everything random that players may see.
    pub seed: u64,
    /// The seed of secrets: the ids of Engine.IO sessions.
    pub secret: [u8; 32],
    /// Called where a test may make the server panic; `None` in a real server.
    pub fault_hook: FaultHook,
}
