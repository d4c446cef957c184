/** What CONFIG SET has changed since the node started: workers that are born later begin with it. */
import type { NodeConfig } from "../../runtime/config.ts";
import type { ParameterValues } from "../worker/parameters.ts";

export class SetParameters {
  readonly #values = new Map<string, string>();

  /** A worker has set these. */
  note(values: ParameterValues): void {
    for (const [name, value] of values) {
      this.#values.delete(name); // two names may mean one parameter: the last one set comes last
      this.#values.set(name, value);
    }
  }

  /** In the order in which they are to be set. */
  get values(): ParameterValues {
    return [...this.#values];
  }

  /** The configuration with what the node itself shows of them. */
  over(config: NodeConfig): NodeConfig {
    const max = Number(this.#values.get("maxclients") ?? config.clients.max);
    return { ...config, clients: { ...config.clients, max } };
  }
}
