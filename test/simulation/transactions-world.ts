/**
 * Random lives of a node whose clients write groups of keys that lie on several workers, always
 * together. Workers die, the process dies, the power fails; whenever a transaction looks, a group is
 * whole: all of its keys show the same write, and none that an acknowledged one had replaced.
 */
import assert from "node:assert/strict";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import { embeddedConfig } from "../../runtime/config/embedded.ts";
import type { Durability, NodeConfig } from "../../runtime/config.ts";
import { MemoryDisk } from "../../runtime/storage/memory-files.ts";
import { plain, type Reply } from "../support/resp.ts";
import { SimLoop } from "./loop.ts";
import { type SimClient, WholeNode } from "./whole-node.ts";

const START_MS = 1_800_000_000_000;
const PARTITIONS = 16;
const GROUPS = 4;
const KEYS_OF_A_GROUP = 4;
const CLIENTS = 5;
const DURABILITIES: readonly Durability[] = ["always", "interval", "os"];
/** What a clock of a turn may move on by: shorter and longer than retries and time-outs. */
const TICKS_MS = [1, 60, 300, 6000];
/** Longest that a quiet node takes to answer everybody. */
const QUIET_SECONDS = 60;

interface Write {
  readonly sentAt: number;
  /** Infinity: not acknowledged, and so perhaps done later. */
  ackedAt: number;
}

/** Keys that are only written together. */
class Group {
  readonly keys: readonly string[];
  readonly #writes = new Map<string, Write>();
  /** The latest time at which a write began that is known to be done. */
  #floor = 0;

  constructor(keys: readonly string[]) {
    this.keys = keys;
  }

  sent(tag: string, at: number): void {
    this.#writes.set(tag, { sentAt: at, ackedAt: Number.POSITIVE_INFINITY });
  }

  acked(tag: string, at: number): void {
    const write = this.#writes.get(tag) as Write;
    write.ackedAt = Math.min(write.ackedAt, at);
    this.#floor = Math.max(this.#floor, write.sentAt);
  }

  /** A transaction that began at `sentAt` has read this. */
  judge(values: readonly unknown[], sentAt: number, floor: number): void {
    const [tag] = values;
    const shown = `${this.keys} show ${values}`;
    assert.ok(
      values.every((value) => value === tag),
      `a group is whole: ${shown}`,
    );
    if (tag === null) {
      assert.equal(floor, 0, `what was acknowledged is there: ${shown}`);
      return;
    }
    const write = this.#writes.get(String(tag));
    assert.ok(write !== undefined, `nobody wrote that: ${shown}`);
    const wasReplaced = write.ackedAt < floor;
    assert.ok(!wasReplaced, `what was replaced does not come back: ${shown}, before ${sentAt}`);
    // It is done, whether its client has heard or not.
    this.#floor = Math.max(this.#floor, write.sentAt);
  }

  get floor(): number {
    return this.#floor;
  }
}

/** What happened in one life, so that a test can see that something did. */
export interface Deeds {
  acked: number;
  unknown: number;
  read: number;
  kills: number;
}

export class TransactionsWorld {
  readonly deeds: Deeds = { acked: 0, unknown: 0, read: 0, kills: 0 };
  readonly #random: Random;
  readonly #loop: SimLoop;
  readonly #disk: MemoryDisk;
  readonly #groups: readonly Group[];
  readonly #durability: Durability;
  #now = 0;
  #tags = 0;
  #nowMs = START_MS;
  #problem: unknown;

  constructor(seed: number) {
    const random = seeded(seed);
    this.#random = random;
    this.#loop = new SimLoop(seeded(seed + 0x1000000));
    this.#disk = new MemoryDisk({
      random: seeded(seed + 0x2000000),
      schedule: this.#loop.schedule,
    });
    this.#durability = DURABILITIES[below(random, DURABILITIES.length)] as Durability;
    this.#groups = Array.from({ length: GROUPS }, (_, group) => {
      return new Group(Array.from({ length: KEYS_OF_A_GROUP }, (_, i) => `g${group}:${i}`));
    });
  }

  async run(): Promise<void> {
    const lives = 1 + below(this.#random, 3);
    for (let i = 0; i < lives; i++) await this.#wildLife();
    await this.#quietLife();
  }

  #config(): NodeConfig {
    const config = embeddedConfig(
      {
        workers: 2 + below(this.#random, 2),
        durability: this.#durability,
        config: { keyspaces: { count: 1, default: { partitions: PARTITIONS } } },
      },
      { folder: "/", machine: { cores: 4, memoryBytes: 2 ** 34 } },
    );
    const { journal, snapshot } = config;
    return {
      ...config,
      journal: { ...journal, fileBytes: 16 * 1024, reserveBytes: 0 },
      snapshot: { ...snapshot, logBytesMin: 1024 << below(this.#random, 4) },
    };
  }

  async #boot(): Promise<WholeNode> {
    let node: WholeNode | undefined;
    this.#nowMs += 1000;
    const booting = WholeNode.boot({
      disk: this.#disk,
      loop: this.#loop,
      random: this.#random,
      config: this.#config(),
      startMs: this.#nowMs,
      broken: (error) => {
        this.#problem ??= error;
      },
    }).then((booted) => {
      node = booted;
    });
    await this.#loop.run(booting, () => false, "the boot");
    assert.ok(node !== undefined);
    return node;
  }

  async #wildLife(): Promise<void> {
    const random = this.#random;
    const node = await this.#boot();
    const clients: (SimClient | undefined)[] = Array.from({ length: CLIENTS });
    const steps = 50 + below(random, 250);
    for (let step = 0; step < steps; step++) {
      this.#act(node, clients);
      await this.#loop.steps(below(random, 10));
      if (this.#problem !== undefined) throw this.#problem;
    }
    this.#nowMs = node.nowMs;
    node.end();
    // Without `always`, a power loss may have transactions done again in another order (0030).
    if (this.#durability === "always" && below(random, 2) === 0) this.#disk.crash();
    else this.#disk.kill();
    await this.#loop.settle();
  }

  /** One random thing. */
  #act(node: WholeNode, clients: (SimClient | undefined)[]): void {
    const random = this.#random;
    const choice = below(random, 100);
    if (choice < 25) {
      node.advance(TICKS_MS[below(random, TICKS_MS.length)] as number);
      return;
    }
    if (choice < 28) {
      this.deeds.kills++;
      node.kill(below(random, node.workerCount));
      return;
    }
    const at = below(random, clients.length);
    const known = clients[at];
    const client = known === undefined || known.isLost ? node.connect() : known;
    clients[at] = client;
    if (client === undefined || client.isBusy) return;
    const group = this.#groups[below(random, GROUPS)] as Group;
    if (below(random, 3) === 0) this.#read(client, group);
    else this.#write(client, group);
  }

  #write(client: SimClient, group: Group): void {
    const tag = `t${this.#tags++}`;
    group.sent(tag, this.#now++);
    const isMset = below(this.#random, 3) === 0;
    const commands = isMset
      ? [["MSET", ...group.keys.flatMap((key) => [key, tag])]]
      : [["MULTI"], ...group.keys.map((key) => ["SET", key, tag]), ["EXEC"]];
    client.send(commands, (replies) => {
      if (isDone(replies.at(-1), replies.length === commands.length)) {
        this.deeds.acked++;
        group.acked(tag, this.#now++);
      } else this.deeds.unknown++;
    });
  }

  #read(client: SimClient, group: Group): void {
    const sentAt = this.#now++;
    const { floor } = group;
    const commands = [["MULTI"], ...group.keys.map((key) => ["GET", key]), ["EXEC"]];
    client.send(commands, (replies) => {
      const last = replies.at(-1);
      if (replies.length < commands.length || last?.kind !== "array") return;
      this.deeds.read++;
      try {
        group.judge(last.items.map(plain), sentAt, floor);
      } catch (error) {
        this.#problem ??= error;
      }
    });
  }

  /** Nothing fails any more: everybody is answered, and every group is whole. */
  async #quietLife(): Promise<void> {
    const node = await this.#boot();
    await this.#until(node, () => node.isServing, "the start");
    for (const group of this.#groups) {
      const client = node.connect() as SimClient;
      const { read } = this.deeds;
      this.#read(client, group);
      await this.#until(node, () => !client.isBusy, "the answer of a quiet node");
      assert.equal(this.deeds.read, read + 1, "a quiet node serves");
    }
    node.end();
  }

  async #until(node: WholeNode, condition: () => boolean, what: string): Promise<void> {
    for (let second = 0; !condition(); second++) {
      assert.ok(second < QUIET_SECONDS, `${what} never came`);
      await this.#loop.settle();
      if (!condition()) node.advance(1000);
      if (this.#problem !== undefined) throw this.#problem;
    }
    if (this.#problem !== undefined) throw this.#problem;
  }
}

/** Whether a write was acknowledged: "+OK", or EXEC's results without an error. */
function isDone(reply: Reply | undefined, isComplete: boolean): boolean {
  if (!isComplete || reply === undefined) return false;
  if (reply.kind === "array") return reply.items.every(({ kind }) => kind === "simple");
  return reply.kind === "simple" && reply.text === "OK";
}
