//! What a server is made from.

use rand::SeedableRng;
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};

use super::access::Access;
use super::admission::{Admission, Trust};
use super::bans::Bans;
use super::conn::Conns;
use super::endings::Endings;
use super::fault::FaultHook;
use super::held::Memory;
use super::ids::PlayerNumbers;
use super::log::Warnings;
use super::overload::Overload;
use super::policy::Policy;
use super::room_list::RoomList;
use super::rooms::Rooms;
use super::session::Sessions;
use super::socketio::poll_gzip::PollGzip;
use super::socketio::session::EioSessions;
use super::state::State;
use super::tokens::Tokens;
use crate::bucket::Bucket;
use crate::config::Serve;
use crate::game::Games;
use crate::http::Assets;
use crate::limits::{DELIVERIES_A_TICK, EVICTIONS, MERGES_A_TICK};
use crate::metrics::Metrics;
use crate::time::{Millis, Tick};
use crate::wire::Encoder;
use crate::ws::deflate::Inflater;

/// The arguments of [`Server::new`](super::Server::new).
#[derive(Debug)]
pub struct Setup {
    /// The flags.
    pub settings: Serve,
    /// The games that can be played.
    pub games: Games,
    /// The pages.
    pub assets: Assets,
    /// The ports of the public listeners.
    pub ports: Vec<u16>,
    /// The maximum number of connections.
    pub connections_max: usize,
    /// The maximum of the bytes that are held for clients; `None` for no limit.
    pub memory_max: Option<usize>,
    /// The seed of everything random that players may see.
    pub seed: u64,
    /// The seed of secrets: the ids of Engine.IO sessions, and resume tokens.
    pub secret: [u8; 32],
    /// The token of the operator's requests.
    pub admin_token: Option<String>,
    /// Called where a test may make the server panic; `None` in a real server.
    pub fault_hook: FaultHook,
}

impl Setup {
    /// The state of a server without rooms, and its pages.
    pub(super) fn into_state(self) -> (State, Assets) {
        let settings = self.settings;
        let policy = Policy::of(&settings);
        let trust = Trust {
            hosts: settings.host.clone(),
            origins: settings.allow_origin.clone(),
            proxies: settings.trusted_proxy.clone(),
            ports: self.ports,
            has_tls: settings.cert.is_some(),
        };
        let mut token_rng = ChaCha20Rng::from_seed(self.secret);
        token_rng.set_stream(1);
        let admission = Admission::new(trust, settings.limit_loopback);
        let state = State {
            conns: Conns::default(),
            eio_sessions: EioSessions::new(ChaCha20Rng::from_seed(self.secret)),
            sessions: Sessions::default(),
            rooms: Rooms::default(),
            admission,
            bans: Bans::default(),
            access: Access::new(self.admin_token.as_deref()),
            memory: Memory::new(self.memory_max),
            endings: Endings::default(),
            metrics: Metrics::default(),
            traffic: Default::default(),
            status: None,
            policy,
            games: self.games,
            settings,
            connections_max: self.connections_max,
            tokens: Tokens::new(token_rng),
            player_numbers: PlayerNumbers { next: 1 },
            room_list: RoomList::default(),
            rng: ChaCha8Rng::seed_from_u64(self.seed),
            tick: Tick::default(),
            served_until: Millis::default(),
            warnings: Warnings::default(),
            drain: None,
            encoder: Encoder::default(),
            own_message: None,
            out_of_credit: Vec::with_capacity(DELIVERIES_A_TICK),
            poll_gzip: PollGzip::default(),
            merges_left: MERGES_A_TICK,
            first_room_slot: 0,
            overload: Overload::default(),
            inflater: Inflater::default(),
            evictions: Bucket::full(EVICTIONS, Millis::default()),
            session_evictions: Bucket::full(EVICTIONS, Millis::default()),
            fault_hook: self.fault_hook,
        };
        (state, self.assets)
    }
}
