/**
 * Random lives of a node whose clients use keys that lie on several workers. Workers die, the process
 * dies, the power fails; whenever a transaction looks, what belongs together is together, and what was
 * acknowledged is there (see subjects.ts).
 */
import assert from "node:assert/strict";
import { below, type Random, seeded } from "../../runtime/base/prng.ts";
import { embeddedConfig } from "../../runtime/config/embedded.ts";
import type { Durability, NodeConfig } from "../../runtime/config.ts";
import type { MemoryDisk } from "../../runtime/storage/memory-files.ts";
import { newDisk, START_MS } from "./boot.ts";
import type { SimLoop } from "./loop.ts";
import { Counters, Group, isDone, Lists, type Subject, seenBy } from "./subjects.ts";
import { type SimClient, WholeNode } from "./whole-node.ts";

const PARTITIONS = 16;
/** Keys of a subject: they are on all workers, and the second on another than the third. */
const KEYS_MAX = 4;
const CLIENTS = 5;
const DURABILITIES: readonly Durability[] = ["always", "interval", "os"];
/** What a clock of a turn may move on by: shorter and longer than retries and time-outs. */
const TICKS_MS = [1, 60, 300, 6000];
/** Longest that a quiet node takes to answer everybody. */
const QUIET_SECONDS = 60;

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
  readonly #subjects: readonly Subject[];
  readonly #durability: Durability;
  #nowMs = START_MS;
  #problem: unknown;

  constructor(seed: number) {
    const random = seeded(seed);
    this.#random = random;
    const { loop, disk } = newDisk(seed);
    this.#loop = loop;
    this.#disk = disk;
    this.#durability = DURABILITIES[below(random, DURABILITIES.length)] as Durability;
    const keys = (name: string) => Array.from({ length: KEYS_MAX }, (_, i) => `${name}:${i}`);
    this.#subjects = [
      new Group(keys("a")),
      new Group(keys("b").slice(1, 3)),
      new Counters(keys("c")),
      new Lists(keys("d"), this.#durability === "always"),
    ];
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
    if (below(random, 2) === 0) this.#disk.crash();
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
    const subject = this.#subjects[below(random, this.#subjects.length)] as Subject;
    if (below(random, 3) === 0) this.#look(client, subject);
    else this.#write(client, subject);
  }

  #write(client: SimClient, subject: Subject): void {
    const { commands, acked } = subject.write(this.#random);
    client.send(commands, (replies) => {
      if (replies.length === commands.length && isDone(replies.at(-1))) {
        this.deeds.acked++;
        acked();
      } else this.deeds.unknown++;
    });
  }

  #look(client: SimClient, subject: Subject): void {
    const { commands, judge } = subject.look();
    client.send(commands, (replies) => {
      const seen = seenBy(commands, replies);
      if (seen === undefined) return;
      this.deeds.read++;
      try {
        judge(seen);
      } catch (error) {
        this.#problem ??= error;
      }
    });
  }

  /** Nothing fails any more: everybody is answered, and every group is whole. */
  async #quietLife(): Promise<void> {
    const node = await this.#boot();
    await this.#until(node, () => node.isServing, "the start");
    for (const subject of this.#subjects) {
      const client = node.connect() as SimClient;
      const { read } = this.deeds;
      this.#look(client, subject);
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
