import { describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { input } from "../graph/index.ts";
import { modelOf } from "../models/index.ts";
import { causalMask, fullMask } from "../nn/index.ts";
import { i32 } from "../util/index.ts";
import { withRecordedPadding } from "./recorded.ts";

const small = { vocab_size: 11, hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1, num_attention_heads: 2 };
const llama = modelOf({ ...small, model_type: "llama" }, "config.json");

/** Who sees whom, as rows of keys: `11·` where a query sees the first two of three. */
const seen = async (mask: typeof causalMask, segments: readonly number[], window = Infinity): Promise<string[]> => {
  const T = segments.length;
  const { bias } = withRecordedPadding({ ...llama, mask }).mask(input("segments", [1, T], "i32"));
  const { y } = await evaluate({ y: bias(0, T, window) }, { segments: i32([...segments], [1, T]) });
  const flat = numbersOf(y).map((value) => (value === 0 ? "1" : "·"));
  return Array.from({ length: T }, (_, row) => flat.slice(row * T, (row + 1) * T).join(""));
};

describe("padding as references treat it", () => {
  it("is seen by nobody, and sees nothing before a text", async () => {
    expect(await seen(causalMask, [0, 0, 1, 1])).toEqual(["····", "····", "··1·", "··11"]);
  });

  it("sees the text behind which it stands", async () => {
    expect(await seen(causalMask, [1, 1, 0, 0])).toEqual(["1···", "11··", "11··", "11··"]);
    expect(await seen(causalMask, [1, 1, 0, 0], 2)).toEqual(["1···", "11··", "·1··", "····"]);
  });

  it("sees all of a text where everybody does", async () => {
    expect(await seen(fullMask, [0, 1, 1, 0])).toEqual(["·11·", "·11·", "·11·", "·11·"]);
  });
});
