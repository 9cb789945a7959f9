//! Players whose clients were lost, and the clients that come back to them with a token. What the
//! server decided is known only within bounds: a client may not have read its token, or a close
//! frame. So an absence has a time until which the player certainly stays, and one at which it has
//! certainly left.

use std::collections::HashMap;

use rand::RngExt;

use super::{Check, LINGER_MS, SLACK_MS, Simulation};
use crate::sim::client::{Client, Kind, Presented};
use crate::sim::socketio_client::{SocketIoClient, Stage};

/// Whether the server has lost the client of a player, which then stays if there is a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The client or the server has ended the session on purpose.
    No,
    Maybe,
    /// In this turn.
    Now,
    /// When the server sent a close frame that the client has not read, or began to wait for one.
    Earlier,
}

/// The client that has a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayerOf {
    Client(usize),
    SocketIo(usize),
}

/// A player without a client.
pub struct Absence {
    /// `None` if its client did not receive it.
    pub number: Option<u32>,
    pub room: (usize, String),
    /// `None` for an address that no other client shares.
    address_group: Option<usize>,
    began_wall: u64,
    /// Ticks of the server before it.
    began_ticks: u32,
    /// By the server's clock.
    stays_until: u64,
    gone_at: u64,
}

impl Absence {
    /// Whether its address had more than its share of the room at any time since.
    fn may_lose_seat(&self, crowding: &HashMap<(usize, usize), u64>) -> bool {
        let crowded_at = self.address_group.and_then(|group| crowding.get(&(self.room.0, group)));
        crowded_at.is_some_and(|at| *at >= self.began_wall)
    }
}

#[derive(Default)]
pub struct Absences {
    all: Vec<Absence>,
    /// The client that had each player last.
    holders: HashMap<u32, PlayerOf>,
    /// Tokens of Socket.IO clients that have ended.
    left_behind: Vec<Presented>,
}

/// What the clients with tokens reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResumeCoverage {
    /// Clients that had to get their player back, and did; and all that did.
    pub certain: u64,
    pub resumed: u64,
    /// In another dialect than the one in which it was lost.
    pub other_dialect: u64,
    /// By a client of Socket.IO.
    pub socketio: u64,
    /// From a client that was still connected.
    pub taken_over: u64,
    /// Clients whose token was not valid any more.
    pub unknown: u64,
    /// Absent players that left.
    pub left: u64,
    /// States in which an absent player was seen.
    pub seen: u64,
}

impl ResumeCoverage {
    /// Every counter, with its name.
    pub fn all(&self) -> [(&'static str, u64); 8] {
        [
            ("certain resume", self.certain),
            ("resume", self.resumed),
            ("resume in another dialect", self.other_dialect),
            ("resume over Socket.IO", self.socketio),
            ("takeover", self.taken_over),
            ("unknown token", self.unknown),
            ("absent player that left", self.left),
            ("absent player that was seen", self.seen),
        ]
    }
}

impl Absences {
    pub fn in_room(&self, room: usize) -> impl Iterator<Item = &Absence> {
        self.all.iter().filter(move |absence| absence.room.0 == room)
    }

    pub fn of_group(&self, address_group: usize) -> impl Iterator<Item = &Absence> {
        self.all.iter().filter(move |absence| absence.address_group == Some(address_group))
    }

    /// A client has the player.
    pub fn found(&mut self, who: PlayerOf, number: u32) {
        self.holders.insert(number, who);
        self.all.retain(|absence| absence.number != Some(number));
    }

    fn of_number(&mut self, number: u32) -> Option<&mut Absence> {
        self.all.iter_mut().find(|absence| absence.number == Some(number))
    }

    fn add(&mut self, absence: Absence) {
        match absence.number.and_then(|number| self.of_number(number)) {
            Some(before) => before.gone_at = before.gone_at.max(absence.gone_at),
            None => self.all.push(absence),
        }
    }
}

impl Simulation {
    // --- presenting tokens ------------------------------------------------------------------------

    /// The token that a client presents when it connects again, if it has one: mostly its own,
    /// rarely that of another client, or one that never was valid.
    pub(super) fn token_to_present(&mut self, index: usize) -> Option<Presented> {
        let from = match self.rng.random_range(0..20) {
            0..2 => return self.take_left_behind(),
            2..4 => self.rng.random_range(self.plan.rooms..self.plan.clients),
            4..16 => index,
            _ => return None,
        };
        Some(self.token_of(from))
    }

    fn token_of(&mut self, from: usize) -> Presented {
        let client = &self.clients[from];
        let (room, was_v1) = (client.room.clone(), client.v1.is_some());
        let (token, number) = match (&client.token, client.joined, &client.presented) {
            (Some(token), Some((number, _)), _) => (token.clone(), number),
            (None, _, Some(presented)) => (presented.token.clone(), presented.number),
            // A token that never was valid.
            _ => ("0123456789".repeat(4), 0),
        };
        let is_newest = client.token.is_some() && !client.may_be_replaced;
        let gone_at = self.gone_at(number);
        let absence = self.absences.of_number(number).filter(|_| is_newest);
        let stays_until = absence.map_or(0, |absence| absence.stays_until);
        Presented { token, number, room, was_v1, asked_ms: self.now, stays_until, gone_at }
    }

    fn take_left_behind(&mut self) -> Option<Presented> {
        let presented = self.absences.left_behind.pop()?;
        let gone_at = self.gone_at(presented.number);
        Some(Presented { asked_ms: self.now, gone_at, ..presented })
    }

    /// When a player leaves at the latest, if it certainly has no client.
    fn gone_at(&mut self, number: u32) -> Option<u64> {
        let has_client = self.may_have_client(number);
        let absence = self.absences.of_number(number).filter(|_| !has_client);
        absence.map(|absence| absence.gone_at)
    }

    /// A new client presents a token.
    pub(super) fn present(&mut self, index: usize, presented: Option<Presented>) {
        let kind = self.clients[index].kind;
        let plays = !matches!(kind, Kind::Observer | Kind::Browser | Kind::SlowRequest);
        let Some(presented) = presented.filter(|_| plays) else { return };
        let presented = self.presents(PlayerOf::Client(index), presented);
        let client = &mut self.clients[index];
        client.room = presented.room.clone();
        client.asks_for_token = true;
        client.presented = Some(presented);
    }

    /// A Socket.IO client that begins presents the token of another client, or of one before it.
    pub(super) fn present_in_socketio(&mut self, index: usize) {
        let client = &self.socketio.clients[index];
        if client.stage != Stage::New || client.is_reference || client.presented.is_some() {
            return;
        }
        let presented = match self.rng.random_range(0..4) {
            0 => {
                let from = self.rng.random_range(self.plan.rooms..self.plan.clients);
                Some(self.token_of(from))
            }
            1 => self.take_left_behind(),
            _ => None,
        };
        // Its room has a reference client.
        let has_reference = |it: &Presented| it.number > 0 && it.room.0 < self.plan.rooms;
        let Some(presented) = presented.filter(has_reference) else { return };
        let presented = self.presents(PlayerOf::SocketIo(index), presented);
        let client = &mut self.socketio.clients[index];
        client.room = presented.room.clone();
        client.presented = Some(presented);
    }

    /// Notes that the player of a token may belong to another client from here on.
    fn presents(&mut self, who: PlayerOf, mut presented: Presented) -> Presented {
        let number = presented.number;
        if let Some(absence) = self.absences.of_number(number) {
            if absence.may_lose_seat(&self.crowding) {
                presented.stays_until = 0;
            }
            // Whether another token is valid now is not known.
            absence.stays_until = 0;
        }
        let is_it = |presented: &Option<Presented>| {
            number > 0 && presented.as_ref().is_some_and(|it| it.number == number)
        };
        // The server may read what they present in any order.
        let mut has_rival = false;
        for client in self.clients.iter_mut().filter(|client| is_it(&client.presented)) {
            client.may_be_replaced = true;
            client.presented.iter_mut().for_each(|other| other.stays_until = 0);
            has_rival = true;
        }
        for client in self.socketio.clients.iter_mut().filter(|it| is_it(&it.presented)) {
            client.may_be_closed = true;
            client.presented.iter_mut().for_each(|other| other.stays_until = 0);
            has_rival = true;
        }
        if has_rival {
            presented.stays_until = 0;
            match who {
                PlayerOf::Client(index) => self.clients[index].may_be_replaced = true,
                PlayerOf::SocketIo(index) => self.socketio.clients[index].may_be_closed = true,
            }
        }
        match self.absences.holders.get(&number) {
            Some(holder) if *holder == who => {}
            Some(PlayerOf::Client(holder)) => self.clients[*holder].may_be_replaced = true,
            Some(PlayerOf::SocketIo(holder)) => {
                self.socketio.clients[*holder].may_be_closed = true;
            }
            None => {}
        }
        self.oracle.may_move(number, matches!(who, PlayerOf::Client(_)));
        presented
    }

    /// A client has received its number. Returns whether it has come back to a player.
    pub(super) fn came_back(
        &mut self,
        who: PlayerOf,
        presented: Option<Presented>,
        number: u32,
    ) -> Result<bool, String> {
        let Some(presented) = presented else { return Ok(false) };
        if presented.number != number {
            if self.now < presented.stays_until && !self.is_draining {
                return Err(format!("it got {number}, and not its player again: {presented:?}"));
            }
            self.resumes.unknown += 1;
            return Ok(false);
        }
        if presented.gone_at.is_some_and(|gone_at| gone_at < presented.asked_ms) {
            return Err(format!("it got a player that had left: {presented:?}"));
        }
        self.oracle.back(number)?;
        self.resumes.resumed += 1;
        self.resumes.certain += u64::from(self.now < presented.stays_until);
        let is_v1 = match who {
            PlayerOf::Client(index) => self.clients[index].v1.is_some(),
            PlayerOf::SocketIo(_) => {
                self.resumes.socketio += 1;
                return Ok(true);
            }
        };
        self.resumes.other_dialect += u64::from(is_v1 != presented.was_v1);
        let is_other = self.absences.holders.get(&number) != Some(&who);
        self.resumes.taken_over += u64::from(is_other && self.holder(number).is_some());
        Ok(true)
    }

    /// A client has received the number of its player. It may have read that after its end.
    pub(super) fn has_player(&mut self, index: usize, number: u32) {
        self.absences.found(PlayerOf::Client(index), number);
        let client = &self.clients[index];
        match client.gone_at {
            Some(gone_at) => self.add_absence(index, Some(number), 0, gone_at),
            None if client.has_left => self.oracle.left(number),
            None => {}
        }
    }

    /// A room has ended, with all of its players.
    pub(super) fn end_room(&mut self, name: &str) {
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            if let Some(presented) = client.presented.as_mut().filter(|it| it.room.1 == name) {
                presented.stays_until = 0;
            }
            if client.room.1 == name {
                client.is_struck = true;
                self.end_player(index, Loss::No);
            }
        }
        self.absences.all.retain(|absence| absence.room.1 != name);
    }

    // --- losses -----------------------------------------------------------------------------------

    /// The server has ended the session of a client, if it had one.
    pub(super) fn end_player(&mut self, index: usize, loss: Loss) {
        let client = &mut self.clients[index];
        if std::mem::replace(&mut client.has_left, true) || client.asked_at.is_none() {
            return;
        }
        let number = client.joined.map(|(number, _)| number);
        // A close that is received in a drain may have been sent before it began.
        let is_drained = self.is_draining && matches!(loss, Loss::Now | Loss::No);
        let stays = client.asks_for_token && self.plan.resume_s > 0 && !is_drained;
        let holder = number.and_then(|number| self.absences.holders.get(&number));
        let is_other = holder.is_some_and(|holder| *holder != PlayerOf::Client(index));
        let has = |it: &Client| it.joined.map(|(has, _)| has) == number && !it.has_left;
        let has_in_socketio = |it: &SocketIoClient| it.model.number == number;
        if is_other
            && (self.clients.iter().any(has) || self.socketio.clients.iter().any(has_in_socketio))
        {
            return;
        }
        let client = &mut self.clients[index];
        // Another client may have the player, also if this one has left it.
        let is_over = loss == Loss::No && !client.may_be_replaced;
        if !stays || is_over {
            number.into_iter().for_each(|number| self.oracle.left(number));
            return;
        }
        let resume_ms = self.plan.resume_s * 1000;
        let gone_at = self.now + resume_ms + SLACK_MS;
        let is_certain = client.token.is_some() && !client.may_be_replaced && !self.is_draining;
        let stays_until = match loss {
            Loss::Now if is_certain => self.run_began + resume_ms,
            Loss::Earlier if is_certain => {
                (self.now + resume_ms).saturating_sub(LINGER_MS + SLACK_MS)
            }
            _ => 0,
        };
        client.gone_at = Some(gone_at);
        if let Some(presented) = client.presented.as_ref().filter(|_| number.is_none()) {
            // It may have had the player again for a moment.
            let presented = presented.number;
            if self.may_be_absent(presented) {
                self.add_absence(index, Some(presented), 0, gone_at);
            }
        }
        if let Some(number) = number
            && stays_until > 0
        {
            self.oracle.lost(number);
        }
        self.add_absence(index, number, stays_until, gone_at);
    }

    fn add_absence(&mut self, index: usize, number: Option<u32>, stays_until: u64, gone_at: u64) {
        let address_group = Some(self.plan.address_group(index));
        let (room, began_wall) = (self.clients[index].room.clone(), self.wall);
        self.absences.add(Absence {
            number,
            room,
            address_group,
            began_wall,
            began_ticks: self.oracle.ticks,
            stays_until,
            gone_at,
        });
    }

    /// A Socket.IO client with a token has ended, at `until` at the latest.
    pub(super) fn lose_socketio_player(
        &mut self,
        index: usize,
        client: &SocketIoClient,
        until: u64,
    ) {
        let absence = |number| Absence {
            number,
            room: client.room.clone(),
            address_group: None,
            began_wall: self.wall,
            began_ticks: self.oracle.ticks,
            stays_until: 0,
            gone_at: until + self.plan.resume_s * 1000 + SLACK_MS,
        };
        let [known, unknown] = [absence(client.model.number), absence(None)];
        let holder = known.number.and_then(|number| self.absences.holders.get(&number));
        let is_holder = holder.is_none_or(|holder| *holder == PlayerOf::SocketIo(index));
        if let Some(number) = known.number {
            if let Some(token) = client.model.token.clone().filter(|_| is_holder) {
                self.absences.left_behind.push(Presented {
                    token,
                    number,
                    room: client.room.clone(),
                    was_v1: false,
                    asked_ms: 0,
                    stays_until: 0,
                    gone_at: None,
                });
            }
            // The client that read the number last may have had the player first.
            if is_holder || self.may_be_absent(number) {
                self.absences.add(known);
            }
        }
        if client.may_have_unknown_player() {
            let presented = client.presented.as_ref().map(|presented| presented.number);
            if let Some(number) = presented.filter(|number| self.may_be_absent(*number)) {
                self.absences.add(Absence { number: Some(number), ..absence(None) });
            }
            self.absences.add(unknown);
        }
    }

    /// Whether a player that a client presented may have no client now.
    fn may_be_absent(&self, number: u32) -> bool {
        number > 0 && self.holder(number).is_none_or(|holder| holder.may_be_replaced)
    }

    /// The client, not of Socket.IO, that has a player now, as far as it knows.
    fn holder(&self, number: u32) -> Option<&Client> {
        let Some(PlayerOf::Client(index)) = self.absences.holders.get(&number) else {
            return None;
        };
        let holder = &self.clients[*index];
        let has_it = holder.joined.is_some_and(|(has, _)| has == number) && !holder.has_left;
        has_it.then_some(holder)
    }

    /// Whether a client has the player, or presents its token.
    fn may_have_client(&self, number: u32) -> bool {
        let may_have = |has: Option<u32>, presented: &Option<Presented>| {
            let presents = presented.as_ref().is_some_and(|it| it.number == number);
            has == Some(number) || has.is_none() && presents
        };
        let clients = self.clients.iter().filter(|client| !client.has_left);
        let mut clients = clients.map(|it| (it.joined.map(|(number, _)| number), &it.presented));
        let socketio = self.socketio.clients.iter();
        let mut socketio = socketio.map(|client| (client.model.number, &client.presented));
        clients.any(|(has, presented)| may_have(has, presented))
            || socketio.any(|(has, presented)| may_have(has, presented))
    }

    /// Checks at the end of each turn that absent players stay as long as they must. Those that
    /// stayed too long are found by the next state.
    pub(super) fn check_absences(&mut self) -> Check {
        let (now, is_draining) = (self.now, self.is_draining);
        for absence in &self.absences.all {
            let Some(number) = absence.number else { continue };
            // A player that has just joined is in no state yet.
            let is_checked = now < absence.stays_until
                && !is_draining
                && self.oracle.ticks > absence.began_ticks
                && self.oracle.newest_tick(absence.room.0).is_some();
            if !is_checked {
                continue;
            }
            let may_lose_seat = absence.may_lose_seat(&self.crowding);
            if !self.oracle.shows(absence.room.0, number) && !may_lose_seat {
                return Err(format!(
                    "{number} is absent at {now} until {}, and has left",
                    absence.stays_until
                ));
            }
            self.resumes.seen += 1;
        }
        let (gone, all) = std::mem::take(&mut self.absences.all).into_iter().partition(|absence| {
            let is_found = absence.number.is_some_and(|number| self.may_have_client(number));
            now > absence.gone_at && !is_found
        });
        self.absences.all = all;
        let gone: Vec<Absence> = gone;
        for number in gone.into_iter().filter_map(|absence| absence.number) {
            self.resumes.left += 1;
            self.oracle.left(number);
        }
        Ok(())
    }
}
