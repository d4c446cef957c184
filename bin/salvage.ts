/**
 * `coterie salvage --to FOLDER`: runs the salvage of the configured data folder and says what came
 * of it: where the damage is, what each partition misses, what may be missing beside that.
 */
import { resolve } from "node:path";
import type { VnodeOutcome } from "../actors/salvage/rescued-vnode.ts";
import { isComplete, type SalvageReport, salvage } from "../actors/salvage/salvage.ts";
import { systemClock } from "../runtime/base/clock.ts";
import { SLOTS } from "../runtime/base/limits.ts";
import { systemRandom } from "../runtime/base/prng.ts";
import { hlcWallMs } from "../runtime/causality/hlc.ts";
import type { NodeConfig } from "../runtime/config.ts";
import { systemFiles } from "../runtime/storage/files.ts";
import { systemFolderLock } from "../runtime/storage/folder-lock.ts";
import { EXIT_LOSSES } from "./exit-codes.ts";

/** Salvages, prints the report, and returns the exit code. */
export async function runSalvage(config: NodeConfig, to: string): Promise<number> {
  const report = await salvage({
    fs: systemFiles,
    lock: systemFolderLock,
    random: systemRandom(),
    clock: systemClock,
    from: config.dataFolder,
    to: resolve(to),
    clusterId: config.cluster,
    nodeName: config.self.name,
  });
  process.stdout.write(reportText(report, config));
  return isComplete(report) ? 0 : EXIT_LOSSES;
}

/** The report that people read. */
export function reportText(report: SalvageReport, config: NodeConfig): string {
  const { damages, tails, incomplete, isAccounted, areIntentsDropped } = report;
  const lines = [`salvaged ${report.from} to ${report.to}`];
  const list = (title: string, items: readonly string[]) => {
    if (items.length > 0) lines.push("", title, ...items.map((item) => `  ${item}`));
  };
  const places = (items: SalvageReport["damages"]) =>
    items.map(({ path, offset, what }) => `${path} at ${offset}: ${what}`);
  list("damaged:", places(damages));
  list("dropped, as at any start:", places(tails));
  list(
    "lost:",
    incomplete.map((outcome) => `${partitionName(outcome.id, config)}: ${lossText(outcome)}`),
  );
  const doubts: string[] = [];
  if (!isAccounted) {
    doubts.push("writes of any partition that were in what could not be read (see damaged)");
  }
  if (areIntentsDropped) {
    doubts.push("parts of transactions over several worker threads that were under way");
  }
  list("may be lost beside that:", doubts);
  const kept = `${report.keys} keys in ${report.vnodes} partitions`;
  const end = isComplete(report) ? "complete: nothing is lost" : "with losses";
  lines.push("", `${kept}; ${end}`, `start it with: coterie start --data ${report.to}`, "");
  return lines.join("\n");
}

function partitionName(id: number, { keyspaces }: NodeConfig): string {
  const [keyspace, partition] = [id >>> 16, id & 0xffff];
  const name = `keyspace ${keyspace}, partition ${partition}`;
  const count = keyspaces[keyspace]?.partitions;
  if (count === undefined || partition >= count) return name;
  const width = SLOTS / count;
  return `${name} (slots ${partition * width}-${(partition + 1) * width - 1})`;
}

function lossText(outcome: VnodeOutcome): string {
  const { through, throughAtMs, known, behindGap, behindGapHlc, contradicting } = outcome;
  const at = throughAtMs === undefined ? "" : ` of ${timeText(throughAtMs)}`;
  const state = through === 0 ? "empty" : `as after op ${through}${at}`;
  const missing = known - through - behindGap;
  const parts = [state];
  if (missing > 0) parts.push(`${count(missing, "op")} after that cannot be read`);
  if (behindGap > 0) {
    const until = timeText(hlcWallMs(behindGapHlc));
    parts.push(`${count(behindGap, "op")} behind them, until ${until}, not applied`);
  }
  if (contradicting > 0)
    parts.push(`${count(contradicting, "op")} contradict the rest, not applied`);
  return parts.join("; ");
}

function count(many: number, what: string): string {
  return `${many} ${what}${many === 1 ? "" : "s"}`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
