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

export class Parameters {
  readonly #byName = new Map<string, Parameter>();

  define(name: string, parameter: Parameter): void {
    this.#byName.set(name, parameter);
  }

  /** A parameter by its lower-case name. */
  find(name: string): Parameter | undefined {
    return this.#byName.get(name);
  }

  names(): string[] {
    return [...this.#byName.keys()].sort();
  }
}
