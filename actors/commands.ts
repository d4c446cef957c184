/**
 * All commands. A command that is not here does not exist.
 */
import type { Command } from "./command.ts";
import { aboutCommands } from "./gateway/commands/about-commands.ts";
import { aclCommands } from "./gateway/commands/acl.ts";
import { clientCommands } from "./gateway/commands/clients.ts";
import { clusterCommands } from "./gateway/commands/cluster.ts";
import { configCommands } from "./gateway/commands/config.ts";
import { connectionCommands } from "./gateway/commands/connection.ts";
import { extensionCommands } from "./gateway/commands/extensions.ts";
import { infoCommands } from "./gateway/commands/info.ts";
import { keyspaceCommands } from "./gateway/commands/keyspace.ts";
import { memoryCommands } from "./gateway/commands/memory.ts";
import { scanCommands } from "./gateway/commands/scan.ts";
import { serverCommands } from "./gateway/commands/server.ts";
import { transactionCommands } from "./gateway/commands/transactions.ts";
import { bitCommands } from "./vnode/commands/bits.ts";
import { expiryCommands } from "./vnode/commands/expiry.ts";
import { hashNumberCommands } from "./vnode/commands/hash-numbers.ts";
import { hashCommands } from "./vnode/commands/hashes.ts";
import { introspectionCommands } from "./vnode/commands/introspection.ts";
import { keyCommands } from "./vnode/commands/keys.ts";
import { listEditCommands } from "./vnode/commands/list-edits.ts";
import { listMoveCommands } from "./vnode/commands/list-moves.ts";
import { listCommands } from "./vnode/commands/lists.ts";
import { manyStringCommands } from "./vnode/commands/many-strings.ts";
import { numberCommands } from "./vnode/commands/numbers.ts";
import { randomCommands } from "./vnode/commands/random-members.ts";
import { setAlgebraCommands } from "./vnode/commands/set-algebra.ts";
import { setCommands } from "./vnode/commands/sets.ts";
import { sortedSetRangeCommands } from "./vnode/commands/sorted-set-ranges.ts";
import { sortedSetCommands } from "./vnode/commands/sorted-sets.ts";
import { stringRangeCommands } from "./vnode/commands/string-ranges.ts";
import { stringCommands } from "./vnode/commands/strings.ts";

export const commands: readonly Command[] = [
  ...connectionCommands,
  ...clientCommands,
  ...transactionCommands,
  ...aboutCommands,
  ...infoCommands,
  ...configCommands,
  ...clusterCommands,
  ...serverCommands,
  ...keyspaceCommands,
  ...scanCommands,
  ...memoryCommands,
  ...aclCommands,
  ...extensionCommands,
  ...stringCommands,
  ...bitCommands,
  ...expiryCommands,
  ...introspectionCommands,
  ...keyCommands,
  ...manyStringCommands,
  ...numberCommands,
  ...stringRangeCommands,
  ...listCommands,
  ...listEditCommands,
  ...listMoveCommands,
  ...setCommands,
  ...setAlgebraCommands,
  ...randomCommands,
  ...hashCommands,
  ...hashNumberCommands,
  ...sortedSetCommands,
  ...sortedSetRangeCommands,
];
