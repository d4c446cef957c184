/**
 * A client of a node in this process: the same commands as over a socket, on the same path, with
 * types. Calls of one turn travel together.
 *
 * A client keeps one handle on one worker. If that worker restarts, calls under way fail with
 * UNKNOWN_OUTCOME and the next ones go over a new handle: in the client's keyspace, but without
 * what was set by `call` (MULTI, WATCH, CLIENT SETNAME ...).
 */
import { CoterieError } from "../runtime/base/errors.ts";
import type { CallQueue } from "./call-queue.ts";
import {
  type Argument,
  type Command,
  encodeCommand,
  encodeTransaction,
  isReset,
} from "./command.ts";
import type { Reply } from "./replies.ts";

/** Exact: a number where that is safe, else a bigint. */
export type Integer = number | bigint;
/** Keys, fields, members and values as they are given. */
export type Data = string | number | bigint | Uint8Array;

/** What SET may be told. */
export interface SetOptions {
  /** Only if the key is absent, or only if it exists. */
  readonly if?: "absent" | "exists";
  readonly expireSeconds?: number;
  readonly expireMs?: number;
  readonly keepTtl?: boolean;
}

/** `Text` is how byte strings are shown: string (UTF-8) or Buffer. */
export class LocalClient<Text extends string | Buffer> {
  readonly #calls: CallQueue<Text>;

  constructor(calls: CallQueue<Text>) {
    this.#calls = calls;
  }

  /**
   * Any command. Rejects with a CoterieError: an error reply, an overload, an unknown outcome.
   *
   * What it sets lasts as long as the handle: after `call("SELECT", n)` every later call is in keyspace
   * n, until the worker restarts or RESET or QUIT is called; then in the client's own again. Make a
   * client of each keyspace instead. Refused: CLIENT REPLY, HELLO 2.
   */
  call(...command: Command): Promise<Reply<Text>> {
    return this.#send(command);
  }

  /** Many commands at once; what failed is a CoterieError in its place. */
  async pipeline(commands: readonly Command[]): Promise<Reply<Text>[]> {
    const encoded = commands.map((command) => ({ command, bytes: encodeCommand(command) }));
    return Promise.all(encoded.map(({ command, bytes }) => this.#start(command, bytes)));
  }

  /**
   * MULTI, the commands, EXEC: all or nothing in one partition (docs/operating.md on several).
   * Rejects if a command could not be queued, and if a key that `call("WATCH", …)` named has changed;
   * what failed in execution is an error in its place. Nothing is sent if a command ends a transaction.
   */
  async transaction(commands: readonly Command[]): Promise<readonly Reply<Text>[]> {
    const replies = await this.#calls.together(encodeTransaction(commands));
    if (replies instanceof CoterieError) throw replies;
    const last = replies.at(-1);
    // Others stand before ours in one that was begun by call("MULTI").
    if (Array.isArray(last)) return last.slice(last.length - commands.length);
    if (last === null) throw new CoterieError("COMMAND_FAILED", WATCHED_CHANGED);
    const failed = replies.find((reply) => reply instanceof CoterieError);
    throw failed instanceof CoterieError ? failed : unexpected("EXEC", last);
  }

  /** Refuses further calls; resolves when the earlier ones have settled. */
  close(): Promise<void> {
    return this.#calls.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- strings and numbers ----------------------------------------------------------------------

  get(key: Data): Promise<Text | null> {
    return this.#textOrNull(["GET", key]);
  }

  /** True if the value was set; false if a condition was not met. */
  async set(key: Data, value: Data, options: SetOptions = {}): Promise<boolean> {
    const reply = await this.#send(["SET", key, value, ...setOptions(options)]);
    return reply === "OK";
  }

  async mget(keys: readonly Data[]): Promise<(Text | null)[]> {
    return (await this.#array(["MGET", ...keys])) as (Text | null)[];
  }

  async mset(entries: Iterable<readonly [Data, Data]>): Promise<void> {
    await this.#send(withPairs(["MSET"], entries));
  }

  incrBy(key: Data, by: Integer = 1): Promise<Integer> {
    return this.#integer(["INCRBY", key, by]);
  }

  append(key: Data, value: Data): Promise<number> {
    return this.#count(["APPEND", key, value]);
  }

  // ---- keys -------------------------------------------------------------------------------------

  del(...keys: readonly Data[]): Promise<number> {
    return this.#count(["DEL", ...keys]);
  }

  exists(...keys: readonly Data[]): Promise<number> {
    return this.#count(["EXISTS", ...keys]);
  }

  /** False if there is no such key. */
  expire(key: Data, seconds: number): Promise<boolean> {
    return this.#flag(["PEXPIRE", key, Math.round(seconds * 1000)]);
  }

  persist(key: Data): Promise<boolean> {
    return this.#flag(["PERSIST", key]);
  }

  /** Milliseconds; null: it never expires; undefined: there is no such key. */
  async ttlMs(key: Data): Promise<number | null | undefined> {
    const reply = await this.#count(["PTTL", key]);
    if (reply === -2) return undefined;
    return reply === -1 ? null : reply;
  }

  async type(key: Data): Promise<string> {
    return String(await this.#send(["TYPE", key]));
  }

  // ---- hashes -----------------------------------------------------------------------------------

  /** How many of the fields are new. */
  async hset(key: Data, entries: Iterable<readonly [Data, Data]>): Promise<number> {
    return this.#count(withPairs(["HSET", key], entries));
  }

  hget(key: Data, field: Data): Promise<Text | null> {
    return this.#textOrNull(["HGET", key, field]);
  }

  async hgetAll(key: Data): Promise<ReadonlyMap<Text, Text>> {
    const reply = await this.#send(["HGETALL", key]);
    if (!(reply instanceof Map)) throw unexpected("HGETALL", reply);
    return reply as ReadonlyMap<Text, Text>;
  }

  hdel(key: Data, ...fields: readonly Data[]): Promise<number> {
    return this.#count(["HDEL", key, ...fields]);
  }

  hincrBy(key: Data, field: Data, by: Integer = 1): Promise<Integer> {
    return this.#integer(["HINCRBY", key, field, by]);
  }

  // ---- sets, lists, sorted sets -----------------------------------------------------------------

  sadd(key: Data, ...members: readonly Data[]): Promise<number> {
    return this.#count(["SADD", key, ...members]);
  }

  srem(key: Data, ...members: readonly Data[]): Promise<number> {
    return this.#count(["SREM", key, ...members]);
  }

  sismember(key: Data, member: Data): Promise<boolean> {
    return this.#flag(["SISMEMBER", key, member]);
  }

  smembers(key: Data): Promise<Text[]> {
    return this.#array(["SMEMBERS", key]) as Promise<Text[]>;
  }

  /** The list's length. */
  lpush(key: Data, ...values: readonly Data[]): Promise<number> {
    return this.#count(["LPUSH", key, ...values]);
  }

  rpush(key: Data, ...values: readonly Data[]): Promise<number> {
    return this.#count(["RPUSH", key, ...values]);
  }

  lpop(key: Data): Promise<Text | null> {
    return this.#textOrNull(["LPOP", key]);
  }

  rpop(key: Data): Promise<Text | null> {
    return this.#textOrNull(["RPOP", key]);
  }

  lrange(key: Data, start: number, stop: number): Promise<Text[]> {
    return this.#array(["LRANGE", key, start, stop]) as Promise<Text[]>;
  }

  async zadd(
    key: Data,
    entries: Iterable<readonly [score: number, member: Data]>,
  ): Promise<number> {
    return this.#count(withPairs(["ZADD", key], entries));
  }

  async zscore(key: Data, member: Data): Promise<number | null> {
    const reply = await this.#send(["ZSCORE", key, member]);
    if (reply === null || typeof reply === "number") return reply;
    throw unexpected("ZSCORE", reply);
  }

  zrange(key: Data, start: number, stop: number): Promise<Text[]> {
    return this.#array(["ZRANGE", key, start, stop]) as Promise<Text[]>;
  }

  // ---- replies of known form --------------------------------------------------------------------

  /** Takes an array: as arguments of a call, a hundred thousand keys would be a RangeError. */
  async #send(command: Command): Promise<Reply<Text>> {
    const reply = await this.#start(command, encodeCommand(command));
    if (reply instanceof CoterieError) throw reply;
    return reply;
  }

  #start(command: Command, bytes: Buffer): Promise<Reply<Text>> {
    return isReset(command) ? this.#calls.reset(bytes) : this.#calls.call(bytes);
  }

  async #textOrNull(command: Command): Promise<Text | null> {
    const reply = await this.#send(command);
    if (reply === null || typeof reply === "string" || Buffer.isBuffer(reply)) {
      return reply as Text | null;
    }
    throw unexpected(command[0], reply);
  }

  async #integer(command: Command): Promise<Integer> {
    const reply = await this.#send(command);
    if (typeof reply === "number" || typeof reply === "bigint") return reply;
    throw unexpected(command[0], reply);
  }

  async #count(command: Command): Promise<number> {
    return Number(await this.#integer(command));
  }

  async #flag(command: Command): Promise<boolean> {
    return (await this.#integer(command)) === 1;
  }

  async #array(command: Command): Promise<Reply<Text>[]> {
    const reply = await this.#send(command);
    if (Array.isArray(reply)) return reply;
    throw unexpected(command[0], reply);
  }
}

const WATCHED_CHANGED =
  "a watched key has changed: nothing was executed; read it again, then repeat the transaction";

/** A command with pairs after its first words. */
function withPairs(words: Command, entries: Iterable<readonly [Data, Data]>): Command {
  const command: [string, ...Argument[]] = [...words];
  for (const [first, second] of entries) command.push(first, second);
  return command;
}

function setOptions({ if: condition, expireSeconds, expireMs, keepTtl }: SetOptions): Argument[] {
  const options: Argument[] = [];
  if (condition !== undefined) options.push(condition === "absent" ? "NX" : "XX");
  if (expireSeconds !== undefined) options.push("PX", Math.round(expireSeconds * 1000));
  if (expireMs !== undefined) options.push("PX", Math.round(expireMs));
  if (keepTtl) options.push("KEEPTTL");
  return options;
}

/** In a transaction begun by `call("MULTI")` everything is answered with QUEUED. */
function unexpected(command: string, reply: unknown): CoterieError {
  const text = `${command} was answered with ${String(reply)}: use call() inside MULTI`;
  return new CoterieError("COMMAND_FAILED", text);
}
