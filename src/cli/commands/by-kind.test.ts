import { describe, expect, it } from "vitest";
import { groupBy, kindOf, sortByName } from "./by-kind.ts";

describe("kindOf", () => {
  it.each([
    ["model.layers.10.mlp.up_proj.weight", "model.layers.*.mlp.up_proj.weight"],
    ["model.layers.0.mlp.experts.63.w1", "model.layers.*.mlp.experts.*.w1"],
    ["h.0", "h.*"],
    ["0.1.2", "*.*.*"],
    ["transformer.ln_1.conv1d", "transformer.ln_1.conv1d"],
  ])("%s → %s", (name, kind) => expect(kindOf(name)).toBe(kind));
});

it("puts layer 2 before layer 10, and keeps groups in the order they come", () => {
  const names = sortByName(["b.10.x", "b.2.y", "a.3.x", "b.2.x"], (name) => name);
  expect(names).toEqual(["a.3.x", "b.2.x", "b.2.y", "b.10.x"]);
  expect([...groupBy(names, kindOf)]).toEqual([
    ["a.*.x", ["a.3.x"]],
    ["b.*.x", ["b.2.x", "b.10.x"]],
    ["b.*.y", ["b.2.y"]],
  ]);
});
