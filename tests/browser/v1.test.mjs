// The dialect skirmish.v1 without a browser: www/shared/v1.js gets the golden vectors that the
// Rust tests write (tests/it/v1/vectors.rs explains the format).
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { loadParts, repository } from "./harness.mjs";

const { createV1Replica, v1 } = loadParts(
  "shared/v1-messages.js", "shared/v1-step.js", "shared/v1-list.js", "shared/v1.js");
const FILES = ["messages", "random-one-cell", "random-cells", "random-fields"];

function read(name) {
  const file = path.join(repository, "tests", "golden", "v1", `${name}.txt`);
  return readFileSync(file, "utf8").split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

const toHex = (bytes) => Buffer.from(bytes).toString("hex").replace(/../g, " $&");

function toBuffer(hex) {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
}

// A client that writes what it receives as the vectors do.
function createScript(isDetailed) {
  const lines = [];
  let owned = 0, fields = 0;
  let sent = 0;
  const replica = createV1Replica({
    send: (message) => {
      sent++;
      lines.push(`>${toHex(message)}`);
    },
    welcome: (welcome) => {
      owned = welcome.fields.filter(({ owner }) => owner).length;
      fields = welcome.fields.length - owned;
    },
    event: (kind, values) => lines.push(`event ${kind}${joined(values)}`),
    roster: (id, generation, player, color, name) => lines.push(`roster ${id}.${generation} is ` +
      `${player} #${color.toString(16).padStart(6, "0")} ${name}`),
  });
  const joined = (values) => [...values].map((value) => ` ${value}`).join("");

  function receive(message) {
    replica.receive(message);
    if (!replica.hasBase()) return;
    const { tick, age, flags, applied, lead, x, y, values } = replica.head;
    lines.push(`tick ${tick} age ${age} flags ${flags} applied ${applied} lead ${lead} ` +
      `at ${x},${y} values${joined(values.subarray(0, owned))}`);
    let bodies = 0;
    for (const [cell, list] of [...replica.cells].sort(([one], [other]) => one - other)) {
      bodies += list.count;
      for (let index = 0; index < list.count && isDetailed; index++) {
        const row = list.values.subarray(index * fields, (index + 1) * fields);
        lines.push(`body ${cell} ${list.id[index]}.${list.generation[index]} ` +
          `at ${list.x[index]},${list.y[index]} state ${list.state[index]} values${joined(row)}`);
      }
    }
    const sum = replica.sum().toString(16).padStart(8, "0");
    lines.push(`sum ${sum} of ${bodies} bodies`);
  }
  return { receive, replica, lines, sent: () => sent };
}

for (const name of FILES) {
  test(`the client has what the server has: ${name}.txt`, () => {
    const vectors = read(name);
    const script = createScript(name === "messages");
    let count = 0;
    for (const line of vectors) {
      if (line.startsWith("< ")) {
        script.lines.push(line);
        script.receive(toBuffer(line.slice(2)));
        count++;
      }
    }
    assert.deepEqual(script.lines, vectors);
    assert.ok(count > 30, `only ${count} messages`);
  });
}

test("messages of a client", () => {
  const vectors = read("client");
  const encode = {
    input: (direction, presses, seq, ack, viewAge, hold) => {
      // The counters of a client do not wrap; their low bits are sent.
      const wraps = 3;
      const input = { direction, presses: presses + 32 * wraps, seq: seq + 65536 * wraps,
        ack: ack + 65536 * wraps, viewAge: viewAge / 8, holdMs: hold * 4 };
      return v1.encodeInput(input);
    },
    resync: () => v1.encodeResync(),
    who: (...bodies) => v1.encodeWho(bodies.map(({ id }) => id),
      bodies.map(({ generation }) => generation)),
    rate: (hz) => v1.encodeRate(hz),
    command: (number, ...values) => v1.encodeCommand(number, values),
  };
  const parse = (word) => {
    if (!word.includes(".")) return Number(word);
    const [id, generation] = word.split(".").map(Number);
    return { id, generation };
  };
  let count = 0;
  for (let index = 0; index < vectors.length; index += 2, count++) {
    const [kind, ...words] = vectors[index].split(" ");
    assert.equal(`>${toHex(encode[kind](...words.map(parse)))}`, vectors[index + 1], vectors[index]);
  }
  assert.ok(count > 10, `only ${count} messages`);
  const late = { direction: 0, presses: 0, seq: 0, ack: 0, viewAge: 99, holdMs: 9999 };
  assert.equal(toHex(v1.encodeInput(late)).slice(-6), " ff ff", "no value wraps that must not");
});

test("a WELCOME that is incomplete is ignored", () => {
  const complete = JSON.parse(Buffer.from(toBuffer(read("messages")[0].slice(2))).toString("utf8", 1));
  const parse = (changes) => v1.parseWelcome(JSON.stringify({ ...complete, ...changes }));
  assert.equal(parse({}).slot, 3);
  const field = { name: "a", width: "u8" };
  assert.notEqual(parse({ fields: [...Array(16).fill(field),
    ...Array(16).fill({ ...field, owner: true })] }), null);
  for (const wrong of [
    { walls: [1, 2, 3] }, { walls: undefined }, { cell: 0 }, { columns: "many" }, { step: -1 },
    { fields: null }, { fields: [null] }, { fields: [{ width: "u24" }] },
    { fields: Array(17).fill(field) },
  ]) assert.equal(parse(wrong), null, JSON.stringify(wrong));
  for (const text of ["", "{", "null", "7", "[]"]) assert.equal(v1.parseWelcome(text), null, text);
});

test("a malformed message never throws, and makes the client ask for a keyframe", () => {
  // A generator with a seed, so that a failure repeats.
  let seed = 1;
  const random = (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const messages = FILES.map((name) => read(name).filter((line) => line.startsWith("< "))
    .map((line) => toBuffer(line.slice(2))));
  let asked = 0;
  for (let round = 0; round < 400; round++) {
    const { receive, replica, sent } = createScript(false);
    const [welcome, ...ticks] = messages[round % messages.length];
    receive(welcome);
    for (const tick of ticks.slice(0, 12)) {
      const length = random(4) === 0 ? random(tick.byteLength) : tick.byteLength;
      const mutated = new Uint8Array(tick.slice(0, length));
      for (let change = random(4); change > 0 && length > 0; change--) {
        mutated[random(Math.min(length, 60))] = random(256);
      }
      receive(mutated.buffer);
      for (const list of replica.cells.values()) {
        assert.ok(list.count <= list.id.length, "only what was received takes memory");
      }
    }
    if (sent() > 0) asked++;
  }
  assert.ok(asked > 200, `only ${asked} of them were refused`);
});
