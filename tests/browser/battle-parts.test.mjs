// The parts of the battle that need no browser: facts, scores and sentences.
import { test } from "node:test";
import assert from "node:assert/strict";
import { loadParts, BATTLE_RULES } from "./harness.mjs";

test("over Socket.IO a proxy finds the room in the query, and the server what is wrong in auth", () => {
  const parts = loadParts("shared/store.js", "shared/address.js", "battle/socketio.js");
  for (const [url, query, auth] of [
    ["ws://a/ws?room=tea&rules=battle&name=Ann", { room: "tea" },
      { room: "tea", rules: "battle", name: "Ann" }],
    ["ws://a/ws?rules=battle", { rules: "battle" }, { rules: "battle" }],
    ["ws://a/ws", {}, {}],
    // The server would answer these with 400, which no page can read.
    ["ws://a/ws?room=Tea", {}, { room: "Tea" }],
    ["ws://a/ws?room=a.b&rules=x", {}, { room: "a.b", rules: "x" }],
  ]) {
    const address = parts.socketIoAddress(url, "http://a/battle.html");
    assert.deepEqual({ ...address.query }, query, url);
    assert.deepEqual({ ...address.auth }, auth, url);
  }
});

const PARTS = ["shared/rules.js", "shared/words.js", "battle/model.js", "battle/states.js", "battle/words.js"];

// A battle that gets states, and the resulting facts, each as a few words.
function arena(me = "1") {
  const Skirmish = loadParts(...PARTS);
  const facts = [];
  const words = ({ kind, player, by, amount }) => [kind, player.id, ...(amount ? [amount] : []),
    ...(by === undefined ? [] : [by === null ? "unknown" : by.id])].join(" ");
  const battle = Skirmish.createBattle({ onFact: (fact) => facts.push(words(fact)) });
  const rules = Skirmish.readRules(BATTLE_RULES, []);
  battle.begin(me, rules);
  const states = Skirmish.createStates(battle);
  states.begin(rules);
  let now = 0;
  return {
    Skirmish, battle, rules,
    // The facts that the battle derives from the next state.
    take(...players) {
      facts.length = 0;
      states.take(players, now += 50);
      return Array.from(facts);
    },
    facts: () => facts.splice(0),
    now: () => now,
  };
}

const one = (id, more) => ({
  id, x: 10 * Number(id), y: 10, color: "#112233", hp: 100, kills: 0, deaths: 0, respawn_ms: 0, ...more,
});
const dead = { hp: 0, deaths: 1, respawn_ms: 3000 };

test("players join and leave only after the first state", () => {
  const { take } = arena();
  assert.deepEqual(take(one("1"), one("2")), []);
  assert.deepEqual(take(one("1"), one("2"), one("3")), ["joined 3"]);
  assert.deepEqual(take(one("1"), one("3")), ["left 2"]);
});

test("a list that comes again changes nothing, except when a round begins", () => {
  const { Skirmish, battle, rules, facts } = arena();
  const states = Skirmish.createStates(battle);
  states.begin(rules);
  const list = [one("1"), one("2")];
  states.take(list, 50);
  const before = battle.get("2");
  states.take(list, 100);
  assert.equal(battle.get("2"), before);
  states.take(list, 150, true);
  assert.deepEqual(facts(), ["respawned 1", "respawned 2"]);
  states.begin(rules);
  battle.begin("1", rules);
  states.take(list, 200);
  assert.equal(battle.players().length, 2);
});

test("lost health is a hit by the only player in reach", () => {
  const { take, battle } = arena();
  take(one("1"), one("2"), one("9"));
  assert.deepEqual(take(one("1"), one("2", { hp: 90 }), one("9")), ["hit 2 10 unknown"],
    "the own player did not attack");
  battle.attacked(60);
  assert.deepEqual(take(one("1"), one("2", { hp: 80 }), one("9")), ["hit 2 10 1"]);
  assert.deepEqual(take(one("1", { hp: 90 }), one("2", { hp: 80 }), one("9")), ["hit 1 10 2"]);
  take(one("1", { hp: 90 }), one("2", { hp: 80 }), one("3"), one("9"));
  assert.deepEqual(take(one("1", { hp: 80 }), one("2", { hp: 80 }), one("3", { x: 10 }), one("9")),
    ["hit 1 10 2"], "by where they stood before");
});

test("a death is reported after its hit, with the player that has one more kill", () => {
  const { take, battle, now } = arena();
  take(one("1"), one("2"), one("3"));
  assert.deepEqual(take(one("1", { hp: 90 }), one("2", { kills: 1 }), one("3", dead)),
    ["hit 1 10 2", "hit 3 100 2", "killed 3 2"]);
  const fallen = battle.get("3");
  assert.deepEqual([fallen.alive, fallen.deaths, fallen.respawnAt], [false, 1, now() + 3000]);
  assert.equal(battle.get("2").kills, 1, "counted once");
});

test("two deaths at once are assigned to the nearer killers, and one player may kill two", () => {
  const { take } = arena();
  take(one("1"), one("2"), one("8"), one("9"));
  assert.deepEqual(
    take(one("1", { kills: 1 }), one("2", dead), one("8", dead), one("9", { kills: 1 }))
      .filter((fact) => fact.startsWith("killed")), ["killed 2 1", "killed 8 9"]);
  const again = arena();
  again.take(one("1"), one("2"), one("3"));
  assert.deepEqual(again.take(one("1", dead), one("2", { kills: 2 }), one("3", dead))
    .filter((fact) => fact.startsWith("killed")), ["killed 1 2", "killed 3 2"]);
  const mutual = arena();
  mutual.take(one("1"), one("2"));
  assert.deepEqual(mutual.take(one("1", { ...dead, kills: 1 }), one("2", { ...dead, kills: 1 }))
    .filter((fact) => fact.startsWith("killed")), ["killed 1 2", "killed 2 1"]);
});

test("a killer that has left is unknown", () => {
  const { take } = arena();
  take(one("1"), one("2"));
  assert.deepEqual(take(one("1", dead)), ["left 2", "hit 1 100 unknown", "killed 1 unknown"]);
});

test("a respawn is reported, also after missed states", () => {
  const { take, battle } = arena();
  take(one("1"), one("2"));
  take(one("1"), one("2", dead));
  assert.deepEqual(take(one("1"), one("2", { ...dead, respawn_ms: 2950 })), []);
  assert.deepEqual(take(one("1"), one("2", { deaths: 1, x: 77 })), ["respawned 2"]);
  const { alive, respawnAt, x } = battle.get("2");
  assert.deepEqual([alive, respawnAt, x], [true, null, 77]);
  assert.deepEqual(take(one("1", { kills: 1 }), one("2", { deaths: 2 })),
    ["hit 2 100 unknown", "killed 2 1", "respawned 2"]);
});

test("the time of a respawn is never postponed", () => {
  const { take, battle, now } = arena();
  take(one("1"), one("2", dead));
  const first = battle.get("2").respawnAt;
  for (const respawn_ms of [3030, 3400]) {
    take(one("1"), one("2", { ...dead, respawn_ms }));
    assert.equal(battle.get("2").respawnAt, first, "a state that is read late does not postpone it");
  }
  take(one("1"), one("2", { ...dead, respawn_ms: 2000 }));
  assert.equal(battle.get("2").respawnAt, now() + 2000);
  take(one("1"), one("2", { ...dead, deaths: 2 }));
  assert.equal(battle.get("2").respawnAt, now() + 3000, "another death");
});

test("invalid fields change nothing", () => {
  const { take, battle } = arena();
  take(one("1"), one("2"));
  take(one("1"), one("2", { hp: "much", kills: null, deaths: NaN, name: 7, color: {} }), null, { id: 3 });
  const { hp, kills, deaths, name, color } = battle.get("2");
  assert.deepEqual([hp, kills, deaths, name, color], [100, 0, 0, "", "#112233"]);
  assert.equal(battle.has("3"), false, "a player without a place is ignored");
});

test("facts of Socket.IO: places, hits, kills and respawns", () => {
  const { battle, facts, rules } = arena("7");
  battle.begin("7", rules, { name: "Ann" });
  battle.put("7", { x: 5, y: 5, hp: 100 });
  battle.joined("8", { x: 9, y: 5, hp: 100, kills: 2, deaths: 1, name: "Bob", color: "#abcdef" }, 0);
  assert.equal(battle.own().name, "Ann", "the own name is known");
  battle.hit("8", 90, 10);
  battle.hit("8", 0, 20);
  battle.killed("8", "7", 3000, 20);
  battle.hit("8", 0, 30);
  assert.deepEqual(facts(), ["joined 8", "hit 8 10 unknown", "hit 8 90 unknown", "killed 8 7"]);
  assert.deepEqual([battle.own().kills, battle.get("8").deaths, battle.get("8").respawnAt], [1, 2, 3020]);
  battle.respawned("8", { x: 50, y: 50, hp: 100, kills: 2, deaths: 2 }, 3020);
  battle.hit("99", 5, 3030);
  battle.killed("99", "7", 3000, 3030);
  battle.left("8", 3040);
  battle.left("8", 3050);
  assert.deepEqual(facts(), ["respawned 8", "left 8"]);
});

test("the best player is first; of equals, the one that joined first", () => {
  const { ranking } = loadParts(...PARTS);
  const of = (id, kills, deaths) => ({ id, kills, deaths });
  const order = ranking([of("10", 1, 0), of("2", 3, 9), of("9", 1, 0), of("4", 1, 2), of("3", 3, 1)]);
  assert.deepEqual(Array.from(order, ({ id }) => id), ["3", "2", "9", "10", "4"]);
});

test("events have sentences", () => {
  const { battleWords: words } = loadParts(...PARTS);
  const [ann, bob] = [{ id: "1", name: "Ann" }, { id: "2", name: "" }];
  const kill = { kind: "killed", player: bob, by: ann };
  assert.deepEqual({ ...words.feed(kill) }, { killer: "Ann", victim: "Player 2" });
  assert.equal(words.feed({ ...kill, by: null }).killer, null);
  assert.equal(words.toMe(kill, "1"), "You killed Player 2.");
  assert.equal(words.toMe(kill, "2"), "Ann killed you.");
  assert.equal(words.toMe(kill, "3"), "");
  assert.equal(words.toMe({ kind: "killed", player: bob, by: null }, "2"), "You were killed.");
  assert.equal(words.toMe({ kind: "respawned", player: ann }, "1"), "You are back.");
  assert.equal(words.back(3000, 0), "Back in 3");
  assert.equal(words.back(3000, 2001), "Back in 1");
  assert.equal(words.back(3000, 3500), "Back in 1");
  assert.equal(words.back(null, 0), "Back soon");
});

test("the description of the arena has health and reach", () => {
  const { battleWords: words } = loadParts(...PARTS);
  const at = (id, x, more) => ({ id, x, y: 10, name: "", hp: 100, alive: true, ...more });
  assert.equal(words.arena([at("1", 10, { hp: 40 }), at("2", 20), at("3", 21)], "1", 10),
    "The board. Players here: 3. You are 10 from the left and 10 from the top. " +
    "The nearest is Player 2, 10 away, to the right. You have 40 health. In your reach: 1.");
  assert.match(words.arena([at("1", 10, { hp: 0, alive: false })], "1", 10), /You are dead/);
  const withDead = [at("1", 10), at("2", 20, { hp: 0, alive: false }), at("3", 40)];
  assert.match(words.arena(withDead, "1", 10), /Players here: 3\. .* nearest is Player 3, .* reach: 0\./);
});
