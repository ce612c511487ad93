import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stopMatcher } from "./stop.ts";

/** All that a matcher lets through of a text in pieces, and the stop string that it found. */
const run = (stops: readonly string[], pieces: readonly string[]): { text: string; stopped: string | undefined } => {
  const matcher = stopMatcher(stops);
  const results = [...pieces.map((piece) => matcher.push(piece)), matcher.flush()];
  return { text: results.map(({ text }) => text).join(""), stopped: results.at(-1)!.stopped };
};

describe("stopMatcher", () => {
  it.each<[readonly string[], readonly string[], readonly string[]]>([
    [[], ["a", "b"], ["a", "b", ""]],
    [["END"], ["abc", "E", "N", "x"], ["abc", "", "", "ENx", ""]],
    [["END"], ["aEN", "D after", "more"], ["a", "", "", ""]],
    [["END"], ["aEN"], ["a", "EN"]],
    [["aab"], ["aaa", "b"], ["a", "", ""]],
    [
      ["abcd", "bc"],
      ["xabc", "d"],
      ["x", "", ""],
    ],
    [
      ["abcd", "bc"],
      ["xabc", "e"],
      ["x", "a", ""],
    ],
    [["abcd", "bc"], ["xabc"], ["x", "a"]],
    [["🙂"], ["a\ud83d", "\ude42b"], ["a", "", ""]],
  ])("with %j lets of %j through %j", (stops, pieces, texts) => {
    const matcher = stopMatcher(stops);
    expect([...pieces.map((piece) => matcher.push(piece).text), matcher.flush().text]).toEqual(texts);
  });

  it("names the shortest of the stop strings that begin at one place, from the moment it is there", () => {
    const matcher = stopMatcher(["abc", "ab"]);
    expect(matcher.push("xa")).toEqual({ text: "x", stopped: undefined });
    expect(matcher.push("bc")).toEqual({ text: "", stopped: "ab" });
    expect(matcher.push("abc")).toEqual({ text: "", stopped: "ab" });
    expect(matcher.flush()).toEqual({ text: "", stopped: "ab" });
  });

  it("refuses an empty stop string", () => {
    expect(() => stopMatcher(["a", ""])).toThrow(/stop strings: A stop string is empty/);
  });

  it("cuts before the first stop string however the text is split, and holds back no more than could begin one", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 40 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 5 }), { maxLength: 4 });
    fc.assert(
      fc.property(letters, stops, fc.array(fc.nat(5)), (text, stops, sizes) => {
        const pieces: string[] = [];
        for (let start = 0, index = 0; start < text.length; index++) {
          const size = sizes[index] ?? 1;
          pieces.push(text.slice(start, start + size));
          start += size;
        }
        const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
        const first = Math.min(text.length, ...places);
        const named = stops.filter((stop) => text.startsWith(stop, first)).toSorted((a, b) => a.length - b.length)[0];
        expect(run(stops, pieces)).toEqual({ text: text.slice(0, first), stopped: named });

        const matcher = stopMatcher(stops);
        let shown = "";
        for (const [index, piece] of pieces.entries()) {
          const result = matcher.push(piece);
          shown += result.text;
          const held = pieces
            .slice(0, index + 1)
            .join("")
            .slice(shown.length);
          if (result.stopped === undefined && held !== "") {
            expect(stops.some((stop) => stop.length > held.length && stop.startsWith(held))).toBe(true);
          }
        }
      }),
      { numRuns: 2000, seed: 1 },
    );
  });
});
