/** What a vnode can be asked besides commands, which reach it as direct calls. */
import { ask, nothing, protocol } from "../../runtime/actor/protocol.ts";

export const vnodeProtocol = protocol("vnode", {
  /** Answers once the vnode serves: waits through its restarts, in its mailbox. */
  whenReady: ask(1, nothing, nothing),
});
