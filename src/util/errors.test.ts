import { describe, expect, it } from "vitest";
import { LowrankError, messageOf } from "./errors.ts";

describe("LowrankError", () => {
  it.each([
    [{}, "The header is cut short."],
    [{ where: "a.safetensors" }, "a.safetensors: The header is cut short."],
    [{ fix: "Download it again." }, "The header is cut short. Download it again."],
    [{ where: "a.safetensors", fix: "Download it again." }, "a.safetensors: The header is cut short. Download it again."],
  ])("says what, where and what to do: %j", (details, message) => {
    const error = new LowrankError("invalid-file", "The header is cut short.", details);
    expect(error).toMatchObject({ name: "LowrankError", code: "invalid-file", message, where: undefined, fix: undefined, ...details });
    expect(error).toBeInstanceOf(Error);
    expect("cause" in error).toBe(false);
  });

  it("keeps its cause", () => {
    const cause = new Error("ENOSPC");
    expect(new LowrankError("io-failed", "The disk is full.", { cause }).cause).toBe(cause);
  });

  it("is known across copies of the package, and other errors are not", () => {
    const fromAnotherCopy = Object.assign(new Error("x"), { name: "LowrankError", code: "unsupported" });
    const others = [
      new Error("x"),
      Object.assign(new Error("x"), { code: "ENOENT" }),
      { name: "LowrankError", code: "x" },
      "x",
      null,
      undefined,
    ];
    expect([new LowrankError("unsupported", "x"), fromAnotherCopy].map(LowrankError.is)).toEqual([true, true]);
    expect(others.map(LowrankError.is)).toEqual(others.map(() => false));
  });
});

describe("messageOf", () => {
  it.each([
    [new Error("broken"), "broken"],
    ["plain", "plain"],
    [undefined, "undefined"],
    [42, "42"],
  ])("%s", (thrown, message) => {
    expect(messageOf(thrown)).toBe(message);
  });
});
