/**
 * Whether a client's name and password are the configured ones. There is one user, "default".
 *
 * Who guesses is slowed down: after a few wrong passwords of an address (lockouts.ts) the answer to
 * the next comes late, and until then no password of that address is looked at: those that arrive are
 * held, and then looked at in the order of their arrival, up to the first wrong one. Who has
 * authenticated already, and a handle in this process, are not slowed down: they guess nothing.
 *
 * Invariants: the time that a comparison takes says nothing about the password; a lockout begins with
 * every look at a wrong one, so a held try waits for one lockout, and for one more for each wrong try
 * before it.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock, Timers } from "../../runtime/base/clock.ts";
import type { Request } from "../../runtime/codec/request.ts";
import { respLimits, respLimitsBeforeAuth } from "../../runtime/codec/resp-reader.ts";
import type { RespWriter } from "../../runtime/codec/resp-writer.ts";
import type { CommandEntry } from "../command-table.ts";
import type { Client } from "./client.ts";
import type { Connection } from "./connection.ts";
import { addressOf, Lockouts } from "./lockouts.ts";
import { encodeError } from "./replies.ts";

const WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled.";
export const DEFAULT_USER = "default";

// limits:
/** Answers to passwords that wait, of a worker; past it they are given at once: all are refused. */
export const LATE_ANSWERS_MAX = 1_024;
/** HELLO with a password has so many words. */
const HELLO_WORDS = 5;

/** What a worker knows of failed logins. */
export class Logins {
  readonly lockouts: Lockouts;
  readonly #timers: Timers;
  readonly #beginTurn: () => void;
  /** Late refusals and held tries. */
  #waiting = 0;
  /** What goes on when a try is looked at, by address, in the order of arrival. */
  readonly #held = new Map<string, Map<Connection, () => void>>();
  /** The connection whose held try is looked at now. */
  #looksAt: Connection | undefined;

  /** `beginTurn`: called before held tries are looked at: time has passed. */
  constructor(options: { clock: Clock; timers: Timers; beginTurn: () => void }) {
    this.lockouts = new Lockouts(options.clock);
    this.#timers = options.timers;
    this.#beginTurn = options.beginTurn;
  }

  /** Whether this command is a try that waits: for the end of a lockout, behind those before it. */
  holds(client: Client, entry: CommandEntry, request: Request): boolean {
    const { fullName } = entry;
    if (fullName !== "auth" && (fullName !== "hello" || request.count < HELLO_WORDS)) return false;
    if (this.#looksAt !== undefined && this.#looksAt === client.connection) {
      this.#looksAt = undefined;
      return false;
    }
    const address = addressOfGuesser(client);
    if (address === null || this.#waiting >= LATE_ANSWERS_MAX) return false;
    return this.#held.has(address) || this.lockouts.lockedMs(address) > 0;
  }

  /** A connection whose try is held goes on then. */
  whenOver(connection: Connection, run: () => void): void {
    const address = addressOf(connection.transport.remoteAddress) ?? "";
    this.#waiting++;
    const held = this.#held.get(address);
    if (held !== undefined) held.set(connection, run);
    else {
      this.#held.set(address, new Map([[connection, run]]));
      this.#lookLater(address);
    }
  }

  /** It has gone, or says no more: its try is not looked at. False: none is held. */
  forget(connection: Connection): boolean {
    for (const held of this.#held.values()) {
      if (!held.delete(connection)) continue;
      this.#waiting--;
      return true;
    }
    return false;
  }

  #lookLater(address: string): void {
    this.#timers.after(this.lockouts.lockedMs(address), () => this.#look(address));
  }

  /** Looks at the held tries of an address, until one of them locks it out again. */
  #look(address: string): void {
    const held = this.#held.get(address) ?? new Map<Connection, () => void>();
    this.#beginTurn();
    for (const [connection, run] of held) {
      // Also where a timer came a little early.
      if (this.lockouts.lockedMs(address) > 0) break;
      held.delete(connection);
      this.#waiting--;
      const { client } = connection;
      // It has waited for us, not we for it.
      client.unauthenticatedSinceMs = client.worker.nowMs;
      this.#looksAt = connection;
      run();
    }
    this.#looksAt = undefined;
    if (held.size > 0) this.#lookLater(address);
    else this.#held.delete(address);
  }

  /** Answers the running command later, in its place; false: too many answers wait. */
  refuseLater(connection: Connection, text: string, delayMs: number): boolean {
    if (this.#waiting >= LATE_ANSWERS_MAX) return false;
    this.#waiting++;
    const slot = connection.defer(0, connection.client.mutesReply());
    this.#timers.after(delayMs, () => {
      this.#waiting--;
      connection.fill(slot, encodeError(text), 0);
    });
    return true;
  }
}

/**
 * Authenticates by the user and password at these arguments. False: the refusal was replied, or
 * comes later.
 */
export function authenticate(
  client: Client,
  request: Request,
  { user, password }: { user: number | null; password: number },
  reply: RespWriter,
): boolean {
  const { stats, config, logins } = client.worker;
  const address = addressOfGuesser(client);
  const lockedMs = address === null ? 0 : logins.lockouts.lockedMs(address);
  const expected = config.security.password;
  // Without a password the user takes any, as Redis's "nopass".
  if (lockedMs > 0) reply.error(lockedOut(lockedMs));
  else if (
    (user === null || request.text(user) === DEFAULT_USER) &&
    (expected === undefined || isSame(request.bytesAt(password), Buffer.from(expected, "utf8")))
  ) {
    client.isAuthenticated = true;
    boundInput(client);
    return true;
  } else refuse(client, request, address, reply);
  stats.deniedAuths++;
  return false;
}

/** The address to slow down if this client's password is wrong; null: none. */
function addressOfGuesser({ isAuthenticated, connection }: Client): string | null {
  if (isAuthenticated || connection === undefined) return null;
  return addressOf(connection.transport.remoteAddress);
}

/** Says that the password was wrong: late, if too many of the address were. */
function refuse(
  { worker, connection }: Client,
  request: Request,
  address: string | null,
  reply: RespWriter,
): void {
  const { logins, stats, table } = worker;
  const lockoutMs = address === null ? 0 : logins.lockouts.failed(address);
  if (lockoutMs > 0) stats.lockouts++;
  const isLate =
    lockoutMs > 0 &&
    connection !== undefined &&
    logins.refuseLater(connection, WRONG_PASSWORD, lockoutMs);
  if (!isLate) {
    reply.error(WRONG_PASSWORD);
    return;
  }
  // The dispatcher counts the errors of replies that it sees.
  stats.noteError(WRONG_PASSWORD);
  const entry = table.find(request);
  if (entry !== undefined) entry.stats.failed++;
}

function lockedOut(lockedMs: number): string {
  const seconds = Math.ceil(lockedMs / 1000);
  return `DENIED too many wrong passwords came from this address, so none is looked at: wait ${seconds} s, then send the right one`;
}

/** Bounds a client's requests by whether it is authenticated: narrowly before (CVE-2021-32675). */
export function boundInput(client: Client): void {
  const { argumentsMax, argumentBytesMax } = client.worker.limits;
  const limits = client.isAuthenticated
    ? { ...respLimits, argsMax: argumentsMax, bulkBytesMax: argumentBytesMax }
    : respLimitsBeforeAuth;
  client.connection?.reader.setLimits(limits);
}

function isSame(a: Buffer, b: Buffer): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}
