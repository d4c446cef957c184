/**
 * Which worker a key or a client of a test server belongs to: for tests that must hit one. Partitions:
 * the default number of them, where nothing else is said.
 */
import { PARTITIONS_DEFAULT } from "../../runtime/base/limits.ts";
import { partitionShift, slotOf, workerOf } from "../../runtime/ring/slots.ts";
import type { TestServer } from "./server.ts";
import type { TestClient } from "./test-client.ts";

/** The worker that owns a key. */
export function ownerOfKey(
  key: string,
  workers: number,
  partitions: number = PARTITIONS_DEFAULT,
): number {
  return workerOf(partitionOfKey(key, partitions), partitions, workers);
}

/** The slot of a key. */
export function slotOfKey(key: string): number {
  const bytes = Buffer.from(key);
  return slotOf(bytes, 0, bytes.length);
}

/** The partition of a key. */
export function partitionOfKey(key: string, partitions: number = PARTITIONS_DEFAULT): number {
  return slotOfKey(key) >>> partitionShift(partitions);
}

/** The n-th key with this prefix that a worker owns. */
export function keyOn(
  worker: number,
  workers: number,
  prefix: string,
  n = 0,
  partitions: number = PARTITIONS_DEFAULT,
): string {
  let left = n;
  for (let i = 0; ; i++) {
    const key = `${prefix}${i}`;
    if (ownerOfKey(key, workers, partitions) === worker && left-- === 0) return key;
  }
}

/** One key of each worker. */
export function keysOnAll(workers: number, prefix: string, n = 0): string[] {
  return Array.from({ length: workers }, (_, worker) => keyOn(worker, workers, prefix, n));
}

/** A client of the gateway that this worker serves. */
export async function clientOn(
  server: TestServer,
  worker: number,
  workers: number,
): Promise<TestClient> {
  for (let tries = 0; tries < 1000; tries++) {
    const client = await server.connect();
    if (Number(await client.call("CLIENT", "ID")) % workers === worker) return client;
    client.destroy();
  }
  throw new Error(`no connection reaches worker ${worker}`);
}
