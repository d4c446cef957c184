/**
 * The parameters that CONFIG GET shows and CONFIG SET takes: Redis's names over our configuration,
 * and those of Redis's that change nothing here but are remembered, since tools set them.
 *
 * Invariant: what `check` lets pass, `set` takes; so several are set all or none.
 */

/** One parameter. */
export interface Parameter {
  get(): string;
  /** Why a value cannot be set, in Redis's words without the code; null: it can. */
  check(value: string): string | null;
  /** Takes a value that passed `check`. */
  set(value: string): void;
}

/** Names and values that are set together. */
export type ParameterValues = readonly (readonly [name: string, value: string])[];

export class Parameters {
  /** Told what was set: whoever succeeds this worker begins with it. */
  onSet: (values: ParameterValues) => void = () => undefined;
  readonly #byName = new Map<string, Parameter>();

  define(name: string, parameter: Parameter): void {
    this.#byName.set(name, parameter);
  }

  /** A parameter by its lower-case name. */
  find(name: string): Parameter | undefined {
    return this.#byName.get(name);
  }

  /** Sets what has passed `check`, by lower-case names. */
  set(values: ParameterValues): void {
    for (const [name, value] of values) this.#byName.get(name)?.set(value);
    this.onSet(values);
  }

  names(): string[] {
    return [...this.#byName.keys()].sort();
  }
}
