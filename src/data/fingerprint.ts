/** @file Says in a line which examples these are, so that two runs can tell whether they read the same. It knows nothing about where they come from. */
import { createHash } from "node:crypto";
import type { Collation } from "./collation.ts";

/** The number of examples and tokens, and a digest of what is learnt of them, in order. */
export const fingerprint = <E>({ tokensOf, contentOf }: Pick<Collation<E>, "tokensOf" | "contentOf">, examples: readonly E[]): string => {
  const hash = createHash("sha256");
  let tokens = 0;
  for (const example of examples) {
    for (const content of contentOf(example)) hash.update(content);
    tokens += tokensOf(example);
  }
  return `${examples.length} examples, ${tokens} tokens, sha256 ${hash.digest("hex").slice(0, 16)}`;
};
