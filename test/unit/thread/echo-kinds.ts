/** Kinds of the messages between the worker host's tests and their worker. */
export const ECHO = 1;
export const ECHOED = 2;
export const FORWARD = 3;
export const VISIT = 4;
export const VISITED = 5;
export const FORWARDED = 6;
export const PEER_DOWN = 7;
export const THROW = 8;
export const EXIT = 9;
export const FILL_HEAP = 10;
/** Channel on which a worker says that its thread is up. */
export const UP = "the echo worker is up";
