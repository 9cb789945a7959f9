// Sounds, made by Web Audio without files. Browsers allow them after the first key, click or touch.
// A muted or hidden page makes none, and has no running audio.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {"swing" | "hit" | "hurt" | "kill" | "death" | "respawn" | "begin" | "end" | "win"} Sound
 */

/**
 * A tone, or noise through a filter, whose pitch goes from one frequency (Hz) to another.
 * @typedef {object} Voice
 * @property {OscillatorType | "noise"} wave
 * @property {number} from
 * @property {number} to
 * @property {number} ms
 * @property {number} gain from 0 to 1
 * @property {number} [afterMs]
 */

{
  const VOICES_MAX = 16;
  // The rest is for the sounds of the own player.
  const OTHERS_MAX = 6;
  const VOLUME = 0.5;
  const OTHERS_GAIN = 0.3;
  // A sound of another player is halved at this many reaches of an attack, and left out where only
  // this part of it remains.
  const HALF_REACHES = 1.5;
  const GAIN_MIN = 0.03;
  const NOISE_S = 0.5;
  const ATTACK_S = 0.004;

  /**
   * @param {number} frequency
   * @param {number} afterMs
   * @returns {Voice}
   */
  const note = (frequency, afterMs) =>
    ({ wave: "triangle", from: frequency, to: frequency, ms: 180, gain: 0.4, afterMs });

  /** @type {Readonly<Record<Sound, Voice[]>>} */
  const SOUNDS = {
    swing: [{ wave: "noise", from: 1800, to: 500, ms: 130, gain: 0.25 }],
    hit: [
      { wave: "square", from: 420, to: 160, ms: 80, gain: 0.25 },
      { wave: "noise", from: 2600, to: 900, ms: 60, gain: 0.35 },
    ],
    hurt: [
      { wave: "sawtooth", from: 190, to: 70, ms: 170, gain: 0.45 },
      { wave: "noise", from: 700, to: 200, ms: 90, gain: 0.4 },
    ],
    kill: [note(659, 0), note(988, 90)],
    death: [
      { wave: "triangle", from: 330, to: 55, ms: 700, gain: 0.6 },
      { wave: "noise", from: 500, to: 80, ms: 400, gain: 0.3 },
    ],
    respawn: [{ wave: "sine", from: 330, to: 660, ms: 260, gain: 0.4 }],
    begin: [note(523, 0), note(523, 160), note(784, 320)],
    end: [note(784, 0), note(659, 160), note(523, 320)],
    win: [note(523, 0), note(659, 120), note(784, 240), note(1047, 360)],
  };

  /**
   * How loud a sound of another player is, from 0 to 1.
   * @param {number} distance in map units
   * @param {number} reach of an attack
   */
  Skirmish.loudness = function (distance, reach) {
    const gain = OTHERS_GAIN / (1 + (distance / (HALF_REACHES * reach)) ** 2);
    return gain < GAIN_MIN ? 0 : gain;
  };

  /** @param {HTMLElement} button mutes the sounds */
  Skirmish.createSounds = function (button) {
    /**
     * Null before the first gesture.
     * @type {AudioContext | null}
     */
    let context = null;
    /** @type {AudioNode | null} */
    let output = null;
    /** @type {AudioBuffer | null} */
    let noise = null;
    let voices = 0;
    let isMuted = Skirmish.store.get("muted") !== "";

    button.hidden = typeof AudioContext === "undefined";
    button.addEventListener("click", () => {
      isMuted = !isMuted;
      Skirmish.store.set("muted", isMuted ? "1" : "");
      showState();
      update();
    });
    // The button gets no focus, so that the next Space attacks and does not click it again.
    button.addEventListener("mousedown", (event) => event.preventDefault());
    // Not all of these count as a gesture in each browser. The context may also be interrupted later.
    for (const gesture of ["pointerdown", "pointerup", "keydown"]) {
      addEventListener(gesture, () => update(), { capture: true, passive: true });
    }
    document.addEventListener("visibilitychange", update);
    showState();

    function showState() {
      button.setAttribute("aria-pressed", String(isMuted));
    }

    /** Runs the audio if it may be heard, and stops it otherwise. */
    function update() {
      if (isMuted || document.hidden || button.hidden) {
        if (context?.state === "running") context.suspend().catch(() => {});
        return;
      }
      context ??= begin();
      // A browser that does not count this as a gesture refuses; the next one tries again.
      if (context !== null && context.state !== "running") context.resume().catch(() => {});
    }

    function begin() {
      if (navigator.userActivation?.hasBeenActive === false) return null;
      const created = new AudioContext();
      const volume = created.createGain();
      volume.gain.value = VOLUME;
      // Keeps many sounds at once below the limit.
      const compressor = created.createDynamicsCompressor();
      volume.connect(compressor).connect(created.destination);
      output = volume;
      noise = created.createBuffer(1, NOISE_S * created.sampleRate, created.sampleRate);
      const samples = noise.getChannelData(0);
      for (let i = 0; i < samples.length; i++) samples[i] = 2 * Math.random() - 1;
      return created;
    }

    /**
     * Makes a sound. That of another player is quieter and comes from its side.
     * @param {Sound} sound
     * @param {{ gain: number, pan: number }} [other] `pan` is from -1, left, to 1
     */
    function play(sound, other) {
      const most = other === undefined ? VOICES_MAX : OTHERS_MAX;
      const { gain, pan } = other ?? { gain: 1, pan: 0 };
      if (isMuted || document.hidden || context?.state !== "running" || output === null) return;
      for (const voice of SOUNDS[sound]) {
        if (voices >= most || gain === 0) return;
        start(context, output, voice, gain, pan);
      }
    }

    /**
     * @param {AudioContext} context
     * @param {AudioNode} output
     * @param {Voice} voice
     * @param {number} gain
     * @param {number} pan
     */
    function start(context, output, { wave, from, to, ms, afterMs = 0, ...voice }, gain, pan) {
      const at = context.currentTime + afterMs / 1000;
      const until = at + ms / 1000;
      const level = context.createGain();
      level.gain.setValueAtTime(0, at);
      level.gain.linearRampToValueAtTime(voice.gain * gain, at + ATTACK_S);
      level.gain.exponentialRampToValueAtTime(0.0001, until);
      // Safari before 14.1 has none.
      const panner = context.createStereoPanner?.() ?? null;
      if (panner !== null) panner.pan.value = pan;
      const last = panner === null ? level : level.connect(panner);
      last.connect(output);
      const source = wave === "noise" ? noiseSource(context, { from, to, at, until }, level)
        : toneSource(context, wave, { from, to, at, until }, level);
      source.onended = () => {
        voices--;
        last.disconnect();
      };
      source.start(at);
      source.stop(until);
      voices++;
    }

    /** @typedef {{ from: number, to: number, at: number, until: number }} Glide */

    /**
     * @param {AudioContext} context
     * @param {OscillatorType} wave
     * @param {Glide} glide
     * @param {AudioNode} target
     */
    function toneSource(context, wave, glide, target) {
      const tone = context.createOscillator();
      tone.type = wave;
      setGlide(tone.frequency, glide);
      tone.connect(target);
      return tone;
    }

    /**
     * @param {AudioContext} context
     * @param {Glide} glide
     * @param {AudioNode} target
     */
    function noiseSource(context, glide, target) {
      const source = context.createBufferSource();
      source.buffer = noise;
      source.loop = true;
      const filter = context.createBiquadFilter();
      filter.type = "bandpass";
      setGlide(filter.frequency, glide);
      source.connect(filter).connect(target);
      return source;
    }

    return { play };
  };

  /**
   * @param {AudioParam} param
   * @param {{ from: number, to: number, at: number, until: number }} glide
   */
  function setGlide(param, { from, to, at, until }) {
    param.setValueAtTime(from, at);
    param.exponentialRampToValueAtTime(to, until);
  }
}
