/**
 * Commands as the application gives them, as RESP.
 *
 * Invariant: an argument is sent as the bytes that it is; nothing in it can end it early. What is no
 * argument is refused by its place, before anything is sent: JavaScript's types do not stop it.
 */
import { CoterieError } from "../runtime/base/errors.ts";

/** An argument: text goes as UTF-8, numbers as their decimal text, bytes as they are. */
export type Argument = string | number | bigint | Uint8Array;

/** A command's name and arguments. */
export type Command = readonly [name: string, ...args: Argument[]];

/** What MULTI does not queue: it runs at once, and mostly ends or leaves the transaction. */
const NOT_QUEUED = new Set(["MULTI", "EXEC", "DISCARD", "WATCH", "QUIT", "RESET"]);
const CRLF = "\r\n";

/** The bytes of a command. Throws COMMAND_FAILED for one that a handle cannot send. */
export function encodeCommand(command: readonly Argument[]): Buffer {
  if (command.length === 0) throw refused("a command has a name");
  const parts = command.map((argument, i) => {
    if (argument instanceof Uint8Array) return argument;
    if (!isText(argument)) throw refused(`${placeOf(command, i)} is ${kindOf(argument)}: ${GIVE}`);
    return Buffer.from(typeof argument === "string" ? argument : String(argument));
  });
  refuseOddReplies(command);
  let length = headerBytes(parts.length);
  for (const part of parts) length += headerBytes(part.length) + part.length + CRLF.length;
  const bytes = Buffer.allocUnsafeSlow(length);
  let at = bytes.write(`*${parts.length}${CRLF}`, 0, "latin1");
  for (const part of parts) {
    at += bytes.write(`$${part.length}${CRLF}`, at, "latin1");
    bytes.set(part, at);
    at += part.length;
    at += bytes.write(CRLF, at, "latin1");
  }
  return bytes;
}

/**
 * The bytes of MULTI, the commands, EXEC. Throws COMMAND_FAILED for a command that would not be
 * queued: what follows it would not be part of the transaction.
 */
export function encodeTransaction(commands: readonly Command[]): Buffer[] {
  const encoded = commands.map((command) => {
    const bytes = encodeCommand(command);
    const name = upperWord(command[0]);
    if (NOT_QUEUED.has(name)) throw refused(`${name} cannot be a part of a transaction: ${APART}`);
    return bytes;
  });
  return [encodeCommand(["MULTI"]), ...encoded, encodeCommand(["EXEC"])];
}

const GIVE = "give a string, a number, a bigint or bytes";
const APART = "MULTI and EXEC are put around it for you; call WATCH, QUIT and RESET apart from it";

/** RESET: what the handle began with has to be said again. */
export function isReset([name]: Command): boolean {
  return upperWord(name) === "RESET";
}

function isText(argument: unknown): argument is string | number | bigint {
  const kind = typeof argument;
  return kind === "string" || kind === "number" || kind === "bigint";
}

function kindOf(argument: unknown): string {
  if (argument === undefined || argument === null) return String(argument);
  return Array.isArray(argument) ? "an array" : `of type ${typeof argument}`;
}

/** "SET: argument 2", the name being argument 0. */
function placeOf(command: readonly Argument[], i: number): string {
  return i === 0 ? "the command's name" : `${upperWord(command[0] as Argument)}: argument ${i}`;
}

function upperWord(word: Argument): string {
  const bytes =
    word instanceof Uint8Array ? Buffer.from(word.buffer, word.byteOffset, word.length) : word;
  return bytes.toString().toUpperCase();
}

function headerBytes(count: number): number {
  return 1 + String(count).length + CRLF.length;
}

/**
 * Commands without a reply would put every later reply in the wrong place; in RESP2 there are no
 * maps and doubles, which typed calls are answered with.
 */
function refuseOddReplies(command: readonly Argument[]): void {
  const [name, verb] = command.slice(0, 2).map(upperWord);
  if (name === "CLIENT" && verb === "REPLY") throw refused("CLIENT REPLY: a handle always replies");
  if (name === "HELLO" && verb === "2") throw refused("HELLO 2: a handle always speaks RESP3");
}

function refused(text: string): CoterieError {
  return new CoterieError("COMMAND_FAILED", text);
}
