// The first page: the games, how many play them now, and the open rooms.
"use strict";
var Skirmish = Skirmish || {};
{
  const REFRESH_MS = 3000;
  const ROOMS_MAX = 12;

  const page = new URL(location.href);
  const name = /** @type {HTMLInputElement} */ (document.getElementById("name"));
  const here = find(document, "#here");
  /**
   * Null while unknown.
   * @type {Room[] | null}
   */
  let rooms = null;
  let timer = 0;
  let isAsking = false;

  name.value = (page.searchParams.get("name") || "").trim() || Skirmish.rememberedName();

  /**
   * @param {ParentNode} parent
   * @param {string} selector of an element in it
   */
  function find(parent, selector) {
    return /** @type {HTMLElement} */ (parent.querySelector(selector));
  }

  /**
   * The page of a game, with the name from the form and a room.
   * @param {string} rules
   * @param {string} [room] "" is the default room
   */
  function linkTo(rules, room = "") {
    const query = { room, name: name.value.trim() };
    return Skirmish.pageWith(new URL(Skirmish.PAGES[rules], page), query);
  }

  function show() {
    for (const article of document.querySelectorAll("article")) {
      const rules = article.dataset.rules ?? "";
      const open = (rooms ?? []).filter((room) => room.rules === rules && room.players > 0);
      const players = open.reduce((sum, room) => sum + room.players, 0);
      /** @type {HTMLAnchorElement} */ (find(article, ".play")).href = linkTo(rules);
      const count = find(article, ".count");
      count.classList.toggle("some", players > 0);
      const people = players === 0 ? "No players right now" : `${Skirmish.words.count(players)} now`;
      Skirmish.setText(count, rooms === null ? "" : people);
      find(article, "section").hidden = open.length === 0;
      showRooms(find(article, "ul"), open.slice(0, ROOMS_MAX));
    }
  }

  /**
   * Keeps the items of rooms that are still open, so that a link keeps the focus.
   * @param {HTMLElement} list
   * @param {Room[]} open
   */
  function showRooms(list, open) {
    const old = Array.from(list.children, (item) => /** @type {HTMLElement} */ (item));
    const byRoom = new Map(old.map((item) => [item.dataset.room, item]));
    const items = open.map((room) => updated(byRoom.get(room.name) ?? itemOf(room), room));
    const isSame = items.length === old.length && items.every((item, i) => item === old[i]);
    if (!isSame) list.replaceChildren(...items);
  }

  /** @param {Room} room */
  function itemOf({ name: room }) {
    const item = document.createElement("li");
    const [link, label, count] = ["a", "b", "span"].map((tag) => document.createElement(tag));
    item.dataset.room = label.textContent = room;
    link.append(label, " ", count);
    item.append(link);
    return item;
  }

  /**
   * @param {HTMLElement} item
   * @param {Room} room
   */
  function updated(item, { name: room, rules, players, bots, isFull }) {
    const link = /** @type {HTMLAnchorElement} */ (item.firstElementChild);
    link.href = linkTo(rules, room);
    link.classList.toggle("full", isFull);
    const others = bots === 0 ? "" : `, ${bots} bot${bots === 1 ? "" : "s"}`;
    Skirmish.setText(find(link, "span"),
      `${Skirmish.words.count(players)}${others}${isFull ? ", full" : ""}`);
    return item;
  }

  async function refresh() {
    if (isAsking || document.hidden) return;
    isAsking = true;
    const asking = Skirmish.earlyRooms ?? Skirmish.fetchRooms(page.href);
    Skirmish.earlyRooms = null;
    const asked = await asking;
    isAsking = false;
    const isWeb = /^https?:$/.test(page.protocol);
    Skirmish.setText(here, asked === null && isWeb ? "The server does not answer." : "");
    // Without an answer no numbers are shown, since the old ones may be wrong.
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
  // Leaving the field or pressing Enter, also before a link is followed.
  name.addEventListener("change", () => Skirmish.rememberName(name.value));
  name.form?.addEventListener("submit", (event) => {
    event.preventDefault();
    name.blur();
  });
  document.addEventListener("visibilitychange", onVisibility);
  // Back from the back/forward cache.
  addEventListener("pageshow", (event) => event.persisted && onVisibility());
  show();
  onVisibility();
}
