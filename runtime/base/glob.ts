/**
 * Patterns as Redis's stringmatchlen understands them, over bytes: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
 * An unclosed class ends with the pattern; a range may be written backwards.
 *
 * A pattern is compiled once a command and matched by going back to the last star only, so a match
 * costs about the text's length; what goes beyond that is charged to the pattern's budget.
 *
 * Invariant: a match is never answered wrongly; a pattern whose budget is spent is `exhausted`, and
 * what it has answered since counts for nothing.
 */

// limits:
/** Steps that one command's matches may take beyond GLOB_STEPS_A_BYTE (a fraction of a second). */
export const GLOB_STEPS_MAX = 16 * 1024 * 1024;
/** Steps a byte of text and pattern that are free. */
export const GLOB_STEPS_A_BYTE = 8;

const STAR = 42;
const QUESTION = 63;
const OPEN = 91;
const CLOSE = 93;
const CARET = 94;
const DASH = 45;
const BACKSLASH = 92;

/** Tokens: a byte to meet (0-255), `?`, `*`, or a class; classes are numbered from CLASS on. */
const ONE_BYTE = 256;
const ANY_RUN = 257;
const CLASS = 258;
const CLASS_BYTES = 32;

export class Glob {
  /** The budget is spent: the pattern is too costly for these texts. */
  exhausted = false;
  readonly #tokens: Uint32Array;
  /** A bit for each byte that a class admits, 32 bytes a class. */
  readonly #classes: Buffer;
  #budget: number;

  constructor(pattern: Buffer, budget = GLOB_STEPS_MAX) {
    const { tokens, classes } = compile(pattern);
    this.#tokens = Uint32Array.from(tokens);
    this.#classes = Buffer.concat(classes);
    this.#budget = budget;
  }

  /** Steps that are left, for a command that goes on in another turn. */
  get budget(): number {
    return this.#budget;
  }

  /** Whether the pattern admits every text. */
  get matchesAll(): boolean {
    return this.#tokens.length === 1 && this.#tokens[0] === ANY_RUN;
  }

  /** Whether text[start, end) matches; false once `exhausted`. */
  matches(text: Buffer, start: number, end: number): boolean {
    const tokens = this.#tokens;
    const count = tokens.length;
    let at = start;
    let token = 0;
    /** After the last star: where its successor is tried next. */
    let retryAt = -1;
    let retryToken = -1;
    let steps = -GLOB_STEPS_A_BYTE * (end - start + count);
    for (;;) {
      if (++steps > 0 && --this.#budget < 0) {
        this.exhausted = true;
        return false;
      }
      if (token < count && tokens[token] === ANY_RUN) {
        token++;
        if (token === count) return true;
        retryAt = at;
        retryToken = token;
      } else if (at < end && token < count && this.#admits(token, text[at] as number)) {
        at++;
        token++;
      } else if (at === end && token === count) {
        return true;
      } else {
        // Out of text: from further on there is less of it.
        if (retryAt < 0 || at >= end) return false;
        at = ++retryAt;
        token = retryToken;
      }
    }
  }

  #admits(index: number, byte: number): boolean {
    const token = this.#tokens[index] as number;
    if (token < ONE_BYTE) return token === byte;
    if (token === ONE_BYTE) return true;
    const bits = this.#classes[(token - CLASS) * CLASS_BYTES + (byte >>> 3)] as number;
    return (bits & (1 << (byte & 7))) !== 0;
  }
}

function compile(pattern: Buffer): { tokens: number[]; classes: Buffer[] } {
  const tokens: number[] = [];
  const classes: Buffer[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const byte = pattern[at] as number;
    if (byte === STAR) {
      if (tokens.at(-1) !== ANY_RUN) tokens.push(ANY_RUN);
    } else if (byte === QUESTION) {
      tokens.push(ONE_BYTE);
    } else if (byte === OPEN) {
      const members = Buffer.alloc(CLASS_BYTES);
      at = readClass(pattern, at + 1, members);
      tokens.push(CLASS + classes.length);
      classes.push(members);
    } else if (byte === BACKSLASH && at + 1 < pattern.length) {
      tokens.push(pattern[++at] as number);
    } else {
      tokens.push(byte);
    }
  }
  return { tokens, classes };
}

/** Reads a class from behind its bracket on; returns where it ends (its `]`, or the last byte). */
function readClass(pattern: Buffer, start: number, members: Buffer): number {
  let at = start;
  const isNegated = pattern[at] === CARET && at < pattern.length;
  if (isNegated) at++;
  for (; at < pattern.length && pattern[at] !== CLOSE; at++) {
    const byte = pattern[at] as number;
    if (byte === BACKSLASH && at + 1 < pattern.length) {
      admit(members, pattern[++at] as number);
    } else if (at + 2 < pattern.length && pattern[at + 1] === DASH) {
      const last = pattern[at + 2] as number;
      for (let b = Math.min(byte, last); b <= Math.max(byte, last); b++) admit(members, b);
      at += 2;
    } else {
      admit(members, byte);
    }
  }
  if (isNegated) for (let i = 0; i < CLASS_BYTES; i++) members[i] = ~(members[i] as number);
  return at;
}

function admit(members: Buffer, byte: number): void {
  members[byte >>> 3] = (members[byte >>> 3] as number) | (1 << (byte & 7));
}
