/**
 * What a command must pass before it is queued or run: nobody holds it back; on a direct port its
 * keys must be that worker's and of one slot, as on a node of a Redis Cluster; in a transaction there
 * must be room.
 */
import type { Request } from "../../runtime/codec/request.ts";
import { slotOf } from "../../runtime/ring/slots.ts";
import { type CommandEntry, keyIndexes, unknownSubcommand } from "../command-table.ts";
import { discardedFor } from "../worker/participant.ts";
import type { Client } from "./client.ts";
import type { Connection } from "./connection.ts";
import type { DispatchHost } from "./dispatcher.ts";

export const CROSS_SLOT =
  "CROSSSLOT Keys in request don't hash to the same slot: use the gateway port, or a {hash tag}";
const NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
const QUEUE_TOO_LONG = "ERR this transaction is too large: nothing of it will be executed";

/** Who holds commands back for a time. */
export interface Holder {
  /** Called once: the connection goes on. */
  whenOver(connection: Connection, run: () => void): void;
}

/** Who holds this command back: CLIENT PAUSE, or a lockout; null: nobody. */
export function holderOf(
  { clientPause, logins }: DispatchHost,
  client: Client,
  entry: CommandEntry,
  request: Request,
): Holder | null {
  if (clientPause.isOn && clientPause.holds(client, entry)) return clientPause;
  return !client.isAuthenticated && logins.holds(client, entry, request) ? logins : null;
}

/** Queues a command, or answers why it cannot be. */
export function refusesToQueue(
  host: DispatchHost,
  client: Client,
  request: Request,
  entry: CommandEntry,
): string | null {
  // A known subcommand has an entry of its own.
  const isUnknown = entry.subcommands.length > 0 && request.count > 1;
  if (isUnknown) return unknownSubcommand(entry.facts.name, request);
  if (entry.isRefusedInMulti) return NOT_IN_MULTI;
  if (client.isDirect) {
    const redirection = redirects(host, client, request, entry);
    if (redirection !== null) return redirection;
  }
  const refusal = entry.isWrite ? host.refusesWrite(entry.deniesOom) : null;
  // With several workers it is the owner's memory that counts: EXEC asks it.
  if (refusal !== null && host.config.workers === 1) return refusal;
  if (entry.isWrite) client.queuesWrites = true;
  const isKept = client.isQueueBroken || client.enqueue(request, host.limits.queryBytesMax);
  return isKept ? null : QUEUE_TOO_LONG;
}

/** A command was refused: its transaction fails, too, at once if it is EXEC. Returns the reply. */
export function breakTransaction(client: Client, entry: CommandEntry, text: string): string {
  if (entry.fullName === "exec") {
    client.endTransaction();
    return discardedFor(text.replace(/^ERR /, ""));
  }
  client.breakQueue();
  return text;
}

/** On a direct port: CROSSSLOT, MOVED, or null where the keys are here. */
export function redirects(
  host: DispatchHost,
  client: Client,
  request: Request,
  entry: CommandEntry,
): string | null {
  const indexes = keyIndexes(entry.command, request);
  let slot = -1;
  for (const index of indexes) {
    const start = request.starts[index] as number;
    const own = slotOf(request.bytes, start, request.ends[index] as number);
    if (slot >= 0 && own !== slot) return CROSS_SLOT;
    slot = own;
  }
  if (slot < 0) return null;
  const partition = host.executor.partitionOfSlot(client.keyspace, slot);
  if (host.ownerOf(client.keyspace, partition) === host.index) return null;
  return host.slots.moved(slot, client.connection?.transport.localAddress);
}
