import { expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { input } from "../graph/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { i32 } from "../util/index.ts";
import { countedPositions } from "./counted-positions.ts";

it("count from behind the padding token's id, over the other tokens of a document", async () => {
  const ids = [
    [1, 1, 7, 8, 1, 9], // padding before, and within
    [7, 8, 9, 5, 6, 1], // two documents, and padding behind
    [1, 1, 1, 1, 1, 1],
  ];
  const positions = [
    [0, 1, 2, 3, 4, 5],
    [0, 1, 2, 0, 1, 0],
    [0, 1, 2, 3, 4, 5],
  ];
  const expected = [
    [1, 1, 2, 3, 1, 4],
    [2, 3, 4, 2, 3, 1],
    [1, 1, 1, 1, 1, 1],
  ];
  const shape = [ids.length, ids[0].length];
  const feeds = {
    ids: i32(ids.flat(), shape),
    positions: { dtype: "i64" as const, shape, data: BigInt64Array.from(positions.flat(), BigInt) },
  };
  const backend = ortBackend({ threads: 1 });
  const y = countedPositions(input("ids", shape, "i32"), input("positions", shape, "i64"), 1);
  for (const on of [undefined, backend]) expect(numbersOf((await evaluate({ y }, feeds, on))["y"])).toEqual(expected.flat());
  await backend.dispose();
});
