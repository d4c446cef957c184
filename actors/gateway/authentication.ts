/**
 * Whether a client's name and password are the configured ones. There is one user, "default".
 *
 * Invariant: the time that a comparison takes says nothing about the password.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Request } from "../../runtime/codec/request.ts";
import { respLimits, respLimitsBeforeAuth } from "../../runtime/codec/resp-reader.ts";
import type { Client } from "./client.ts";

export const WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled.";
export const DEFAULT_USER = "default";

/** Authenticates by the user and password at these arguments. False: they are wrong. */
export function authenticate(
  client: Client,
  request: Request,
  user: number | null,
  password: number,
): boolean {
  const { stats, config } = client.worker;
  const isUser = user === null || request.text(user) === DEFAULT_USER;
  const expected = config.security.password;
  // Without a password the user takes any, as Redis's "nopass".
  const isRight =
    expected === undefined || isSame(request.bytesAt(password), Buffer.from(expected, "utf8"));
  if (isUser && isRight) {
    client.isAuthenticated = true;
    boundInput(client);
    return true;
  }
  stats.deniedAuths++;
  return false;
}

/** Bounds a client's requests by whether it is authenticated: narrowly before (CVE-2021-32675). */
export function boundInput(client: Client): void {
  const { argumentsMax, argumentBytesMax } = client.worker.config.clients;
  const limits = client.isAuthenticated
    ? { ...respLimits, argsMax: argumentsMax, bulkBytesMax: argumentBytesMax }
    : respLimitsBeforeAuth;
  client.connection?.reader.setLimits(limits);
}

function isSame(a: Buffer, b: Buffer): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}
