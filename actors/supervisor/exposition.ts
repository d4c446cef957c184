/**
 * Writes metrics in the text format of Prometheus, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Invariant: each family has one HELP, one TYPE and all its samples in a row; no series is written
 * twice; names and label names are ours, label values are escaped.
 */
import { assert } from "../../runtime/base/assert.ts";
import type { Histogram } from "../../runtime/base/histogram.ts";

export type MetricType = "counter" | "gauge" | "histogram";

/** Labels of a sample, by name. */
export type Labels = Readonly<Record<string, string | number>>;

/** A family: its name in base units (seconds, bytes; counters end in _total). */
export interface Family {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
}

interface Lines {
  readonly family: Family;
  readonly samples: string[];
  readonly series: Set<string>;
}

const NAME = /^[a-z][a-z0-9_]*$/;

export class Exposition {
  readonly #families = new Map<string, Lines>();

  /** Adds a sample of a counter or gauge. Numbers that are none are left out. */
  sample(family: Family, labels: Labels, value: number): void {
    if (Number.isNaN(value)) return;
    this.#add(this.#lines(family), family.name, labels, value);
  }

  /**
   * Adds a histogram of times as one of seconds: `limits` are the buckets' ends in the histogram's
   * unit, rising, powers of two (those a `Histogram` counts exactly).
   */
  times(
    family: Family,
    labels: Labels,
    times: {
      readonly histogram: Histogram;
      readonly sumSeconds: number;
      readonly unitsASecond: number;
    },
    limits: readonly number[],
  ): void {
    const { histogram, sumSeconds, unitsASecond } = times;
    const lines = this.#lines(family);
    for (const limit of limits) {
      const le = formatNumber(limit / unitsASecond);
      this.#add(lines, `${family.name}_bucket`, { ...labels, le }, histogram.countBelow(limit));
    }
    this.#add(lines, `${family.name}_bucket`, { ...labels, le: "+Inf" }, histogram.count);
    this.#add(lines, `${family.name}_sum`, labels, sumSeconds);
    this.#add(lines, `${family.name}_count`, labels, histogram.count);
  }

  #lines(family: Family): Lines {
    let lines = this.#families.get(family.name);
    if (lines === undefined) {
      assert(NAME.test(family.name), "a metric's name is of small letters, digits and _");
      lines = { family, samples: [], series: new Set() };
      this.#families.set(family.name, lines);
    }
    return lines;
  }

  #add({ samples, series }: Lines, name: string, labels: Labels, value: number): void {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    const id = pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
    assert(!series.has(id), "a series is written once");
    series.add(id);
    samples.push(`${id} ${formatNumber(value)}`);
  }

  /** Everything, ready to be sent. */
  text(): string {
    const lines: string[] = [];
    for (const { family, samples } of this.#families.values()) {
      lines.push(`# HELP ${family.name} ${family.help.replaceAll("\\", "\\\\")}`);
      lines.push(`# TYPE ${family.name} ${family.type}`, ...samples);
    }
    return `${lines.join("\n")}\n`;
  }
}

function escaped(value: string | number): string {
  return String(value).replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

/** Numbers as Go reads them: never 1e21 for what is whole and small, never "Infinity". */
function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return String(value);
}
