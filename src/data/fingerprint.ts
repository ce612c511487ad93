/** @file Says in a line which examples these are, so that two runs can tell whether they read the same. It knows nothing about where they come from. */
import { createHash } from "node:crypto";
import type { Example } from "./example.ts";

/** The number of examples and tokens, and a digest of tokens and masks in order. */
export const fingerprint = (examples: readonly Pick<Example, "ids" | "supervised">[]): string => {
  const hash = createHash("sha256");
  let tokens = 0;
  for (const { ids, supervised } of examples) {
    hash.update(`${ids.length} `).update(ids).update(supervised);
    tokens += ids.length;
  }
  return `${examples.length} examples, ${tokens} tokens, sha256 ${hash.digest("hex").slice(0, 16)}`;
};
