/**
 * Numbers as text, as Redis 7.2 writes them: no locale, no surprise, the same bits on every node.
 *
 * Invariant: what `formatDouble` writes reads back as the same double.
 */

/**
 * A double as Redis 7.2's d2string writes it: integers up to 2^62 in full, else the shortest digits
 * that read back (JavaScript's; Redis's grisu2 finds a longer one in 0.1 % of cases), laid out as
 * fpconv does: "0.1", "1.5", "1e+20", "1.2345678901234e+4". "inf", "-inf", "nan", "-0".
 */
export function formatDouble(value: number): string {
  if (Number.isInteger(value)) {
    if (Number.isSafeInteger(value)) return Object.is(value, -0) ? "-0" : String(value);
    if (Math.abs(value) <= 2 ** 62) return BigInt(value).toString();
  } else if (!Number.isFinite(value)) {
    return formatInfinite(value);
  }
  const sign = value < 0 ? "-" : "";
  const { digits, exponent } = shortest(value);
  const magnitude = Math.abs(exponent + digits.length - 1);
  if (exponent >= 0 && magnitude < digits.length + 7) {
    return sign + digits + "0".repeat(exponent);
  }
  if (exponent < 0 && (exponent > -7 || magnitude < 4)) return sign + fixed(digits, exponent);
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
  const power = exponent + digits.length - 1;
  return `${sign}${digits[0]}${fraction}e${power < 0 ? "-" : "+"}${magnitude}`;
}

/**
 * A float for people, as INCRBYFLOAT stores and answers it (Redis: "%.17Lf", zeros trimmed): never
 * an exponent, at most 17 decimals. Redis computes with 80 bits, we with 64: the digits are the
 * shortest that read back as the double, so 10.5 + 0.1 is "10.6" here too.
 */
export function formatLongDouble(value: number): string {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return formatInfinite(value);
  const sign = value < 0 ? "-" : "";
  if (Number.isInteger(value)) {
    if (Number.isSafeInteger(value)) return String(value);
    // Below 2^64 Redis's 80 bits hold, and print, every unit; above it nobody typed more digits.
    if (Math.abs(value) < 2 ** 64) return BigInt(value).toString();
  }
  const { digits, exponent } = shortest(value);
  if (exponent >= 0) return sign + digits + "0".repeat(exponent);
  if (exponent >= -17) return sign + fixed(digits, exponent);
  const rounded = value.toFixed(17).replace(/\.?0+$/, "");
  return rounded === "-0" ? "0" : rounded;
}

function formatInfinite(value: number): string {
  if (Number.isNaN(value)) return "nan";
  return value > 0 ? "inf" : "-inf";
}

/** Shortest digits that read back, and the power of ten of the last one. */
function shortest(value: number): { digits: string; exponent: number } {
  const [mantissa = "", power] = Math.abs(value).toExponential().split("e");
  const digits = mantissa.replace(".", "");
  return { digits, exponent: Number(power) - digits.length + 1 };
}

/** digits * 10^exponent with a point, exponent < 0. */
function fixed(digits: string, exponent: number): string {
  const whole = digits.length + exponent;
  if (whole <= 0) return `0.${"0".repeat(-whole)}${digits}`;
  return `${digits.slice(0, whole)}.${digits.slice(whole)}`;
}
