/**
 * The control plane between threads: rare calls (inspect, snapshot now, log level) over comlink.
 * Never the data path. The only importer of comlink, whose Node adapter has no types under ESM:
 * `endpoint` is our own.
 *
 * Invariant: every call ends: with its result, its error, a timeout, or WORKER_DOWN when the other
 * side closes. CoterieErrors keep their code across the thread.
 */
import type { MessagePort } from "node:worker_threads";
import type { Endpoint, Remote } from "comlink";
import { expose, wrap } from "comlink";
import type { Timers } from "../base/clock.ts";
import type { ErrorCode } from "../base/errors.ts";
import { CoterieError } from "../base/errors.ts";

/** What a thread lets others call: plain functions of cloneable values, by name. */
export type ControlApi = Readonly<Record<string, (...args: never[]) => unknown>>;

type Answer =
  | { readonly kind: "value"; readonly value: unknown }
  | {
      readonly kind: "error";
      readonly code: ErrorCode;
      readonly message: string;
      readonly detail: unknown;
      readonly stack: string | undefined;
    };

/** The calling side of one connection. */
export interface Control<Api extends ControlApi> {
  call<K extends keyof Api & string>(
    name: K,
    ...args: Parameters<Api[K]>
  ): Promise<Awaited<ReturnType<Api[K]>>>;
  /** Ends the connection; what is under way is WORKER_DOWN. */
  close(): void;
}

/** Serves `api` on `port` until either side closes. */
export function exposeControl<Api extends ControlApi>(api: Api, port: MessagePort): void {
  const functions = new Map<string, (...args: never[]) => unknown>(Object.entries(api));
  const serve = async (name: string, args: readonly unknown[]): Promise<Answer> => {
    const called = functions.get(name);
    try {
      if (called === undefined) throw new Error(`there is no control function ${name}`);
      return { kind: "value", value: await called(...(args as never[])) };
    } catch (error) {
      return answerOf(name, error);
    }
  };
  expose(serve, endpoint(port));
}

type Serve = (name: string, args: readonly unknown[]) => Promise<Answer>;

/** Calls what the other end of `port` exposes; each call waits at most `timeoutMs`. */
export function wrapControl<Api extends ControlApi>(
  port: MessagePort,
  options: { readonly timers: Timers; readonly timeoutMs: number },
): Control<Api> {
  const remote: Remote<Serve> = wrap<Serve>(endpoint(port));
  const open = new Set<(error: CoterieError) => void>();
  let closed = false;
  const close = () => {
    closed = true;
    for (const fail of [...open]) fail(down());
  };
  port.on("close", close);
  return {
    call(name, ...args) {
      return new Promise((resolve, reject) => {
        if (closed) {
          reject(down());
          return;
        }
        const end = () => {
          open.delete(fail);
          timer.cancel();
        };
        const fail = (error: CoterieError) => {
          end();
          reject(error);
        };
        const timer = options.timers.after(options.timeoutMs, () => fail(timeout(name, options)));
        open.add(fail);
        remote(name, args).then(
          (answer) => {
            end();
            if (answer.kind === "value") resolve(answer.value as never);
            else reject(errorOf(answer));
          },
          // Arguments that cannot be cloned, or a result that could not.
          (error: unknown) => fail(failed(name, error)),
        );
      });
    },
    close() {
      close();
      port.close();
    },
  };
}

/** A MessagePort as comlink wants it. */
function endpoint(port: MessagePort): Endpoint {
  const listeners = new Map<unknown, (data: unknown) => void>();
  return {
    postMessage: (message: unknown, transfer: readonly MessagePort[] = []) =>
      port.postMessage(message, transfer),
    addEventListener(_type: string, listener: unknown) {
      const onMessage = (data: unknown) => (listener as (event: object) => void)({ data });
      listeners.set(listener, onMessage);
      port.on("message", onMessage);
    },
    removeEventListener(_type: string, listener: unknown) {
      const onMessage = listeners.get(listener);
      if (onMessage !== undefined) port.off("message", onMessage);
      listeners.delete(listener);
    },
    start: () => port.start(),
  };
}

function answerOf(name: string, error: unknown): Answer {
  const known = error instanceof CoterieError ? error : failed(name, error);
  return {
    kind: "error",
    code: known.code,
    message: known.message,
    detail: known.detail,
    stack: error instanceof Error ? error.stack : undefined,
  };
}

function errorOf(answer: Answer & { kind: "error" }): CoterieError {
  return new CoterieError(answer.code, answer.message, {
    detail: answer.detail as Record<string, unknown>,
    cause: answer.stack,
  });
}

function failed(name: string, error: unknown): CoterieError {
  const why = error instanceof Error ? error.message : String(error);
  return new CoterieError("UNKNOWN_OUTCOME", `the control call ${name} failed: ${why}`, {
    detail: { call: name },
    cause: error,
  });
}

function timeout(name: string, { timeoutMs }: { timeoutMs: number }): CoterieError {
  const message = `the control call ${name} got no answer within ${timeoutMs} ms; it may still happen`;
  return new CoterieError("TIMEOUT", message, { detail: { call: name, timeoutMs } });
}

function down(): CoterieError {
  return new CoterieError("WORKER_DOWN", "the thread at the other end of the control port is gone");
}
