// The form in which a player chooses a name and a room; the page is then loaded with them.
// Shared by every game page. Without a server of the page's own it has no list of rooms.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const ROOMS_MAX = 8;

  // createJoin({ pageHref, rules, keep }): `rules` are those of the rooms that this page can play
  // in; the query's parameters in `keep` stay as they are.
  Skirmish.createJoin = function ({ pageHref, rules, keep = [] }) {
    const page = new URL(pageHref);
    const server = (page.searchParams.get("server") || "").trim();
    const dialog = document.getElementById("join");
    const form = dialog.querySelector("form");
    const { name, room } = form.elements;
    const list = document.getElementById("rooms");

    // Who goes home takes the name along.
    const asked = (page.searchParams.get("name") || "").trim();
    const home = new URL(document.getElementById("home").href);
    if (asked !== "") home.searchParams.set("name", asked);
    document.getElementById("home").href = home.href;

    document.getElementById("door").addEventListener("click", () => {
      name.value = asked;
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
      for (const key of keep) query[key] = (page.searchParams.get(key) || "").trim();
      location.assign(Skirmish.pageWith(pageHref, query));
    }

    // A help and no more: whatever goes wrong, there is no list.
    async function showRooms() {
      const all = server === "" ? await Skirmish.fetchRooms(pageHref) : null;
      const rooms = (all ?? []).filter((room) => room.rules === rules).slice(0, ROOMS_MAX);
      list.replaceChildren(...rooms.map(itemOf));
      list.parentElement.hidden = rooms.length === 0;
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
