/**
 * Inline requests: a line typed by hand, split into words as redis-cli does (sdssplitargs).
 *
 * Words end at blanks. Inside "..." the escapes \n \r \t \b \a \xHH and \<any> hold; inside '...'
 * only \'. A closing quote must be followed by a blank or the end.
 *
 * Invariant: without quotes the words are ranges of the line itself; with quotes all of them are
 * ranges of one new side buffer, so that a Request still has one buffer.
 */
import type { Request } from "./request.ts";

const DOUBLE_QUOTE = 34;
const SINGLE_QUOTE = 39;
const BACKSLASH = 92;
const HTTP_METHODS = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"];

/** Pushes the words of [start, stop) to the request; false if quotes are not balanced. */
export function splitInline(request: Request, line: Buffer, start: number, stop: number): boolean {
  for (let i = start; i < stop; i++) {
    if (line[i] === DOUBLE_QUOTE || line[i] === SINGLE_QUOTE) {
      return splitQuoted(request, line, start, stop);
    }
  }
  let at = start;
  for (;;) {
    while (at < stop && isSpace(line[at] as number)) at++;
    if (at === stop) return true;
    const wordStart = at;
    while (at < stop && !endsWord(line[at] as number)) at++;
    request.push(wordStart, at);
  }
}

/** GET /path HTTP/1.1 and its like: no Redis command of three words looks so. */
export function isRequestLine(request: Request): boolean {
  if (request.count !== 3 || !/^HTTP\/[0-9.]+$/.test(request.text(2))) return false;
  return HTTP_METHODS.includes(request.text(0).toUpperCase());
}

function splitQuoted(request: Request, line: Buffer, start: number, stop: number): boolean {
  // Nothing grows by unescaping.
  const side = Buffer.allocUnsafeSlow(stop - start);
  request.bytes = side;
  let at = start;
  let out = 0;
  for (;;) {
    while (at < stop && isSpace(line[at] as number)) at++;
    if (at === stop) return true;
    const wordStart = out;
    let open = 0;
    while (at < stop) {
      const byte = line[at] as number;
      if (open === 0) {
        if (endsWord(byte)) break;
        if (byte === DOUBLE_QUOTE || byte === SINGLE_QUOTE) open = byte;
        else side[out++] = byte;
        at++;
      } else if (byte === open) {
        if (at + 1 < stop && !isSpace(line[at + 1] as number)) return false;
        open = 0;
        at++;
        break;
      } else if (byte === BACKSLASH && at + 1 < stop) {
        if (open === DOUBLE_QUOTE) {
          const hex = at + 3 < stop ? hexEscape(line, at) : -1;
          side[out++] = hex >= 0 ? hex : escapedByte(line[at + 1] as number);
          at += hex >= 0 ? 4 : 2;
        } else {
          const quote = line[at + 1] === SINGLE_QUOTE;
          side[out++] = quote ? SINGLE_QUOTE : BACKSLASH;
          at += quote ? 2 : 1;
        }
      } else {
        side[out++] = byte;
        at++;
      }
    }
    if (open !== 0) return false;
    request.push(wordStart, out);
  }
}

/** The byte that \xHH at `at` stands for; -1 if it is no such escape. */
function hexEscape(line: Buffer, at: number): number {
  if (line[at + 1] !== 120) return -1;
  const high = hexDigit(line[at + 2] as number);
  const low = hexDigit(line[at + 3] as number);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

/** What a backslash before this byte means in double quotes. */
function escapedByte(byte: number): number {
  switch (byte) {
    case 110: // n
      return 10;
    case 114: // r
      return 13;
    case 116: // t
      return 9;
    case 98: // b
      return 8;
    case 97: // a
      return 7;
    default:
      return byte;
  }
}

/** C's isspace. */
function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

/** What ends a word outside quotes: not every space does, as in Redis. */
function endsWord(byte: number): boolean {
  return byte === 32 || byte === 9 || byte === 10 || byte === 13;
}
