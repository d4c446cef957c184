/**
 * The admin HTTP port of a node: whether it lives, whether it serves, its metrics and its status.
 * Read only. It is bound first and exclusively, so it is also the guard against a second node.
 *
 * Invariant: every request is answered within a bounded time, whatever the workers do; nothing in a
 * request reaches anything but the choice of one of the pages.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { isLoopback } from "../../runtime/config/members.ts";
import { portOf } from "../gateway/listener.ts";
import type { Liveness, NodeStatus } from "../node-api.ts";
import { portTaken } from "./ports.ts";

// limits:
/** Bytes of a request's headers: none of ours is long. */
export const ADMIN_HEADER_BYTES_MAX = 8 * 1024;
/** How long a request may take to arrive, and a connection may be idle. */
export const ADMIN_REQUEST_TIMEOUT_MS = 5_000;
/** Connections at a time: scrapers and people, not clients. */
export const ADMIN_CONNECTIONS_MAX = 64;

/** What the pages show. */
export interface AdminSource {
  liveness(): Liveness;
  /** Why the node is not ready; undefined: it is. */
  whyNotReady(): string | undefined;
  status(): Promise<NodeStatus>;
  /** In the text format of Prometheus, 0.0.4. */
  metrics(): Promise<string>;
}

export interface AdminOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly source: AdminSource;
}

interface Page {
  readonly code: number;
  readonly type: string;
  readonly text: string;
}

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json; charset=utf-8";
const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

type Answer = (source: AdminSource) => Page | Promise<Page>;

const PAGES: ReadonlyMap<string, Answer> = new Map<string, Answer>([
  ["/livez", livez],
  ["/readyz", readyz],
  ["/metrics", async (source) => page(200, PROMETHEUS, await source.metrics())],
  ["/status", async (source) => page(200, JSON_TYPE, json(await source.status()))],
]);

function page(code: number, type: string, text: string): Page {
  return { code, type, text };
}

function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

function livez(source: AdminSource): Page {
  const liveness = source.liveness();
  return page(liveness.state === "stopping" ? 503 : 200, JSON_TYPE, json(liveness));
}

function readyz(source: AdminSource): Page {
  const reason = source.whyNotReady();
  return page(reason === undefined ? 200 : 503, TEXT, `${reason ?? "ready"}\n`);
}

/** The admin port, open. */
export class AdminServer {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = portOf(server);
  }

  /** Listens; rejects with PORT_IN_USE, naming the process that has the port if it is a node. */
  static open({ host, port, source }: AdminOptions): Promise<AdminServer> {
    const isLocal = isLoopback(host);
    const options = {
      maxHeaderSize: ADMIN_HEADER_BYTES_MAX,
      headersTimeout: ADMIN_REQUEST_TIMEOUT_MS,
      requestTimeout: ADMIN_REQUEST_TIMEOUT_MS,
      keepAliveTimeout: ADMIN_REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: ADMIN_REQUEST_TIMEOUT_MS / 5,
    };
    const server = createServer(options, (request, response) => {
      void answer(request, response, { source, isLocal });
    });
    server.maxConnections = ADMIN_CONNECTIONS_MAX;
    return new Promise((resolve, reject) => {
      server.on("error", (error) => {
        if (server.listening) return; // one connection that could not be accepted
        const choice = "--port or --admin-port";
        const wanted = { host, port, what: "admin HTTP", choice, own: new Set<number>() };
        portTaken(error, wanted).then(reject);
      });
      server.listen({ host, port, exclusive: true }, () => resolve(new AdminServer(server)));
    });
  }

  /** Ends every connection and lets the port go. Idempotent. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { source, isLocal }: { source: AdminSource; isLocal: boolean },
): Promise<void> {
  const { code, type, text } = await choose(request, source, isLocal);
  response.writeHead(code, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(code === 405 ? { allow: "GET, HEAD" } : {}),
  });
  response.end(text);
}

async function choose(
  { method, url = "/", headers }: IncomingMessage,
  source: AdminSource,
  isLocal: boolean,
): Promise<Page> {
  if (method !== "GET" && method !== "HEAD") {
    return page(405, TEXT, "only GET and HEAD: this port changes nothing\n");
  }
  if (isLocal && !isLocalName(headers.host)) {
    return page(403, TEXT, "this port is for this machine: ask it as localhost or by address\n");
  }
  const found = PAGES.get(url.split("?", 1)[0] ?? "");
  if (found === undefined) {
    return page(404, TEXT, `no such page; there are ${[...PAGES.keys()].join(", ")}\n`);
  }
  try {
    return await found(source);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return page(500, TEXT, `the page could not be made: ${why}\n`);
  }
}

/**
 * Whether a Host header means this machine. A web page elsewhere can make its own name lead to the
 * loopback address, and would then read what only this machine should (DNS rebinding).
 */
function isLocalName(host: string | undefined): boolean {
  if (host === undefined) return true;
  const name = host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || isIP(name) !== 0;
}
