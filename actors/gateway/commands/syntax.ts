/**
 * Arguments of a command as COMMAND DOCS shows them, read from Redis's syntax notation:
 *
 *   key value [NX | XX] [EX seconds | PX milliseconds] <LEFT | RIGHT> [key value ...]
 *
 * Words in capitals are tokens; the words after one, up to the next token or bracket, are its
 * arguments. `[x ...]` after the same x says that x comes several times. `<x>` is x.
 *
 * Invariant: reading never fails; an odd notation gives odd hints, nothing worse.
 */

export type ArgumentType =
  | "key"
  | "string"
  | "integer"
  | "double"
  | "pattern"
  | "unix-time"
  | "pure-token"
  | "oneof"
  | "block";

/** One argument, or a group of them. */
export interface DocArgument {
  readonly name: string;
  readonly type: ArgumentType;
  readonly token?: string;
  readonly optional?: boolean;
  readonly multiple?: boolean;
  readonly arguments?: readonly DocArgument[];
}

const TYPES: Readonly<Record<string, ArgumentType>> = {
  key: "key",
  newkey: "key",
  source: "key",
  destination: "key",
  pattern: "pattern",
  score: "double",
  "unix-time-seconds": "unix-time",
  "unix-time-milliseconds": "unix-time",
};
const INTEGERS =
  /^(seconds|milliseconds|count|index|cursor|numkeys|numreplicas|offset|decrement|start|stop|limit|bit|rank|num-matches|len|len-min|port|timeout|slot|start-slot|end-slot|protover|client-id|db|destination-db)$/;

/** The arguments that a syntax describes. */
export function parseSyntax(syntax: string): readonly DocArgument[] {
  const bare = syntax.replace(/<([a-z][a-z0-9-]*)>/g, "$1");
  const words = bare.match(/\[|\]|<|>|\||\.\.\.|[^\s[\]<>|]+/g) ?? [];
  const reader = { words, at: 0 };
  const [first = []] = readAlternatives(reader, "").alternatives;
  return first;
}

interface Reader {
  readonly words: readonly string[];
  at: number;
}

interface Alternatives {
  readonly alternatives: readonly (readonly DocArgument[])[];
  /** It ended with "...". */
  readonly repeats: boolean;
}

/** Reads up to a closing bracket: sequences between bars. */
function readAlternatives(reader: Reader, close: string): Alternatives {
  const alternatives: DocArgument[][] = [];
  let sequence: DocArgument[] = [];
  let repeats = false;
  while (reader.at < reader.words.length) {
    const word = reader.words[reader.at++] as string;
    if (word === close) break;
    if (word === "|") {
      alternatives.push(sequence);
      sequence = [];
    } else if (word === "...") repeats = true;
    else if (word === "[" || word === "<") readGroup(reader, word, sequence);
    else sequence.push(isToken(word) ? readToken(reader, word) : placeholder(word));
  }
  alternatives.push(sequence);
  return { alternatives, repeats };
}

/** Reads a bracket's content and adds what it says to the sequence before it. */
function readGroup(reader: Reader, open: string, sequence: DocArgument[]): void {
  const { alternatives, repeats } = readAlternatives(reader, open === "[" ? "]" : ">");
  const content = alternatives[0] ?? [];
  const isOptional = open === "[";
  if (repeats && isOptional && alternatives.length === 1) {
    const before = sequence.slice(-content.length);
    if (content.length > 0 && namesOf(before) === namesOf(content)) {
      sequence.length -= content.length;
      sequence.push({ ...grouped(before), multiple: true });
      return;
    }
  }
  const group = alternatives.length > 1 ? oneOf(alternatives) : grouped(content);
  const flags = { ...(isOptional && { optional: true }), ...(repeats && { multiple: true }) };
  sequence.push({ ...group, ...flags });
}

function oneOf(alternatives: readonly (readonly DocArgument[])[]): DocArgument {
  const choices = alternatives.filter((one) => one.length > 0).map(grouped);
  return { name: choices.map(({ name }) => name).join("-or-"), type: "oneof", arguments: choices };
}

/** Several arguments as one. */
function grouped(content: readonly DocArgument[]): DocArgument {
  const [only] = content;
  if (only !== undefined && content.length === 1) return only;
  return { name: namesOf(content), type: "block", arguments: content };
}

function namesOf(content: readonly DocArgument[]): string {
  return content.map(({ name }) => name).join("_");
}

function isToken(word: string): boolean {
  return !/[a-z]/.test(word);
}

/** A token with the placeholders that follow it. */
function readToken(reader: Reader, token: string): DocArgument {
  const content: DocArgument[] = [];
  for (;;) {
    const word = reader.words[reader.at];
    if (word === undefined || /^(\[|\]|<|>|\||\.\.\.)$/.test(word) || isToken(word)) break;
    content.push(placeholder(word));
    reader.at++;
  }
  const name = token.toLowerCase();
  if (content.length === 0) return { name, type: "pure-token", token };
  return { ...grouped(content), token };
}

function placeholder(word: string): DocArgument {
  const type = Object.hasOwn(TYPES, word) ? TYPES[word] : undefined;
  return { name: word, type: type ?? (INTEGERS.test(word) ? "integer" : "string") };
}
