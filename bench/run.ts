/**
 * `npm run bench`: every case, group by group, in less than a minute and a half.
 *
 *   npm run bench -- --case resp            the cases whose name contains the word
 *   npm run bench -- --case list            their names only
 *   npm run bench -- --seconds 3            longer, for smaller margins
 */
import * as actorCases from "./actor.ts";
import * as portCases from "./batch-port.ts";
import * as applyCases from "./causal-apply.ts";
import { printMachine, readFlags } from "./report.ts";
import * as respCases from "./resp.ts";
import {
  type BenchCase,
  type BenchGroup,
  type BenchResult,
  checksumOfAll,
  printResults,
  runGroup,
} from "./support.ts";
import * as tableCases from "./table.ts";
import * as primitives from "./table-primitives.ts";
import * as wal from "./wal.ts";

const flags = readFlags("npm run bench -- [flags]", { case: "", seconds: "0.5" });

type Run = (operations: number) => number | Promise<number>;

/** The functions of a module whose names begin with `bench`, each as a case. */
function casesOf(group: string, module: object, operations: number): BenchCase[] {
  const cases: BenchCase[] = [];
  for (const [name, run] of Object.entries(module)) {
    if (!name.startsWith("bench") || typeof run !== "function") continue;
    const words = name.replaceAll(/([a-z])([A-Z0-9])/g, "$1 $2").toLowerCase();
    const own = words.slice("bench ".length).replace(`${group} `, "");
    cases.push({ name: `${group}: ${own}`, operations, run: run as Run });
  }
  return cases;
}

function waiting(cases: readonly BenchCase[]): BenchCase[] {
  return cases.map((each) => ({ ...each, waits: true }));
}

const KEYS = 100_000;

/** What `make` returns, made at the first call. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** The off-heap structures at 100 000 keys; a case that changes them leaves them as they were. */
function primitiveCases(): BenchCase[] {
  const filled = once(() => {
    const fixture = primitives.emptyFixture(KEYS);
    primitives.insertHashes(fixture);
    primitives.insertInOrder(fixture);
    return fixture;
  });
  const cases: Readonly<Record<string, Run>> = {
    "heap allocate and free": (n) => primitives.allocateAndFree(filled().heap, n, 1000),
    "hash find": (n) => primitives.lookUpHashes(filled(), n),
    "hash find nothing": (n) => primitives.missHashes(filled(), n),
    "hash replace": (n) => primitives.replaceHashes(filled(), n),
    "order select by rank": (n) => primitives.selectByRank(filled(), n),
    "order rank of item": (n) => primitives.rankOfItems(filled(), n),
  };
  const whole: Readonly<Record<string, Run>> = {
    "hash scan": () => primitives.scanHashes(filled()),
    "hash remove and insert": () =>
      primitives.removeHashes(filled()) + primitives.insertHashes(filled()),
    "order walk": () => primitives.walkInOrder(filled()),
    "order remove and insert": () =>
      primitives.removeFromOrder(filled()) + primitives.insertInOrder(filled()),
  };
  const asCases = (runs: Readonly<Record<string, Run>>, operations: number) =>
    Object.entries(runs).map(([name, run]) => ({ name: `index: ${name}`, operations, run }));
  return [...asCases(cases, 1000), ...asCases(whole, KEYS)];
}

/** Turns of the log that recovery reads back. */
const RECOVERED_TURNS = 50;

/** The log on a real folder; files that are full are used again, so that the disk does not fill. */
function walGroup(): BenchGroup {
  const opened: Promise<wal.WalFixture>[] = [];
  const open = () => {
    const fixture = wal.openWal();
    opened.push(fixture);
    return fixture;
  };
  const written = once(open);
  const whole = once(async () => {
    const fixture = await open();
    await wal.commitUnsynced(fixture, RECOVERED_TURNS);
    return fixture;
  });
  const commit = async (count: number) => {
    const fixture = await written();
    const sum = await wal.commitUnsynced(fixture, count);
    const { journal } = fixture;
    for (const use of journal.files().slice(0, -1)) journal.recycle(use);
    journal.keepSpares(2);
    return sum;
  };
  const of = (name: string, operations: number, run: Run): BenchCase => {
    return { name: `wal: ${name}`, operations, run, waits: true };
  };
  const cases = [
    of("append an op", 10_000, async (count) => wal.appendInPlace(await written(), count)),
    of("commit of 800 ops, unsynced", 10, commit),
    of("commit of 16 ops, synced", 5, async (count) => wal.commitDurable(await written(), count)),
    of("recover an op", RECOVERED_TURNS * 800, async () => wal.recoverAll(await whole())),
  ];
  const close = async () => {
    for (const fixture of opened) await wal.closeWal(await fixture);
  };
  return { name: "wal", cases, close };
}

const groups: readonly BenchGroup[] = [
  { name: "resp", cases: casesOf("resp", respCases, 1000) },
  { name: "table", cases: casesOf("table", tableCases, 1000) },
  { name: "index", cases: primitiveCases() },
  walGroup(),
  { name: "causal apply", cases: casesOf("causal apply", applyCases, 10_000) },
  { name: "actor", cases: casesOf("actor", actorCases, 1000) },
  {
    name: "batch port",
    cases: waiting(casesOf("batch port", portCases, 1024)),
    close: portCases.closeBatchPortPeer,
  },
];

/** The cases that the flag asks for. */
function selected(): BenchGroup[] {
  const wanted = flags.text("case").toLowerCase();
  const chosen = groups.map((group) => {
    return { ...group, cases: group.cases.filter(({ name }) => name.includes(wanted)) };
  });
  return chosen.filter(({ cases }) => cases.length > 0);
}

if (flags.text("case") === "list") {
  for (const { cases } of groups) for (const { name } of cases) process.stdout.write(`${name}\n`);
  process.exit(0);
}

const chosen = selected();
if (chosen.length === 0) throw new Error(`no case is called ${flags.text("case")}`);
printMachine("bench");
const results: BenchResult[] = [];
for (const group of chosen) results.push(...(await runGroup(group, flags.number("seconds"))));
process.stdout.write("\n");
printResults(results);
process.stdout.write(`\nchecksum of all results: ${checksumOfAll()}\n`);
