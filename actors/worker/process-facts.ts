/**
 * What INFO tells of the process, as an argument: this file and no other asks for it.
 */
import { thisMachine } from "../../runtime/base/machine.ts";

export interface ProcessFacts {
  readonly pid: number;
  readonly platform: string;
  readonly arch: string;
  /** Version of Node. */
  readonly runtime: string;
  readonly executable: string;
  readonly machineMemoryBytes: number;
  /** COTERIE_TEST_COMMANDS=1: DEBUG is allowed. */
  readonly allowsTestCommands: boolean;
  /** Resident memory of the process. */
  rssBytes(): number;
  /** CPU time of the process, µs. */
  cpuMicroseconds(): { readonly user: number; readonly system: number };
}

/** Whether DEBUG is allowed: for commands that see no worker. */
export function allowsTestCommands(): boolean {
  return process.env.COTERIE_TEST_COMMANDS === "1";
}

/** Facts of this process. */
export function thisProcess(): ProcessFacts {
  return {
    pid: process.pid,
    platform: process.platform,
    arch: process.arch,
    runtime: process.versions.node,
    executable: process.execPath,
    machineMemoryBytes: thisMachine().memoryBytes,
    allowsTestCommands: allowsTestCommands(),
    rssBytes: () => process.memoryUsage.rss(),
    cpuMicroseconds: () => process.cpuUsage(),
  };
}
