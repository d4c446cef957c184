/**
 * Commands as the application gives them, as RESP.
 *
 * Invariant: an argument is sent as the bytes that it is; nothing in it can end it early.
 */
import { CoterieError } from "../runtime/base/errors.ts";

/** An argument: text goes as UTF-8, numbers as their decimal text, bytes as they are. */
export type Argument = string | number | bigint | Uint8Array;

/** A command's name and arguments. */
export type Command = readonly [name: string, ...args: Argument[]];

const CRLF = "\r\n";

/** The bytes of a command. Throws COMMAND_FAILED for one that a handle cannot send. */
export function encodeCommand(command: readonly Argument[]): Buffer {
  if (command.length === 0) throw refused("a command has a name");
  refuseSilence(command);
  const parts = command.map((argument) => {
    if (argument instanceof Uint8Array) return argument;
    return Buffer.from(typeof argument === "string" ? argument : String(argument));
  });
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

function headerBytes(count: number): number {
  return 1 + String(count).length + CRLF.length;
}

/** Commands without a reply would put every later reply in the wrong place. */
function refuseSilence(command: readonly Argument[]): void {
  const [name, verb] = command.slice(0, 2).map((word) => {
    const bytes =
      word instanceof Uint8Array ? Buffer.from(word.buffer, word.byteOffset, word.length) : word;
    return bytes.toString().toUpperCase();
  });
  if (name === "CLIENT" && verb === "REPLY") throw refused("CLIENT REPLY: a handle always replies");
}

function refused(text: string): CoterieError {
  return new CoterieError("COMMAND_FAILED", text);
}
