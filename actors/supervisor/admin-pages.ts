/** Pages of a node's admin port, as its own commands ask for them. */

/** Which page, and how much of whose time and memory it may take. */
export interface Page {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

/**
 * The text of a page. Rejects with an AbortError if it takes too long. Not by `fetch`: it refuses
 * ports that browsers do, and asks proxies.
 */
export async function readPage({ host, port, path, timeoutMs, bytesMax }: Page): Promise<string> {
  // Not before it is needed: HTTP takes long to load.
  const { get } = await import("node:http");
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const request = get({ host, port, path, agent: false, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > bytesMax) request.destroy(new Error("too long"));
      });
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
}

/** Where a node that listens on every address is reached from this machine. */
export function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}
