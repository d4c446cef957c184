/** The admin port: its pages, what it refuses, and whom a second node finds there. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { Liveness, NodeStatus } from "../../../actors/node-api.ts";
import { AdminServer, type AdminSource } from "../../../actors/supervisor/admin.ts";
import { CoterieError } from "../../../runtime/base/errors.ts";

const HOST = "127.0.0.1";

interface Node extends AdminSource {
  state: Liveness["state"];
  reason: string | undefined;
  admin: number;
}

function node(): Node {
  return {
    state: "ready",
    reason: undefined,
    admin: 0,
    liveness() {
      const ports = { gateway: 1, direct: [2], admin: this.admin, control: 3, links: [4] };
      const who = { coterie: "0.1.0", node: "n1", cluster: "main", pid: 4711 };
      return { ...who, state: this.state, dataFolder: "/data", ports };
    },
    whyNotReady() {
      return this.reason;
    },
    status: () => Promise.resolve({ name: "n1", keys: 5 } as NodeStatus),
    metrics: () => Promise.resolve("coterie_ready 1\n"),
  };
}

/** An admin port with a node of the test's own behind it. */
async function opened() {
  const source = node();
  const server = await AdminServer.open({ host: HOST, port: 0, source });
  source.admin = server.port;
  return {
    source,
    port: server.port,
    get: (path: string, init?: RequestInit) => fetch(`http://${HOST}:${server.port}${path}`, init),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** Sends raw bytes; everything that comes back. */
async function raw(port: number, request: string): Promise<string> {
  const socket = connect(port, HOST);
  socket.end(request);
  return text(socket);
}

test("livez says who lives, and 503 once the node stops", async () => {
  await using admin = await opened();
  const alive = await admin.get("/livez");
  assert.equal(alive.status, 200);
  assert.equal(((await alive.json()) as Liveness).pid, 4711);
  admin.source.state = "stopping";
  assert.equal((await admin.get("/livez")).status, 503);
});

test("readyz is 200 when ready, else 503 with the reason", async () => {
  await using admin = await opened();
  assert.equal((await admin.get("/readyz")).status, 200);
  admin.source.reason = "worker 1 is down and restarts";
  const response = await admin.get("/readyz");
  assert.equal(response.status, 503);
  assert.equal(await response.text(), "worker 1 is down and restarts\n");
});

test("metrics and status have their types, a query changes nothing", async () => {
  await using admin = await opened();
  const metrics = await admin.get("/metrics?name=x");
  assert.equal(metrics.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(await metrics.text(), "coterie_ready 1\n");
  const status = await admin.get("/status");
  assert.equal(status.headers.get("cache-control"), "no-store");
  assert.deepEqual(await status.json(), { name: "n1", keys: 5 });
});

test("HEAD has the headers of GET and no body", async () => {
  await using admin = await opened();
  const response = await admin.get("/metrics", { method: "HEAD" });
  assert.equal(response.headers.get("content-length"), "16");
  assert.equal(await response.text(), "");
});

test("an unknown page names the known ones; names that objects have are unknown", async () => {
  await using admin = await opened();
  for (const path of ["/", "/livez/", "/__proto__", "/constructor", "//livez", "/%6civez"]) {
    const response = await admin.get(path);
    assert.equal(response.status, 404, path);
    assert.match(await response.text(), /\/livez, \/readyz, \/metrics, \/status/);
  }
});

test("nothing but GET and HEAD is served", async () => {
  await using admin = await opened();
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
    const response = await admin.get("/livez", { method });
    assert.equal(response.status, 405);
    assert.equal(response.headers.get("allow"), "GET, HEAD");
  }
});

test("a page that fails is one error, and the next request is served", async () => {
  await using admin = await opened();
  admin.source.metrics = () => Promise.reject(new Error("no worker"));
  const response = await admin.get("/metrics");
  assert.equal(response.status, 500);
  assert.match(await response.text(), /could not be made: no worker/);
  assert.equal((await admin.get("/livez")).status, 200);
});

test("a name that is not this machine's is refused on a loopback address", async () => {
  await using admin = await opened();
  const ask = (host: string) => raw(admin.port, `GET /status HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  assert.match(await ask("evil.example:80"), /^HTTP\/1\.1 403 /);
  assert.match(await ask("127.0.0.1.evil.example"), /^HTTP\/1\.1 403 /);
  for (const host of ["localhost", `localhost:${admin.port}`, "127.0.0.1:1", "[::1]:80"]) {
    assert.match(await ask(host), /^HTTP\/1\.1 200 /, host);
  }
});

test("headers without end, and what is no HTTP, end the connection", async () => {
  await using admin = await opened();
  const long = `GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(10_000)}\r\n\r\n`;
  assert.match(await raw(admin.port, long), /^HTTP\/1\.1 431 /);
  assert.match(await raw(admin.port, "*1\r\n$4\r\nPING\r\n"), /^HTTP\/1\.1 400 /);
});

test("a port that a node has is refused with its name, process and folder", async () => {
  await using admin = await opened();
  const second = AdminServer.open({ host: HOST, port: admin.port, source: node() });
  await assert.rejects(second, (error) => {
    assert.ok(error instanceof CoterieError);
    assert.equal(error.code, "PORT_IN_USE");
    assert.equal(error.detail.pid, 4711);
    const place = `port 127\\.0\\.0\\.1:${admin.port} \\(admin HTTP\\)`;
    const who = "in use by Coterie node n1, process 4711, which serves /data";
    assert.match(error.message, new RegExp(`${place} is ${who}: stop it first`));
    return true;
  });
});

test("a port that somebody else has is refused without inventing a name", async () => {
  await using other = await opened();
  other.source.liveness = () => ({ hello: "world" }) as unknown as Liveness;
  const second = AdminServer.open({ host: HOST, port: other.port, source: node() });
  await assert.rejects(second, /is in use by another process: stop that one, or choose another/);
});
