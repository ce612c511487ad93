import { describe, expect, it } from "vitest";
import { f32 } from "../util/index.ts";
import { addSums, meansOf, metricSums } from "./metrics.ts";

describe("metrics", () => {
  it("are read from a program's outputs by their prefix", () => {
    const outputs = { loss: f32([3], []), "metric.accuracy": f32([2, 4]) };
    expect(metricSums(outputs)).toEqual({ accuracy: { sum: 2, weight: 4 } });
  });

  it("are means over all batches, each by its own weight", () => {
    const first = { accuracy: { sum: 2, weight: 4 }, margin: { sum: 1, weight: 1 } };
    const second = { accuracy: { sum: 1, weight: 1 }, reward: { sum: 0.5, weight: 2 } };
    expect(meansOf(addSums(first, second))).toEqual({ accuracy: 3 / 5, margin: 1, reward: 0.25 });
  });

  it("leave out what nothing was counted for", () => {
    expect(meansOf(addSums({}, { reward: { sum: 0, weight: 0 } }))).toEqual({});
  });
});
