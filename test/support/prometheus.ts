/**
 * A strict reader of Prometheus's text format 0.0.4, and the naming rules that `promtool check
 * metrics` has. Written apart from actors/supervisor/exposition.ts, so that one checks the other.
 */

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

export interface MetricFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
const NUMBER = /^(NaN|[+-]Inf|[+-]?\d+(\.\d+)?(e[+-]?\d+)?)$/;
/** Units that are not base units, and their like. */
const WRONG_UNITS =
  /_(milliseconds|ms|microseconds|us|minutes|hours|kilobytes|kb|mb|megabytes|percent)(_|$)/;

/** Reads a page; throws at the first line that is not of the format. */
export function parseExposition(text: string): MetricFamily[] {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families: { name: string; type: string; help: string; samples: Sample[] }[] = [];
  const seen = new Set<string>();
  const series = new Set<string>();
  let help: { readonly name: string; readonly text: string } | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const helpLine = /^# HELP (\S+) (.+)$/.exec(line);
    const typeLine = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (helpLine !== null) {
      help = { name: helpLine[1] ?? "", text: helpLine[2] ?? "" };
    } else if (typeLine !== null) {
      const [, name = "", type = ""] = typeLine;
      if (help?.name !== name) throw new Error(`${name} has a TYPE without its HELP before it`);
      if (seen.has(name)) throw new Error(`${name} is there twice`);
      seen.add(name);
      families.push({ name, type, help: help.text, samples: [] });
    } else {
      const family = families.at(-1);
      const sample = parseSample(line);
      if (family === undefined || !belongs(sample.name, family)) {
        throw new Error(`${line}: not under its own TYPE`);
      }
      const id = `${sample.name} ${JSON.stringify([...sample.labels].sort())}`;
      if (series.has(id)) throw new Error(`${line}: the series is there twice`);
      series.add(id);
      family.samples.push(sample);
    }
  }
  return families;
}

function parseSample(line: string): Sample {
  const [, name, labelText = "", value = ""] = SAMPLE.exec(line) ?? [];
  if (name === undefined || !NUMBER.test(value)) throw new Error(`no sample: ${line}`);
  const labels = new Map<string, string>();
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < labelText.length) {
    const [, label = "", text = "", comma] = LABEL.exec(labelText) ?? [];
    if (comma === undefined || labels.has(label)) throw new Error(`bad labels: ${line}`);
    labels.set(label, text.replaceAll("\\n", "\n").replaceAll(/\\(["\\])/g, "$1"));
  }
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

function belongs(name: string, family: { readonly name: string; readonly type: string }): boolean {
  if (family.type !== "histogram") return name === family.name;
  return ["_bucket", "_sum", "_count"].some((end) => name === family.name + end);
}

/** What promtool would complain about, and broken histograms. */
export function lint(families: readonly MetricFamily[], prefix: string): string[] {
  const findings: string[] = [];
  for (const family of families) {
    const { name, type } = family;
    const say = (what: string) => findings.push(`${name}: ${what}`);
    if (!name.startsWith(prefix)) say(`does not begin with ${prefix}`);
    if (!/^[a-z][a-z0-9_]*$/.test(name)) say("is not in snake case");
    if (WRONG_UNITS.test(name)) say("is not in base units");
    if ((type === "counter") !== name.endsWith("_total")) say("only counters end in _total");
    if (/_(count|sum|bucket|info)$/.test(name) && !(type === "gauge" && name.endsWith("_info"))) {
      say("ends in a word that histograms use");
    }
    if (!/[.]$/.test(family.help)) say("its help is no sentence");
    if (family.samples.some(({ value }) => Number.isNaN(value))) say("holds NaN");
    if (type === "counter" && family.samples.some(({ value }) => value < 0)) say("is below 0");
    if (type === "histogram") findings.push(...lintHistogram(family));
  }
  return findings;
}

function lintHistogram({ name, samples }: MetricFamily): string[] {
  const findings: string[] = [];
  const buckets = Map.groupBy(
    samples.filter((sample) => sample.name.endsWith("_bucket")),
    ({ labels }) => withoutLimit(labels),
  );
  for (const [labels, group] of buckets) {
    const limits = group.map((sample) =>
      Number(sample.labels.get("le")?.replace("Inf", "Infinity")),
    );
    const rising = (values: readonly number[], strictly: boolean) => {
      return values.every((value, i) => {
        const before = values[i - 1] ?? Number.NEGATIVE_INFINITY;
        return strictly ? value > before : value >= before;
      });
    };
    if (!rising(limits, true)) findings.push(`${name}${labels}: limits do not rise`);
    if (limits.at(-1) !== Infinity) findings.push(`${name}${labels}: no +Inf bucket`);
    const counts = group.map(({ value }) => value);
    if (!rising(counts, false)) findings.push(`${name}${labels}: counts fall`);
    for (const end of ["_sum", "_count"]) {
      const whole = samples.find((sample) => {
        return sample.name === name + end && withoutLimit(sample.labels) === labels;
      });
      if (whole === undefined) findings.push(`${name}${labels}: no ${end}`);
      else if (end === "_count" && whole.value !== counts.at(-1)) {
        findings.push(`${name}${labels}: its count is not that of +Inf`);
      }
    }
  }
  return findings;
}

function withoutLimit(labels: ReadonlyMap<string, string>): string {
  return JSON.stringify([...labels].filter(([label]) => label !== "le").sort());
}

/** The value of one series; undefined if there is none. */
export function valueOfSeries(
  families: readonly MetricFamily[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = JSON.stringify(Object.entries(labels).sort());
  for (const { samples } of families) {
    for (const sample of samples) {
      if (sample.name !== name) continue;
      if (JSON.stringify([...sample.labels].sort()) === wanted) return sample.value;
    }
  }
  return undefined;
}
