/** @file Sizes as people write them: `5GB`, `500 MB`. It knows nothing about what has the size. */
import { LowrankError } from "../util/index.ts";

const units: Readonly<Record<string, number>> = {
  "": 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** The bytes that a text stands for; `place` names where it was given in the error. */
export const parseSize = (text: string, place: string): number => {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = number === undefined ? undefined : units[unit.toLowerCase().replace(/^b$/, "")];
  const bytes = factor === undefined ? 0 : Math.floor(Number(number) * factor);
  if (bytes >= 1) return bytes;
  throw new LowrankError("invalid-argument", `${place} takes a size, not ${JSON.stringify(text)}.`, { fix: "Write it as 5GB or 500MB." });
};
