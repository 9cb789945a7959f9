//! `GET /rooms`: a list of all rooms, made at most once per second and shared by all requests.

use std::cmp::Reverse;

use serde::Serialize;

use super::rooms::{Room, Rooms};
use super::shared_json::SharedJson;
use crate::http::{Request, Response, query};
use crate::limits::{ROOM_LIST_MS, ROOMS_A_PAGE};
use crate::time::Millis;

/// The pages of the list.
#[derive(Debug, Default)]
pub struct RoomList {
    /// From here on the list is made again.
    outdated_at: Millis,
    pages: Vec<SharedJson>,
}

/// A room in the list.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    rules: &'static str,
    /// With the bots.
    players: usize,
    bots: usize,
    cap: usize,
}

impl RoomList {
    /// The page that a request asks for with `?page=N`, from 1: the rooms with the most people
    /// first. A page behind the last one is empty. `cap` returns the player limit of a room.
    pub fn answer(
        &mut self,
        rooms: &Rooms,
        cap: impl Fn(&Room) -> usize,
        request: &Request,
        now: Millis,
    ) -> Response {
        let number = match query::get(request.query, "page").map(|page| page.parse::<usize>()) {
            None => 1,
            Some(Ok(number @ 1..)) => number,
            Some(_) => return Response::sentence(400, "Invalid page: use a number from 1."),
        };
        if self.outdated_at <= now {
            *self = RoomList { outdated_at: now.after(ROOM_LIST_MS), pages: pages(rooms, cap) };
        }
        let is_last = number >= self.pages.len();
        let response = match self.pages.get_mut(number - 1) {
            Some(page) => page.answer(request),
            None => SharedJson::new(b"[]".to_vec()).answer(request),
        };
        if is_last {
            return response;
        }
        response.with("Link", format!("</rooms?page={}>; rel=\"next\"", number + 1))
    }
}

/// All rooms, those with the most people first.
#[must_use]
pub fn by_people(rooms: &Rooms) -> Vec<&Room> {
    let mut sorted: Vec<_> = rooms.iter().collect();
    // Stable: rooms with as many people stay in the order of their names.
    sorted.sort_by_key(|room| Reverse(room.members().len()));
    sorted
}

fn pages(rooms: &Rooms, cap: impl Fn(&Room) -> usize) -> Vec<SharedJson> {
    let sorted = by_people(rooms);
    let encode = |rooms: &[&Room]| {
        let rows: Vec<Row> = rooms
            .iter()
            .map(|room| Row {
                name: &room.name,
                rules: room.world.rules().name,
                players: room.players(),
                bots: room.bots.len(),
                cap: cap(room),
            })
            .collect();
        SharedJson::new(serde_json::to_vec(&rows).expect("text and numbers always serialize"))
    };
    match sorted.is_empty() {
        true => vec![encode(&[])],
        false => sorted.chunks(ROOMS_A_PAGE).map(encode).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::{DOTS, World};
    use crate::server::bots::Bots;
    use crate::server::ids::SessionId;
    use crate::time::Tick;
    use crate::wire::Dialect;

    /// The names on a page, and the field `Link`.
    fn ask(list: &mut RoomList, rooms: &Rooms, query: &str, now: Millis) -> (Vec<String>, bool) {
        let head = format!("GET /rooms{query} HTTP/1.1\r\nHost: h\r\n\r\n");
        let request = Request::parse(head.as_bytes()).unwrap();
        let (head, body) = list.answer(rooms, |_| 7, &request, now).into_bytes(true, false);
        let head = String::from_utf8(head).unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_slice(body.unwrap().bytes()).unwrap();
        let names = rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        (names, head.contains("rel=\"next\""))
    }

    #[test]
    fn rooms_with_players_are_first_and_the_list_has_pages() {
        let mut rooms = Rooms::default();
        let mut list = RoomList::default();
        assert_eq!(ask(&mut list, &rooms, "", Millis(5)), (vec![], false));
        for number in 0..=ROOMS_A_PAGE {
            let world = World::new(&DOTS, 1, 4);
            let id = rooms.make(
                &format!("room-{number:04}"),
                world,
                Bots::default(),
                Tick(0),
                Millis(0),
            );
            if number == 200 {
                let session = SessionId { slot: 1, serial: 1 };
                rooms.get_mut(id).unwrap().add_member(session, Dialect::Json);
            }
        }
        assert_eq!(ask(&mut list, &rooms, "", Millis(1_004)), (vec![], false), "the old list");
        let (names, has_next) = ask(&mut list, &rooms, "", Millis(1_005));
        assert_eq!((names.len(), has_next), (ROOMS_A_PAGE, true));
        assert_eq!(names[..3], ["room-0200", "room-0000", "room-0001"]);
        let last = format!("room-{ROOMS_A_PAGE:04}");
        assert_eq!(ask(&mut list, &rooms, "?page=2", Millis(1_005)), (vec![last], false));
        assert_eq!(ask(&mut list, &rooms, "?page=3", Millis(1_005)), (vec![], false));
    }
}
