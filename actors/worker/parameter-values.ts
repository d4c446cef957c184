/** Values of configuration parameters in Redis's notation. */

// limits:
/** Largest size that a parameter may name, and longest text that it may hold. */
export const PARAMETER_BYTES_MAX = 2 ** 50;
export const PARAMETER_TEXT_MAX = 4096;

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1000 ** 2,
  mb: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1024 ** 3,
};

/** Bytes as Redis writes them ("100mb", "1g", "4096"); -1: no such value. */
export function memoryBytes(text: string): number {
  const match = /^([0-9]{1,15})([a-z]{0,2})$/.exec(text.toLowerCase());
  const unit = Object.hasOwn(UNITS, match?.[2] ?? "?") ? UNITS[match?.[2] ?? ""] : undefined;
  if (match === null || unit === undefined) return -1;
  const bytes = Number(match[1]) * unit;
  return bytes > PARAMETER_BYTES_MAX ? -1 : bytes;
}
