/**
 * The TCP ports of one worker: the gateway's, which all workers share by `reusePort`, and the
 * worker's own direct port.
 */
import { createServer, type Server, type Socket } from "node:net";
import { CoterieError } from "../../runtime/base/errors.ts";

/** Connections that the system keeps waiting to be accepted. */
const BACKLOG = 511;

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Whether other workers listen on the same port. */
  readonly shared: boolean;
  accept(socket: Socket): void;
}

/** Listens; resolves with the server once its port is bound, rejects with PORT_IN_USE. */
export function listen(options: ListenOptions): Promise<Server> {
  const { host, port, shared } = options;
  const server = createServer({ pauseOnConnect: true, noDelay: true }, options.accept);
  return new Promise((resolve, reject) => {
    // Later errors are of one connection that could not be accepted: no reason to end the thread.
    server.on("error", (error: NodeJS.ErrnoException) => reject(portError(error, host, port)));
    server.listen({ host, port, backlog: BACKLOG, reusePort: shared, exclusive: true }, () => {
      resolve(server);
    });
  });
}

/** Tells a client that is not let in why, and ends the connection whatever the client does. */
export function refuseSocket(socket: Socket, text: string): void {
  socket.on("error", () => {});
  socket.end(`-${text}\r\n`, () => socket.destroy());
}

/** Why a port could not be bound, and what to do. */
export function portError(error: NodeJS.ErrnoException, host: string, port: number): CoterieError {
  const where = `${host}:${port}`;
  if (error.code === "EADDRINUSE") {
    return new CoterieError(
      "PORT_IN_USE",
      `port ${where} is in use by another process: stop that one, or start with another --port`,
      { detail: { host, port }, cause: error },
    );
  }
  const reason = error.code === "EACCES" ? "this user may not bind it" : error.message;
  return new CoterieError(
    "PORT_IN_USE",
    `cannot listen on ${where}: ${reason}; choose another --port or --host`,
    { detail: { host, port }, cause: error },
  );
}

/** The port that a server was given. */
export function portOf(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === "object" ? address.port : 0;
}
