// The dialog in which the player chooses a name and a room; the page is then loaded with them, and
// the name is remembered.
// Only a page that its own server sent lists the open rooms.
"use strict";
var Skirmish = Skirmish || {};
{
  const ROOMS_MAX = 8;

  /**
   * @param {{ pageHref: string, rules: string, keep: string[] }} options `rules` are those of the
   *   rooms to list; the parameters of the query in `keep` stay
   */
  Skirmish.createJoin = function ({ pageHref, rules, keep }) {
    const page = new URL(pageHref);
    /** @param {string} key */
    const param = (key) => (page.searchParams.get(key) || "").trim();
    const dialog = /** @type {HTMLDialogElement} */ (Skirmish.element("join"));
    const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
    /** @param {string} name */
    const input = (name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
    const [nameInput, roomInput] = [input("name"), input("room")];
    const list = Skirmish.element("rooms");
    const section = /** @type {HTMLElement} */ (list.parentElement);

    // The first page keeps the name.
    const home = /** @type {HTMLAnchorElement} */ (Skirmish.element("home"));
    if (param("name") !== "") {
      const url = new URL(home.href);
      url.searchParams.set("name", param("name"));
      home.href = url.href;
    }

    Skirmish.element("choose-room").addEventListener("click", () => {
      nameInput.value = param("name") || Skirmish.rememberedName();
      roomInput.value = param("room");
      dialog.showModal();
      showRooms();
    });
    Skirmish.element("cancel").addEventListener("click", () => dialog.close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      go(roomInput.value);
    });

    /** @param {string} room */
    function go(room) {
      /** @type {Record<string, string>} */
      const query = { server: param("server"), room: room.trim().toLowerCase() };
      query.name = Skirmish.rememberName(nameInput.value);
      for (const key of keep) query[key] = param(key);
      location.assign(Skirmish.pageWith(pageHref, query));
    }

    async function showRooms() {
      const all = param("server") === "" ? await Skirmish.fetchRooms(pageHref) : null;
      const rooms = (all ?? []).filter((room) => room.rules === rules).slice(0, ROOMS_MAX);
      list.replaceChildren(...rooms.map(itemOf));
      section.hidden = rooms.length === 0;
    }

    /** @param {Room} room */
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
}
