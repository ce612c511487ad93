import { describe, expect, it } from "vitest";
import { checkSameConfiguration, type RunConfiguration } from "./run-configuration.ts";

describe("checkSameConfiguration", () => {
  it.each<[string, RunConfiguration, RunConfiguration]>([
    ["the order of keys", { a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }],
    ["keys without a value", { a: 1 }, { a: 1, b: undefined }],
  ])("does not mind %s", (_, started, now) => {
    expect(() => checkSameConfiguration(started, now, "state.json")).not.toThrow();
  });

  it.each<[RunConfiguration, RunConfiguration, string]>([
    [{ rank: 8 }, { rank: 16 }, "rank was 8 and is now 16"],
    [{ targets: ["q_proj"] }, { targets: ["q_proj", "v_proj"] }, 'targets was ["q_proj"] and is now ["q_proj","v_proj"]'],
    [{ pack: true }, {}, "pack was true and is now not set"],
    [{}, { pack: true }, "pack was not set and is now true"],
    [{ seed: 1, rank: 8 }, { seed: 2, rank: 4 }, "seed was 1 and is now 2; rank was 8 and is now 4"],
  ])("names the keys that differ between %j and %j", (started, now, named) => {
    expect(() => checkSameConfiguration(started, now, "state.json")).toThrow(
      `state.json: The run was started with other settings: ${named}. Resume with the same values, or start a new run in another folder.`,
    );
  });
});
