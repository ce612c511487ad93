/** @file Reads `ADAPTER[:scale]`. It knows nothing about what an adapter is. */
import { existsSync } from "node:fs";
import { LowrankError } from "../../util/index.ts";

/** An adapter as a command line names it. */
export interface AdapterReference {
  /** A folder, or a name of the library or of the hub. */
  readonly directory: string;
  /** How strongly it acts; 1 as trained. */
  readonly weight: number;
}

const digest = /^sha256:[0-9a-f]+$/;
const numeric = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Splits `ADAPTER:scale` at its last colon. A folder with exactly this name wins, and what follows a colon in a path
 * (`C:\adapters`) or a name (`tales:prod`, `sha256:3f2a10`) is a scale only if it is a number; after the name of a folder anything else is `invalid-argument`.
 */
export const parseAdapter = (text: string, exists: (path: string) => boolean = existsSync): AdapterReference => {
  const colon = text.lastIndexOf(":");
  const [directory, scale] = [text.slice(0, colon), text.slice(colon + 1)];
  if (colon < 1 || exists(text) || digest.test(text)) return { directory: text, weight: 1 };
  const weight = Number(scale);
  if (numeric.test(scale) && Number.isFinite(weight)) return { directory, weight };
  if (!exists(directory)) return { directory: text, weight: 1 };
  throw new LowrankError("invalid-argument", `--adapter: ${JSON.stringify(scale)} is not a scale for ${directory}.`, {
    fix: `Give a number, for example ${directory}:0.5, or leave it out.`,
  });
};
