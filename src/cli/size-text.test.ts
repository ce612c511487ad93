import { describe, expect, it } from "vitest";
import { parseSize } from "./size-text.ts";

describe("sizes", () => {
  it.each([
    ["5GB", 5e9],
    ["500 mb", 5e8],
    ["1.5kB", 1500],
    ["2GiB", 2 ** 31],
    ["64", 64],
    ["64B", 64],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize(text, "--shard-size")).toBe(bytes);
  });

  it.each(["", "GB", "-5GB", "5 pounds", "0", "0.1"])("%j is none", (text) => {
    expect(() => parseSize(text, "--shard-size")).toThrow(
      `--shard-size takes a size, not ${JSON.stringify(text)}. Write it as 5GB or 500MB.`,
    );
  });
});
