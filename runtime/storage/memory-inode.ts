/**
 * The bytes of one simulated file: what a reader sees, what is surely on the disk, and every
 * version of a sector between them.
 *
 * Invariant: a sector is written whole or not at all; a version leaves the disk's possible states
 * only when a sync that began after it returned, or when a failed sync dropped it.
 */
import { below, type Random } from "../base/prng.ts";

const SECTOR = 512;

interface Version {
  readonly stamp: number;
  readonly bytes: Buffer;
}

export class MemoryInode {
  /** Numbers the changes, so that a sync knows what it covers. */
  stamp = 0;
  size = 0;
  #bytes = Buffer.alloc(0);
  #durable = Buffer.alloc(0);
  #durableSize = 0;
  #pending = new Map<number, Version[]>();
  #pendingSizes: { readonly stamp: number; readonly size: number }[] = [];

  contents(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.size));
  }

  /** As the system does, refuses to read more than the target has room for. */
  read(target: Buffer, start: number, length: number, position: number): number {
    if (start + length > target.length) {
      throw Object.assign(new RangeError("a read past its target"), { code: "ERR_OUT_OF_RANGE" });
    }
    const end = Math.min(this.size, position + length);
    if (end <= position) return 0;
    return this.#bytes.copy(target, start, position, end);
  }

  write(source: Buffer, start: number, length: number, position: number): void {
    this.stamp++;
    this.#resize(Math.max(this.size, position + length));
    source.copy(this.#bytes, position, start, start + length);
    this.#note(position, position + length);
  }

  truncate(bytes: number): void {
    this.stamp++;
    const before = this.size;
    this.#bytes.fill(0, Math.min(bytes, before), before);
    this.#resize(bytes);
    if (bytes < before) this.#note(bytes, before);
  }

  /** A sync that began at `through` returned. */
  settle(through: number): void {
    for (const [sector, versions] of this.#pending) {
      let last: Version | undefined;
      for (const version of versions) if (version.stamp <= through) last = version;
      if (last === undefined) continue;
      this.#keep(sector, last.bytes);
      this.#retain(sector, versions, through);
    }
    for (const { stamp, size } of this.#pendingSizes) if (stamp <= through) this.#setSize(size);
    this.#pendingSizes = this.#pendingSizes.filter(({ stamp }) => stamp > through);
  }

  /** A sync failed: some of the dirty sectors were written, the rest count as clean for ever. */
  loseDirty(through: number, random: Random): void {
    for (const [sector, versions] of this.#pending) {
      const dirty = versions.filter((version) => version.stamp <= through);
      const written = dirty[dirty.length - 1];
      if (written === undefined) continue;
      if (below(random, 2) === 0) this.#keep(sector, written.bytes);
      this.#retain(sector, versions, through);
    }
  }

  /** The power fails: each sector becomes one of its possible versions. */
  crash(random: Random): void {
    const size = below(random, this.#pendingSizes.length + 1);
    const chosen = this.#pendingSizes[size];
    for (const [sector, versions] of this.#pending) {
      const version = versions[below(random, versions.length + 1)];
      if (version !== undefined) this.#keep(sector, version.bytes);
    }
    if (chosen !== undefined) this.#setSize(chosen.size);
    this.#durable.fill(0, Math.min(this.#durableSize, this.#durable.length));
    this.#pending.clear();
    this.#pendingSizes = [];
    this.size = this.#durableSize;
    this.#bytes = Buffer.alloc(Math.max(this.size, this.#durable.length));
    this.#durable.copy(this.#bytes, 0, 0, Math.min(this.size, this.#durable.length));
  }

  flip(offset: number, bit: number): void {
    const targets = [this.#bytes, this.#durable];
    for (const target of targets) {
      if (offset < target.length) target[offset] = (target[offset] as number) ^ (1 << bit);
    }
    for (const version of this.#pending.get(Math.floor(offset / SECTOR)) ?? []) {
      version.bytes[offset % SECTOR] = (version.bytes[offset % SECTOR] as number) ^ (1 << bit);
    }
  }

  #note(start: number, end: number): void {
    for (let sector = Math.floor(start / SECTOR); sector * SECTOR < end; sector++) {
      const bytes = Buffer.alloc(SECTOR);
      this.#bytes.copy(bytes, 0, sector * SECTOR, Math.min((sector + 1) * SECTOR, this.size));
      const versions = this.#pending.get(sector);
      if (versions === undefined) this.#pending.set(sector, [{ stamp: this.stamp, bytes }]);
      else versions.push({ stamp: this.stamp, bytes });
    }
  }

  #retain(sector: number, versions: Version[], through: number): void {
    const later = versions.filter((version) => version.stamp > through);
    if (later.length === 0) this.#pending.delete(sector);
    else this.#pending.set(sector, later);
  }

  /** The sector is on the disk in this version. */
  #keep(sector: number, bytes: Buffer): void {
    const end = (sector + 1) * SECTOR;
    if (end > this.#durable.length) {
      const larger = Buffer.alloc(Math.max(end, this.#durable.length * 2));
      this.#durable.copy(larger);
      this.#durable = larger;
    }
    bytes.copy(this.#durable, sector * SECTOR);
  }

  #setSize(size: number): void {
    this.#durableSize = size;
  }

  #resize(size: number): void {
    if (size > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(size, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, this.size);
      this.#bytes = larger;
    }
    if (size === this.size) return;
    this.size = size;
    this.#pendingSizes.push({ stamp: this.stamp, size });
  }
}
