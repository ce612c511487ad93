import { describe, expect, it } from "vitest";
import { createContext, wantsColour } from "./context.ts";

const stream = (isTTY: boolean, columns?: number) => ({ isTTY, write: () => true, ...(columns !== undefined && { columns }) });

describe("wantsColour", () => {
  it.each<[boolean, Record<string, string>, boolean]>([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { NO_COLOR: "" }, true],
    [true, { TERM: "dumb" }, false],
    [false, { FORCE_COLOR: "1" }, true],
    [false, { FORCE_COLOR: "0" }, false],
    [true, { NO_COLOR: "1", FORCE_COLOR: "1" }, false],
  ])("on a terminal: %s, with %j: %s", (isTTY, environment, expected) => {
    expect(wantsColour(stream(isTTY), environment)).toBe(expected);
  });
});

describe("createContext", () => {
  const surroundings = { stdout: stream(true, 120), stderr: stream(false), environment: {}, setExitCode: () => undefined };

  it("watches the stream that people read", () => {
    expect(createContext(false, surroundings)).toMatchObject({ isTerminal: true, colour: true, columns: 120 });
    expect(createContext(true, surroundings)).toMatchObject({ isTerminal: false, colour: false, columns: 80 });
    expect(createContext(false, { ...surroundings, environment: { TERM: "dumb" } })).toMatchObject({ isTerminal: false, colour: false });
  });
});
