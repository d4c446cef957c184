/**
 * All commands. A command that is not here does not exist.
 */
import type { Command } from "./command.ts";
import { bitCommands } from "./vnode/commands/bits.ts";
import { expiryCommands } from "./vnode/commands/expiry.ts";
import { introspectionCommands } from "./vnode/commands/introspection.ts";
import { keyCommands } from "./vnode/commands/keys.ts";
import { manyStringCommands } from "./vnode/commands/many-strings.ts";
import { numberCommands } from "./vnode/commands/numbers.ts";
import { stringRangeCommands } from "./vnode/commands/string-ranges.ts";
import { stringCommands } from "./vnode/commands/strings.ts";
import { hashNumberCommands } from "./vnode/commands/hash-numbers.ts";
import { hashCommands } from "./vnode/commands/hashes.ts";
import { listEditCommands } from "./vnode/commands/list-edits.ts";
import { listMoveCommands } from "./vnode/commands/list-moves.ts";
import { listCommands } from "./vnode/commands/lists.ts";
import { randomCommands } from "./vnode/commands/random-members.ts";
import { setAlgebraCommands } from "./vnode/commands/set-algebra.ts";
import { setCommands } from "./vnode/commands/sets.ts";
import { sortedSetRangeCommands } from "./vnode/commands/sorted-set-ranges.ts";
import { sortedSetCommands } from "./vnode/commands/sorted-sets.ts";

export const commands: readonly Command[] = [
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
