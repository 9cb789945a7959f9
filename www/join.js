// The form in which a player chooses a name and a room; the page is then loaded with them.
// Shared by every game page. Without a server of the page's own it has no list of rooms.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const ROOMS_MAX = 8;

  // createJoin({ pageHref, rules }): `rules` are those of the rooms that this page can play in.
  Skirmish.createJoin = function ({ pageHref, rules }) {
    const page = new URL(pageHref);
    const server = (page.searchParams.get("server") || "").trim();
    const dialog = document.getElementById("join");
    const form = dialog.querySelector("form");
    const { name, room } = form.elements;
    const list = document.getElementById("rooms");

    document.getElementById("door").addEventListener("click", () => {
      name.value = (page.searchParams.get("name") || "").trim();
      room.value = (page.searchParams.get("room") || "").trim();
      dialog.showModal();
      showRooms();
    });
    document.getElementById("cancel").addEventListener("click", () => dialog.close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      go(room.value);
    });

    function go(to) {
      const query = { server, room: to.trim().toLowerCase(), name: name.value.trim() };
      location.assign(Skirmish.pageWith(pageHref, query));
    }

    // Who plays where, told by the server that sent the page. It is a help and no more: whatever
    // goes wrong, there is no list.
    async function showRooms() {
      let rooms = [];
      try {
        if (server === "" && /^https?:$/.test(page.protocol)) {
          rooms = readRooms(await (await fetch(new URL("rooms", page))).json());
        }
      } catch {
        rooms = [];
      }
      list.replaceChildren(...rooms.map(itemOf));
      list.parentElement.hidden = rooms.length === 0;
    }

    function readRooms(rows) {
      return rows
        .filter((row) => row.rules === rules && typeof row.name === "string")
        .map((row) => ({ name: row.name, players: Number(row.players), cap: Number(row.cap) }))
        .sort((a, b) => b.players - a.players)
        .slice(0, ROOMS_MAX);
    }

    function itemOf({ name, players, cap }) {
      const item = document.createElement("li");
      const button = document.createElement("button");
      const count = document.createElement("span");
      button.type = "button";
      button.disabled = players >= cap;
      button.textContent = name;
      count.textContent = Skirmish.words.count(players);
      button.append(count);
      button.addEventListener("click", () => go(name));
      item.append(button);
      return item;
    }
  };
})();
