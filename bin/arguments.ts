/**
 * Words of a command line to a command and its flags. Pure.
 *
 * Invariant: nothing is ignored: a word that is no known flag, value or command is an error.
 */
import { nearestName } from "../runtime/config/nearest.ts";

/** A flag: with a value (`--port 7380`, `--port=7380`), or a switch (`--json`). */
export interface FlagRule {
  readonly name: string;
  readonly takesValue: boolean;
}

export interface CommandRule {
  /** One or two words: "start", "config check". */
  readonly name: string;
  readonly flags: readonly FlagRule[];
}

export type Parsed =
  | { readonly kind: "command"; readonly name: string; readonly flags: ReadonlyMap<string, string> }
  /** `name`: a command, the first word of some ("config"), or all. */
  | { readonly kind: "help"; readonly name: string | undefined }
  | { readonly kind: "version" }
  | { readonly kind: "wrong"; readonly message: string };

const HELP_WORDS = ["help", "--help", "-h"];
const VERSION_WORDS = ["version", "--version", "-v", "-V"];

/** Understands the words after the program's name. */
export function parseArguments(words: readonly string[], commands: readonly CommandRule[]): Parsed {
  const first = words[0];
  if (first === undefined) return { kind: "wrong", message: "no command given" };
  if (VERSION_WORDS.includes(first)) {
    const [more] = words.slice(1);
    return more === undefined ? { kind: "version" } : tooMuch(first, more);
  }
  if (HELP_WORDS.includes(first)) return parseHelp(words.slice(1), commands);
  const command = commandAt(words, commands);
  if (command === undefined) return { kind: "wrong", message: unknownCommand(words, commands) };
  return parseFlags(words.slice(command.name.split(" ").length), command);
}

function commandAt(
  [first = "", second = ""]: readonly string[],
  commands: readonly CommandRule[],
): CommandRule | undefined {
  return commands.find(({ name }) => name === `${first} ${second}` || name === first);
}

/** Help about one command, about those that begin with a word, or about all. */
function parseHelp(words: readonly string[], commands: readonly CommandRule[]): Parsed {
  const [first = ""] = words;
  const isGroup = words.length === 1 && commands.some(({ name }) => name.startsWith(`${first} `));
  const known = isGroup ? first : commandAt(words, commands)?.name;
  const isOwn = [...HELP_WORDS, ...VERSION_WORDS].includes(first);
  if (known === undefined && words.length > 0 && !isOwn) {
    return { kind: "wrong", message: unknownCommand(words, commands) };
  }
  const more = words[known?.split(" ").length ?? 1];
  return more === undefined
    ? { kind: "help", name: known }
    : tooMuch(`help ${known ?? first}`, more);
}

function tooMuch(command: string, word: string): Parsed {
  return { kind: "wrong", message: `${command} takes nothing more; what is ${word}?` };
}

function unknownCommand(words: readonly string[], commands: readonly CommandRule[]): string {
  const [first = "", second] = words;
  const below = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (below.length > 0) {
    const names = below.map(({ name }) => name.slice(first.length + 1));
    if (second === undefined) return `${first} needs one of: ${names.join(", ")}`;
    return `unknown command: ${first} ${second}${meant(second, names)}`;
  }
  if (first.startsWith("-")) return `a command comes first, then flags such as ${first}`;
  return `unknown command: ${first}${meant(first, [
    ...commands.map(({ name }) => name.split(" ")[0] ?? name),
    "help",
    "version",
  ])}`;
}

function meant(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names);
  return nearest === undefined ? "" : `; did you mean ${nearest}?`;
}

function parseFlags(words: readonly string[], command: CommandRule): Parsed {
  const flags = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (HELP_WORDS.slice(1).includes(word)) return { kind: "help", name: command.name };
    if (!word.startsWith("--") || word === "--") {
      return { kind: "wrong", message: `${command.name} takes flags only; what is ${word}?` };
    }
    const cut = word.indexOf("=");
    const name = word.slice(2, cut < 0 ? undefined : cut);
    const rule = command.flags.find((flag) => flag.name === name);
    if (rule === undefined) {
      const names = command.flags.map((flag) => `--${flag.name}`);
      const hint = names.length === 0 ? `; ${command.name} takes no flags` : meant(name, names);
      return { kind: "wrong", message: `unknown flag: --${name}${hint}` };
    }
    if (flags.has(name)) return { kind: "wrong", message: `--${name} is given twice` };
    if (rule.takesValue) {
      const value = cut < 0 ? words[++i] : word.slice(cut + 1);
      if (value === undefined || value === "" || (cut < 0 && value.startsWith("--"))) {
        return { kind: "wrong", message: `--${name} needs a value` };
      }
      flags.set(name, value);
    } else if (cut >= 0) {
      return { kind: "wrong", message: `--${name} takes no value` };
    } else flags.set(name, "true");
  }
  return { kind: "command", name: command.name, flags };
}
