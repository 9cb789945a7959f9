//! Resume tokens, and the players whose clients were lost (docs/protocol.md, "Resume"). A token is
//! a secret with which a client gets its player back. It is replaced when it is presented, and only
//! its SHA-256 is kept. A client that may not have received the next one may present it again.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest as _, Sha256};

use super::ids::{RoomId, SessionId};
use crate::game::PlayerId;
use crate::time::{Millis, Tick};

/// Hexadecimal digits of a token: 160 bits.
const DIGITS: usize = 40;

/// What is kept of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// That of a token; `None` if the text cannot be one.
    #[must_use]
    pub fn of(text: &str) -> Option<TokenHash> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_token = text.len() == DIGITS && text.as_bytes().iter().all(is_digit);
        is_token.then(|| TokenHash(Sha256::digest(text).into()))
    }
}

impl TokenHash {
    /// In hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From hexadecimal; `None` if that is wrong.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<TokenHash> {
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(TokenHash(bytes))
    }
}

/// The events that a client of Socket.IO has received, so that it can recover: those of its room
/// without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// The tick after which they begin.
    pub since: Tick,
    /// The positions per second that the client has requested.
    pub hz: u8,
}

/// A player whose client was lost: it stands in its room until its client comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The player.
    pub player: PlayerId,
    /// Its room.
    pub room: RoomId,
    /// The address of its client, which keeps its seat.
    pub peer: IpAddr,
    /// When it joined; after a restart of the server, when that took it back.
    pub joined_at: Millis,
    /// When it leaves.
    pub until: Millis,
    /// With what its client can recover; `None` if it cannot.
    pub events: Option<Events>,
}

/// To whom a token belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A client that is in its room.
    Session(SessionId),
    /// A player whose client was lost.
    Absent(Absent),
}

/// All tokens.
#[derive(Debug)]
pub struct Tokens {
    rng: ChaCha20Rng,
    holders: HashMap<TokenHash, Holder>,
    /// From a token that was presented to the next one, and back, until the client is known to have
    /// that.
    next: HashMap<TokenHash, TokenHash>,
    presented: HashMap<TokenHash, TokenHash>,
    /// The absent players in the order in which they leave.
    leaves: BTreeSet<(Millis, TokenHash)>,
    /// Those of each room, in the same order.
    of_rooms: BTreeSet<(RoomId, Millis, TokenHash)>,
}

impl Tokens {
    /// No tokens. `rng` draws them and must be cryptographically secure.
    #[must_use]
    pub fn new(rng: ChaCha20Rng) -> Tokens {
        let (holders, next, presented) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (leaves, of_rooms) = (BTreeSet::new(), BTreeSet::new());
        Tokens { rng, holders, next, presented, leaves, of_rooms }
    }

    /// Draws the token of a session. Returns its text, and what is kept of it.
    pub fn draw(&mut self, session: SessionId) -> (String, TokenHash) {
        let parts: [u32; DIGITS / 8] = self.rng.random();
        let text: String = parts.iter().map(|part| format!("{part:08x}")).collect();
        let hash = TokenHash(Sha256::digest(&text).into());
        self.holders.insert(hash, Holder::Session(session));
        (text, hash)
    }

    /// To whom a token belongs, if it is valid.
    #[must_use]
    pub fn find(&self, token: TokenHash) -> Option<Holder> {
        self.holders.get(&self.newest(token)).copied()
    }

    fn newest(&self, token: TokenHash) -> TokenHash {
        self.next.get(&token).copied().unwrap_or(token)
    }

    /// A token that was presented stays valid beside the `next` one.
    pub fn keep_presented(&mut self, presented: TokenHash, next: TokenHash) {
        self.next.insert(presented, next);
        self.presented.insert(next, presented);
    }

    /// The client is known to have this token: the one that it has presented is invalid from here
    /// on.
    pub fn forget_presented(&mut self, next: TokenHash) {
        if let Some(presented) = self.presented.remove(&next) {
            self.next.remove(&presented);
        }
    }

    /// Whether there is a token, and it is valid.
    #[must_use]
    pub fn has(&self, token: Option<TokenHash>) -> bool {
        token.is_some_and(|token| self.find(token).is_some())
    }

    /// The client of a token was lost.
    pub fn lose(&mut self, token: TokenHash, absent: Absent) {
        debug_assert!(matches!(self.find(token), Some(Holder::Session(_))), "its client was there");
        self.add(token, absent);
    }

    /// A player has been waiting for its client since before this server was started.
    pub fn add(&mut self, token: TokenHash, absent: Absent) {
        self.holders.insert(token, Holder::Absent(absent));
        self.leaves.insert((absent.until, token));
        self.of_rooms.insert((absent.room, absent.until, token));
    }

    /// The player of a token waits no longer, if it did.
    fn end_absence(&mut self, token: TokenHash, holder: Option<Holder>) {
        if let Some(Holder::Absent(absent)) = holder {
            self.leaves.remove(&(absent.until, token));
            self.of_rooms.remove(&(absent.room, absent.until, token));
        }
    }

    /// A client has come back to its player with this token, and keeps it.
    pub fn hand_over(&mut self, token: TokenHash, session: SessionId) {
        self.forget_presented(token);
        let before = self.holders.insert(token, Holder::Session(session));
        self.end_absence(token, before);
    }

    /// Whether a token is valid, and its client has no newer one.
    #[must_use]
    pub fn is_newest(&self, token: TokenHash) -> bool {
        self.holders.contains_key(&token)
    }

    /// All tokens and their holders, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (TokenHash, Holder)> {
        self.holders.iter().map(|(token, holder)| (*token, *holder))
    }

    /// Makes a token invalid, and the one that was presented before it.
    pub fn remove(&mut self, token: TokenHash) {
        let token = self.newest(token);
        self.forget_presented(token);
        let before = self.holders.remove(&token);
        self.end_absence(token, before);
    }

    /// Takes an absent player that has to leave at `now`.
    pub fn take_due(&mut self, now: Millis) -> Option<Absent> {
        let (until, token) = self.leaves.first().copied()?;
        let Some(Holder::Absent(absent)) = self.find(token).filter(|_| until <= now) else {
            return None;
        };
        self.remove(token);
        Some(absent)
    }

    /// An absent player of a room for whose address this holds, and its token.
    #[must_use]
    pub fn find_of(
        &self,
        room: RoomId,
        is_right: impl Fn(IpAddr) -> bool,
    ) -> Option<(TokenHash, Absent)> {
        self.absent_of(room).find(|(_, absent)| is_right(absent.peer))
    }

    /// The absent players of a room, in the order in which they leave, and their tokens.
    fn absent_of(&self, room: RoomId) -> impl Iterator<Item = (TokenHash, Absent)> {
        let first = (room, Millis(0), TokenHash([0; 32]));
        let of_room = self.of_rooms.range(first..).take_while(move |(it, ..)| *it == room);
        of_room.filter_map(|(.., token)| match self.find(*token) {
            Some(Holder::Absent(absent)) => Some((*token, absent)),
            _ => None,
        })
    }

    /// Takes all absent players of a room.
    pub fn remove_room(&mut self, room: RoomId) -> Vec<Absent> {
        let removed: Vec<(TokenHash, Absent)> = self.absent_of(room).collect();
        removed.iter().for_each(|(token, _)| self.remove(*token));
        removed.into_iter().map(|(_, absent)| absent).collect()
    }

    /// The number of absent players.
    #[must_use]
    pub fn absent(&self) -> usize {
        self.leaves.len()
    }

    /// The number of valid tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.holders.len() + self.next.len()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const ROOM: RoomId = RoomId { slot: 0, serial: 1 };

    fn session(serial: u32) -> SessionId {
        SessionId { slot: 0, serial }
    }

    fn absent(player: u32, until: u64) -> Absent {
        let peer = std::net::Ipv4Addr::new(198, 51, 100, player as u8).into();
        let (joined_at, until) = (Millis(0), Millis(until));
        Absent { player: PlayerId(player), room: ROOM, peer, joined_at, until, events: None }
    }

    fn tokens() -> Tokens {
        Tokens::new(ChaCha20Rng::from_seed([7; 32]))
    }

    #[test]
    fn only_the_text_that_was_drawn_is_found() {
        let mut tokens = tokens();
        let (text, hash) = tokens.draw(session(1));
        assert_eq!(TokenHash::of(&text), Some(hash));
        assert_eq!(tokens.find(hash), Some(Holder::Session(session(1))));
        let (other, _) = tokens.draw(session(2));
        assert_ne!(text, other);
        assert_eq!(TokenHash::from_hex(&hash.hex()), Some(hash));
        for wrong in ["", "0", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(TokenHash::from_hex(wrong), None, "{wrong:?}");
        }
        for wrong in ["", "1", &text[1..], &format!("{text}0"), &text.to_uppercase(), "é"] {
            assert_eq!(TokenHash::of(wrong), None, "{wrong:?}");
        }
        let unknown = TokenHash::of(&"0".repeat(DIGITS)).expect("it could be one");
        assert_eq!(tokens.find(unknown), None);
    }

    // T37
    #[test]
    fn a_hundred_thousand_tokens_are_distinct() {
        let mut tokens = tokens();
        for serial in 0..100_000 {
            let (text, hash) = tokens.draw(session(serial));
            assert_eq!(TokenHash::of(&text), Some(hash));
        }
        assert_eq!(tokens.len(), 100_000);
    }

    #[test]
    fn absent_players_leave_in_time_unless_they_come_back() {
        let mut tokens = tokens();
        let hashes = [1, 2, 3].map(|serial| tokens.draw(session(serial)).1);
        for (hash, player) in hashes.iter().zip(1..) {
            tokens.lose(*hash, absent(player, 1_000 * u64::from(player)));
        }
        assert_eq!((tokens.absent(), tokens.len()), (3, 3));
        assert_eq!(tokens.take_due(Millis(999)), None);
        tokens.remove(hashes[1]);
        assert_eq!(tokens.take_due(Millis(2_999)), Some(absent(1, 1_000)));
        assert_eq!(tokens.take_due(Millis(2_999)), None, "the second one has come back");
        assert_eq!(tokens.find(hashes[0]), None);
        assert_eq!(tokens.take_due(Millis(3_000)), Some(absent(3, 3_000)));
        assert_eq!((tokens.absent(), tokens.len(), tokens.leaves.len()), (0, 0, 0));
    }

    #[test]
    fn a_token_that_was_presented_is_valid_until_the_client_has_the_next_one() {
        let mut tokens = tokens();
        let [first, second, third] = [1, 2, 3].map(|serial| tokens.draw(session(serial)).1);
        tokens.remove(first);
        tokens.keep_presented(first, second);
        for token in [first, second] {
            assert_eq!(tokens.find(token), Some(Holder::Session(session(2))));
        }
        tokens.lose(second, absent(1, 1_000));
        assert_eq!((tokens.find(first), tokens.absent()), (tokens.find(second), 1));
        tokens.remove(first);
        assert_eq!((tokens.find(first), tokens.find(second), tokens.absent()), (None, None, 0));
        tokens.keep_presented(second, third);
        tokens.forget_presented(third);
        assert_eq!(tokens.find(second), None);
        assert_eq!(tokens.find(third), Some(Holder::Session(session(3))));
        assert_eq!(tokens.len(), 1);
    }

    /// Searches cost what there is, and not what there was.
    #[test]
    fn absences_that_have_ended_are_forgotten() {
        let mut tokens = tokens();
        let (_, hash) = tokens.draw(session(1));
        for until in 1_000..2_000 {
            tokens.lose(hash, absent(1, until));
            tokens.hand_over(hash, session(1));
        }
        assert_eq!((tokens.leaves.len(), tokens.of_rooms.len(), tokens.len()), (0, 0, 1));
        tokens.lose(hash, absent(1, 2_000));
        assert_eq!(tokens.absent_of(ROOM).count(), 1);
    }

    #[test]
    fn the_absent_player_of_an_address_is_found() {
        let mut tokens = tokens();
        let hashes = [1, 2, 3].map(|player| {
            let (_, hash) = tokens.draw(session(player));
            tokens.lose(hash, absent(player, 1_000));
            hash
        });
        let second = absent(2, 1_000);
        assert_eq!(tokens.find_of(ROOM, |it| it == second.peer), Some((hashes[1], second)));
        tokens.remove(hashes[1]);
        assert_eq!(tokens.find_of(ROOM, |it| it == second.peer), None);
        assert_eq!(tokens.find_of(RoomId { slot: 0, serial: 2 }, |_| true), None);
        assert_eq!(tokens.absent(), 2);
        assert_eq!(tokens.remove_room(ROOM).len(), 2);
        assert_eq!((tokens.absent(), tokens.len()), (0, 0));
        assert_eq!(tokens.take_due(Millis(1_000)), None);
    }
}
