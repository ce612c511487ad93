import { describe, expect, it } from "vitest";
import { layoutOf, viewOf } from "./layout.ts";

describe("a layout", () => {
  const layout = layoutOf([
    { name: "a", role: "lora_A", shape: [2, 3] },
    { name: "b", role: "bias", shape: [4] },
    { name: "c", role: "weight", shape: [] },
  ]);

  it("puts tensors one after another", () => {
    expect(layout.slots.map(({ name, offset, size }) => [name, offset, size])).toEqual([
      ["a", 0, 6],
      ["b", 6, 4],
      ["c", 10, 1],
    ]);
    expect(layout.size).toBe(11);
    expect(layoutOf([])).toEqual({ slots: [], size: 0 });
  });

  it("shows a slot of the flat vector without a copy", () => {
    const flat = Float32Array.from({ length: 11 }, (_, index) => index);
    expect([...viewOf(flat, layout.slots[1])]).toEqual([6, 7, 8, 9]);
    viewOf(flat, layout.slots[1]).fill(-1);
    expect([...flat]).toEqual([0, 1, 2, 3, 4, 5, -1, -1, -1, -1, 10]);
  });
});
