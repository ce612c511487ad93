import { describe, expect, it } from "vitest";
import { LowrankError } from "../../util/index.ts";
import { errorObject, formatError } from "./errors.ts";

const style = { columns: 60, colour: false, debug: false };
const kind = new LowrankError("invalid-data", "The label is never supervised.", {
  where: "data.jsonl:12",
  fix: "Give the example an answer.",
});

describe("formatError", () => {
  it("wraps a foreseen error into one paragraph", () => {
    expect(formatError(kind, style)).toBe("error: data.jsonl:12: The label is never supervised. Give\nthe example an answer.");
    expect(formatError(kind, { ...style, colour: true })).toContain("\x1b[31m\x1b[1merror:\x1b[22m\x1b[39m data.jsonl:12");
  });

  it.each<[unknown, string]>([
    [new TypeError("x is undefined"), "error: x is undefined. This was not foreseen, so it is"],
    [new Error("What?"), "error: What? This was not foreseen, so it is probably a"],
    ["text", "error: text. This was not foreseen, so it is probably a"],
  ])("calls %s a defect", (error, firstLine) => {
    const lines = formatError(error, style).split("\n");
    expect(lines[0]).toBe(firstLine);
    expect(lines.slice(1).join(" ")).toMatch(/defect\. Run again with DEBUG=1 to see where it happened\.$/);
  });

  it("adds stacks and causes for those who ask", () => {
    const text = formatError(new LowrankError("io-failed", "It broke.", { cause: new Error("deep", { cause: "deeper" }) }), {
      ...style,
      debug: true,
    });
    expect(text).toMatch(
      /^error: It broke\.\n\nLowrankError: It broke\.\n {4}at [^]*\n\ncaused by Error: deep\n {4}at [^]*\n\ncaused by deeper$/,
    );
  });
});

describe("errorObject", () => {
  it("keeps what programs react to", () => {
    expect(errorObject(kind)).toEqual({
      error: { code: "invalid-data", message: kind.message, where: "data.jsonl:12", fix: "Give the example an answer." },
    });
    expect(errorObject(new LowrankError("interrupted", "Stopped."))).toEqual({ error: { code: "interrupted", message: "Stopped." } });
    expect(errorObject(new Error("x"))).toEqual({ error: { code: "unexpected", message: "x" } });
  });
});
