/** What a command on sets may hold of their members in memory. */
import { heapBytesMax } from "../../../runtime/base/machine.ts";

// limits:
/** What a member takes beside its bytes: it is an object of JavaScript's heap, and listed. */
const MEMBER_BYTES = 256;
const HELD_BYTES_MAX = Math.floor(heapBytesMax() / 2);

export const TOO_MANY_MEMBERS = `ERR these sets are too large to be combined in memory: it takes ${HELD_BYTES_MAX} bytes of members, and ${MEMBER_BYTES} for each`;

export class HeldMembers {
  #bytes = 0;

  /** One more, of this length; false: it cannot be held. */
  add(length: number): boolean {
    this.#bytes += MEMBER_BYTES + length;
    return this.#bytes <= HELD_BYTES_MAX;
  }
}
