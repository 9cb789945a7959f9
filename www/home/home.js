// The first page: the games, who plays them now, and the rooms that are open.
"use strict";
(function () {
  const Skirmish = window.Skirmish;

  const REFRESH_MS = 3000;
  const ROOMS_MAX = 12;

  const page = new URL(location.href);
  const name = document.getElementById("name");
  const here = document.getElementById("here");
  let rooms = null;
  let timer = 0;
  let asking = false;

  name.value = (page.searchParams.get("name") || "").trim();

  // A game's page, with the name that was typed and perhaps a room.
  function linkTo(rules, room = "") {
    const query = { room, name: name.value.trim() };
    return Skirmish.pageWith(new URL(Skirmish.PAGES[rules], page), query);
  }

  function show() {
    for (const article of document.querySelectorAll("[data-rules]")) {
      const { rules } = article.dataset;
      const open = (rooms ?? []).filter((room) => room.rules === rules && room.players > 0);
      const players = open.reduce((sum, room) => sum + room.players, 0);
      article.querySelector(".play").href = linkTo(rules);
      const count = article.querySelector(".count");
      count.classList.toggle("some", players > 0);
      put(count, rooms === null ? "" :
        players === 0 ? "Nobody plays now" : `${Skirmish.words.count(players)} now`);
      article.querySelector("section").hidden = open.length === 0;
      showRooms(article.querySelector("ul"), open.slice(0, ROOMS_MAX));
    }
  }

  // A link that has the focus keeps it: what is still there is only told anew.
  function showRooms(list, open) {
    const had = new Map(Array.from(list.children, (item) => [item.dataset.room, item]));
    const items = open.map((room) => told(had.get(room.name) ?? itemOf(room), room));
    const isSame = items.length === list.children.length &&
      items.every((item, i) => item === list.children[i]);
    if (!isSame) list.replaceChildren(...items);
  }

  function itemOf({ name: room }) {
    const item = document.createElement("li");
    const [link, label, count] = ["a", "b", "span"].map((tag) => document.createElement(tag));
    item.dataset.room = label.textContent = room;
    link.append(label, " ", count);
    item.append(link);
    return item;
  }

  function told(item, { name: room, rules, players, cap }) {
    const isFull = cap > 0 && players >= cap;
    const link = item.firstChild;
    link.href = linkTo(rules, room);
    link.classList.toggle("full", isFull);
    const count = `${Skirmish.words.count(players)}${isFull ? ", full" : ""}`;
    put(link.querySelector("span"), count);
    return item;
  }

  function put(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  async function refresh() {
    if (asking || document.hidden) return;
    asking = true;
    const asked = await Skirmish.fetchRooms(page.href);
    asking = false;
    const isWeb = /^https?:$/.test(page.protocol);
    put(here, asked === null && isWeb ? "The server does not answer." : "");
    // Old numbers would be lies; without any there still are the games.
    rooms = asked;
    show();
  }

  function onVisibility() {
    clearInterval(timer);
    if (document.hidden) return;
    timer = setInterval(refresh, REFRESH_MS);
    refresh();
  }

  name.addEventListener("input", show);
  name.form.addEventListener("submit", (event) => {
    event.preventDefault();
    name.blur();
  });
  document.addEventListener("visibilitychange", onVisibility);
  // Back from the browser's cache of pages.
  addEventListener("pageshow", (event) => event.persisted && onVisibility());
  show();
  onVisibility();
})();
