/**
 * Protocols: what an actor can be told and asked, declared once and apart from its handlers.
 *
 * A declaration gives the types, the wire id of each message and a light check of what comes from
 * another thread. Messages that stay on their thread are checked by the compiler alone.
 *
 * Invariant: within one protocol a wire id names one message, for ever; ids are never reused.
 */
import { assert } from "../base/assert.ts";

/**
 * A check of one value. `problem` answers undefined for a good value, else what is wrong with it
 * ("u32 expected"), prefixed by the path to the part that is wrong.
 */
export interface Shape<T> {
  readonly problem: (value: unknown) => string | undefined;
  /** Never set: carries the type. */
  readonly type?: T;
}

export type ShapeOf<S> = S extends Shape<infer T> ? T : never;

/** A shape from a predicate; `description` completes "… expected". */
export function shape<T>(description: string, accepts: (value: unknown) => boolean): Shape<T> {
  const wrong = `${description} expected`;
  return { problem: (value) => (accepts(value) ? undefined : wrong) };
}

export const u8: Shape<number> = shape("u8", (value) => isInteger(value, 0xff));
export const u16: Shape<number> = shape("u16", (value) => isInteger(value, 0xffff));
export const u32: Shape<number> = shape("u32", (value) => isInteger(value, 0xffffffff));
/** A non-negative integer that a double holds exactly: counters, HLCs, byte counts. */
export const integer: Shape<number> = shape("integer", (value) =>
  isInteger(value, Number.MAX_SAFE_INTEGER),
);
export const float: Shape<number> = shape("number", (value) => typeof value === "number");
export const flag: Shape<boolean> = shape("boolean", (value) => typeof value === "boolean");
export const text: Shape<string> = shape("string", (value) => typeof value === "string");
export const bytes: Shape<Uint8Array> = shape("bytes", (value) => value instanceof Uint8Array);
/** A message or a reply that says nothing but that it happened. */
export const nothing: Shape<undefined> = shape("nothing", (value) => value === undefined);

/** A live object (a callback, a connection): for messages that never leave their thread. */
export function local<T>(): Shape<T> {
  return LOCAL as Shape<T>;
}
const LOCAL: Shape<unknown> = shape("a message within the thread", () => false);

export function literal<const T extends string | number | boolean>(
  ...allowed: readonly T[]
): Shape<T> {
  const set = new Set<unknown>(allowed);
  return shape(`one of ${allowed.join(", ")}`, (value) => set.has(value));
}

export function optional<T>(inner: Shape<T>): Shape<T | undefined> {
  return { problem: (value) => (value === undefined ? undefined : inner.problem(value)) };
}

/** An array of at most `itemsMax` items: what comes from outside has a bound. */
export function list<T>(inner: Shape<T>, itemsMax: number): Shape<readonly T[]> {
  return {
    problem(value) {
      if (!Array.isArray(value)) return "list expected";
      if (value.length > itemsMax) return `at most ${itemsMax} items expected`;
      for (let i = 0; i < value.length; i++) {
        const problem = inner.problem(value[i]);
        if (problem !== undefined) return `[${i}]: ${problem}`;
      }
      return undefined;
    },
  };
}

type Fields = Readonly<Record<string, Shape<unknown>>>;
type RecordOf<F extends Fields> = {
  readonly [K in keyof F as undefined extends ShapeOf<F[K]> ? never : K]: ShapeOf<F[K]>;
} & {
  readonly [K in keyof F as undefined extends ShapeOf<F[K]> ? K : never]?: ShapeOf<F[K]>;
};

/** An object with these fields. Others are let through: a newer sender may know more. */
export function record<F extends Fields>(fields: F): Shape<RecordOf<F>> {
  const entries = Object.entries(fields);
  return {
    problem(value) {
      if (typeof value !== "object" || value === null) return "record expected";
      for (const [name, inner] of entries) {
        const field = Object.hasOwn(value, name)
          ? (value as Record<string, unknown>)[name]
          : undefined;
        const problem = inner.problem(field);
        if (problem !== undefined) return `${name}: ${problem}`;
      }
      return undefined;
    },
  };
}

/** Control messages (topology, supervision) overtake data messages (requests, ops). */
export type Lane = "control" | "data";

/** A request that is answered. */
export interface Ask<Request, Reply> {
  readonly kind: "ask";
  readonly wireId: number;
  readonly lane: Lane;
  readonly request: Shape<Request>;
  readonly reply: Shape<Reply>;
}

/** A fact or an order that nobody waits for. */
export interface Tell<Request> {
  readonly kind: "tell";
  readonly wireId: number;
  readonly lane: Lane;
  readonly request: Shape<Request>;
}

/** `wireId` is 1 to 255, unique in its protocol. */
export function ask<Request, Reply>(
  wireId: number,
  request: Shape<Request>,
  reply: Shape<Reply>,
  options: { readonly lane?: Lane } = {},
): Ask<Request, Reply> {
  return { kind: "ask", wireId, lane: options.lane ?? "data", request, reply };
}

export function tell<Request>(
  wireId: number,
  request: Shape<Request>,
  options: { readonly lane?: Lane } = {},
): Tell<Request> {
  return { kind: "tell", wireId, lane: options.lane ?? "data", request };
}

export type Message = Ask<unknown, unknown> | Tell<unknown>;
export type Messages = Readonly<Record<string, Message>>;

export type RequestOf<M> = M extends { readonly request: Shape<infer Request> } ? Request : never;
export type ReplyOf<M> = M extends { readonly reply: Shape<infer Reply> } ? Reply : never;
export type AskNames<M extends Messages> = {
  [K in keyof M & string]: M[K] extends { readonly kind: "ask" } ? K : never;
}[keyof M & string];
export type TellNames<M extends Messages> = {
  [K in keyof M & string]: M[K] extends { readonly kind: "tell" } ? K : never;
}[keyof M & string];

/** What came from another thread, judged. */
export type Checked =
  | { readonly kind: "message"; readonly name: string; readonly declaration: Message }
  | { readonly kind: "refused"; readonly why: string };

export interface Protocol<M extends Messages> {
  readonly name: string;
  readonly messages: M;
  /** Whether `body` is a request of the message with this wire id. */
  check(wireId: number, body: unknown): Checked;
}

/** Declares a protocol; `name` is a word of the glossary. */
export function protocol<const M extends Messages>(name: string, messages: M): Protocol<M> {
  const byWireId = new Map<number, { name: string; declaration: Message }>();
  for (const [messageName, declaration] of Object.entries(messages)) {
    const { wireId } = declaration;
    assert(isInteger(wireId, 0xff) && wireId > 0, `${name}.${messageName}: a wire id is 1 to 255`);
    assert(!byWireId.has(wireId), `${name}.${messageName}: wire id ${wireId} names one message`);
    byWireId.set(wireId, { name: messageName, declaration });
  }
  return {
    name,
    messages,
    check(wireId, body) {
      const known = byWireId.get(wireId);
      if (known === undefined) {
        return { kind: "refused", why: `${name} has no message ${wireId}` };
      }
      const problem = known.declaration.request.problem(body);
      if (problem !== undefined) {
        return { kind: "refused", why: `${name}.${known.name}: ${problem}` };
      }
      return { kind: "message", ...known };
    },
  };
}

function isInteger(value: unknown, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}
