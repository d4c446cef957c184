/**
 * The model as a replica under test: ModelReplica with an origin, a clock and the commands.
 *
 * It is also the shadow of a real vnode: `plan` says what a command should become, and the shadow
 * takes the vnode's own op, so that both must hold the same state after every step.
 */
import type { Random } from "../../runtime/base/prng.ts";
import type { Break } from "./breaks.ts";
import { plan } from "./commands.ts";
import type {
  Bytes,
  CanonicalState,
  CanonicalValue,
  Dot,
  Made,
  MakeReplica,
  ModelCommand,
  NeutralMark,
  NeutralMutation,
  NeutralOp,
  Origin,
  ReplicaOptions,
  ReplicaUnderTest,
} from "./harness.ts";
import { cellName, compareDots, exactText, HLC_EPOCH_MS, HLC_STEPS } from "./harness.ts";
import { kindOf } from "./numbers.ts";
import type { Plan } from "./plan.ts";
import { answer, removal } from "./plan.ts";
import type { Effect } from "./replica.ts";
import { ModelReplica, replyOf } from "./replica.ts";
import { headsOf, siblingsOf, viewKey } from "./view.ts";

export function makeModel(broken?: Break): MakeReplica {
  return (options) => new ModelSubject(options, broken);
}

/** Replicas that clear lazily (cuts.ts); `mixed`: all but the second, and one that replays. */
export function makeLazyModel(broken?: Break, mixed = true): MakeReplica {
  const eager = mixed ? ["b", "z"] : [];
  return (options) => new ModelSubject(options, broken, !eager.includes(options.name));
}

export class ModelSubject implements ReplicaUnderTest {
  readonly replica: ModelReplica;
  readonly #options: ReplicaOptions;
  readonly #broken: Break | undefined;
  #origin: Origin;

  constructor(options: ReplicaOptions, broken?: Break, lazy = false) {
    this.#options = options;
    this.#broken = broken;
    this.#origin = drawOrigin(options.random);
    this.replica = new ModelReplica(broken, lazy);
  }

  origin(): Origin {
    return this.#origin;
  }

  /** A shadow makes its plans under the origin of what it shadows. */
  adoptOrigin(origin: Origin): void {
    this.#origin = origin;
  }

  run(command: ModelCommand, nowMs: number): Made {
    const planned = this.plan(command, nowMs);
    if (planned.mutations.length === 0) return { reply: planned.reply };
    const { opId } = command;
    return this.#make(planned, nowMs, opId);
  }

  mutate(mutations: readonly NeutralMutation[], nowMs: number): Made {
    return this.#make(answer("OK", mutations), nowMs);
  }

  undo(nowMs: number): Made {
    return this.#makeIfAny(this.planUndo(), nowMs);
  }

  sweep(key: Bytes, nowMs: number): Made {
    const mutations = this.planSweep(key, nowMs);
    if (this.#broken === "local-sweep") {
      if (mutations.length > 0) this.replica.forget(key);
      return answer(0);
    }
    return this.#makeIfAny(mutations, nowMs);
  }

  deliver(op: unknown): void {
    this.replica.receive(this.exportOp(op));
  }

  join(from: ReplicaUnderTest): void {
    if (from instanceof ModelSubject) this.replica.join(from.replica);
  }

  background(): void {
    this.replica.advance();
  }

  makeDurable(): void {
    this.replica.makeDurable();
  }

  crash(): void {
    this.replica.crash();
    if (this.#broken !== "origin") this.#origin = drawOrigin(this.#options.random);
  }

  read(key: Bytes, nowMs: number): CanonicalValue {
    const cells = this.replica.cellsOf(key);
    const view = viewKey(cells, nowMs, this.#broken);
    const elements = view.elements.map(({ cell, value }) => [cell.element, value] as const);
    const all = this.#broken === "cut-count" ? this.replica.sizeOf(key) : cells.size;
    const count = this.#broken?.endsWith("count") ? all : elements.length;
    return {
      type: view.type,
      value: view.value,
      elements,
      count: view.type === null ? 0 : view.type === "string" ? 1 : count,
      until: view.until,
      siblings: siblingsOf(view),
    };
  }

  readContext(key: Bytes): readonly NeutralMark[] {
    return headsOf(this.replica.cellsOf(key)).map(({ dot, adds }) => ({
      dot,
      adds: Object.fromEntries([...adds].map(([origin, { counter }]) => [origin, counter])),
    }));
  }

  state(): CanonicalState {
    return this.replica.state();
  }

  exportOp(op: unknown): NeutralOp {
    return op as NeutralOp;
  }

  importOp(op: NeutralOp): unknown {
    return op;
  }

  plan(command: ModelCommand, nowMs: number): Plan {
    const { opId } = command;
    const tries = opId === undefined ? undefined : this.replica.opIds.get(opId);
    if (tries !== undefined && this.#broken !== "op-ids") return answer(replyOf(tries));
    return plan(this.#coordinator(nowMs), command);
  }

  /** The first double executed try that is not undone yet: every one but the smallest dot's. */
  planUndo(): readonly NeutralMutation[] {
    if (this.#broken === "undo-missing") return [];
    for (const id of [...this.replica.opIds.keys()].sort()) {
      const tries = this.replica.opIds.get(id) ?? new Map();
      const [, ...doubles] = [...tries.keys()].sort(compareDots);
      for (const dot of doubles) {
        const mutations = this.#undoTry(dot, tries.get(dot)?.effects ?? []);
        if (mutations.length > 0) return mutations;
      }
    }
    return [];
  }

  /**
   * What is absent now, and was so a grace ago, is cleared; elements that are past their own copy
   * are removed, unless a sibling lives in their cell.
   */
  planSweep(key: Bytes, nowMs: number): readonly NeutralMutation[] {
    const cells = this.replica.cellsOf(key);
    if (cells.size === 0) return [];
    const now = viewKey(cells, nowMs, this.#broken);
    const before = viewKey(cells, nowMs - this.#options.graceMs, this.#broken);
    if (now.type === null && before.type === null) return [{ kind: "clear", key }];
    if (now.type === null) return [];
    const long = new Set(before.deadCells.map(cellName));
    return now.deadCells
      .filter((cell) => long.has(cellName(cell)))
      .filter((cell) => cells.get(cellName(cell))?.versions.size === 1)
      .map(removal);
  }

  #undoTry(undone: Dot, effects: readonly Effect[]): readonly NeutralMutation[] {
    const mutations: NeutralMutation[] = [];
    for (const { kind, cell, dot, delta } of effects) {
      const version = this.replica.version(cell, dot);
      if (version === undefined) continue;
      if (kind === "push") mutations.push({ kind: "remove", cell, covers: [dot] });
      else if (!version.undone.has(undone)) {
        const number = kindOf(delta);
        mutations.push({ kind: "undo", cell, dot, undone, number, delta: exactText(delta) });
      }
    }
    return mutations;
  }

  #coordinator(now: number) {
    const { replica } = this;
    const broken = this.#broken;
    return {
      origin: this.#origin,
      counter: this.#nextCounter(),
      siblingsMax: this.#options.siblingsMax,
      now,
      broken,
      cells: (key: Bytes) => replica.cellsOf(key),
      view: (key: Bytes) => viewKey(replica.cellsOf(key), now, broken),
    };
  }

  #nextCounter(): number {
    return (this.replica.applied.get(this.#origin) ?? 0) + 1;
  }

  #makeIfAny(mutations: readonly NeutralMutation[], nowMs: number): Made {
    if (mutations.length === 0) return { reply: 0 };
    return this.#make(answer(mutations.length, mutations), nowMs);
  }

  #make({ reply, mutations }: Plan, nowMs: number, opId?: string): Made {
    const wall = Math.max(0, nowMs - HLC_EPOCH_MS) * HLC_STEPS;
    const op: NeutralOp = {
      origin: this.#origin,
      counter: this.#nextCounter(),
      past: this.replica.pastOf(this.#origin),
      hlc: this.#broken === "hlc" ? wall : Math.max(this.replica.hlc + 1, wall),
      mutations,
      ...(opId === undefined ? {} : { opId, reply }),
    };
    this.replica.apply(op);
    return { reply, op };
  }
}

function drawOrigin(random: Random): Origin {
  const word = () => random.u32().toString(16).padStart(8, "0");
  return word() + word();
}
