import { describe, expect, it } from "vitest";
import type { Example } from "./example.ts";
import { fingerprint as fingerprintOf } from "./fingerprint.ts";
import { rowKind } from "./kinds/rows.ts";

const example = (ids: readonly number[], supervised: readonly number[]): Example => ({
  ids: Int32Array.from(ids),
  supervised: Uint8Array.from(supervised),
  where: "tiny.jsonl:1",
});
const fingerprint = (examples: readonly Example[]): string => fingerprintOf(rowKind, examples);
const a = example([1, 2, 3], [0, 1, 1]);
const b = example([4, 5], [0, 1]);

describe("fingerprint", () => {
  it("counts and is the same for the same examples", () => {
    expect(fingerprint([a, b])).toBe("2 examples, 5 tokens, sha256 f57ba1eb016c43e3");
    expect(fingerprint([example([1, 2, 3], [0, 1, 1]), b])).toBe(fingerprint([a, b]));
    expect(fingerprint([])).toMatch(/^0 examples, 0 tokens, sha256 e3b0c44298fc1c14$/);
  });

  it.each([
    ["the order", [b, a]],
    ["a token", [example([1, 2, 9], [0, 1, 1]), b]],
    ["a mask", [example([1, 2, 3], [0, 0, 1]), b]],
    ["where an example ends", [example([1, 2], [0, 1]), example([3, 4, 5], [1, 0, 1])]],
  ])("changes with %s", (_, examples) => {
    expect(fingerprint(examples)).not.toBe(fingerprint([a, b]));
  });
});
