// The tables of the status page. Names come from players and are only ever text.
"use strict";
var Skirmish = Skirmish || {};

{
  const KINDS = /** @type {const} */ ([
    ["drops", "dropped"], ["refusals", "refused"], ["closes", "ended"],
  ]);

  /**
   * Fills the body of a table. Rows and cells that are there already stay, so that a text can be
   * selected.
   * @param {string} id
   * @param {string[][]} rows
   */
  function fill(id, rows) {
    const table = /** @type {HTMLTableElement} */ (document.getElementById(id));
    const columns = Array.from(table.tHead?.rows[0].cells ?? []);
    const body = table.tBodies[0];
    const isEmpty = rows.length === 0;
    const texts = isEmpty ? [["None", ...columns.slice(1).map(() => "")]] : rows;
    table.classList.toggle("empty", isEmpty);
    while (body.rows.length > texts.length) body.deleteRow(-1);
    texts.forEach((row, at) => {
      const line = body.rows[at] ?? body.insertRow();
      row.forEach((text, n) => {
        const cell = line.cells[n] ?? line.insertCell();
        cell.className = columns[n].className;
        // A name may be written from right to left.
        cell.dir = "auto";
        Skirmish.setText(cell, text);
      });
    });
  }

  /**
   * @param {StatusData} data
   * @param {ReturnType<typeof Skirmish.statusHistory>} history
   */
  Skirmish.fillStatusTables = function (data, history) {
    const { bytes, count, ms, span } = Skirmish.statusWords;
    const newest = history.samples[history.samples.length - 1].values;
    fill("slowest", data.slowest.map((client) => [
      client.name ?? `Player ${client.id}`,
      client.room,
      client.address,
      [client.dialect, client.transport].filter((one) => one !== null).join(", "),
      ms(client.behind_ms),
      client.stall_ms === 0 ? "–" : span(client.stall_ms),
      ms(client.rtt_ms),
      bytes(client.held_bytes),
      bytes(client.sent_bytes),
      `${span(client.joined_ms)} ago`,
    ]));
    fill("rooms", data.rooms.list.map((room) => [
      room.name, room.rules,
      ...[room.players, room.players_max, room.absent, room.bots].map(count),
    ]));
    const more = data.rooms.total - data.rooms.list.length;
    const list = /** @type {HTMLElement} */ (document.getElementById("more-rooms"));
    Skirmish.setText(list, more > 0 ? `and ${count(more)} more rooms` : "");
    fill("clients", data.players_by.filter(({ players }) => players > 0)
      .map(({ rules, dialect, transport, players }) => [rules, dialect, transport, count(players)]));
    fill("bytes", data.bytes.by_dialect.map(({ dialect, sent, received }) => [
      dialect,
      `${bytes(newest[`sent ${dialect}`] ?? null)}/s`, bytes(sent),
      `${bytes(newest[`received ${dialect}`] ?? null)}/s`, bytes(received),
    ]));
    fill("held", data.held.by_kind.filter((one) => one.count > 0)
      .map((one) => [one.kind.replaceAll("_", " "), bytes(one.count)]));
    fill("limits", data.limits.map((one) => [
      one.name.replaceAll("_", " "), one.name.includes("bytes") ? bytes(one.count) : count(one.count),
    ]));
    const events = KINDS.flatMap(([kind, what]) => data[kind].filter((one) => one.count > 0)
      .map((one) => [
        what, one.reason.replaceAll("_", " "), count(history.events(`${kind} ${one.reason}`)),
        count(one.count),
      ]));
    fill("events", events);
    const column = /** @type {HTMLElement} */ (document.getElementById("events-span"));
    Skirmish.setText(column, `Last ${Skirmish.statusWords.roughSpan(history.spanMs())}`);
  };
}
