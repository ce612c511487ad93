import { expect, it } from "vitest";
import { cutIntoPasses, type PassOptions } from "./passes.ts";

const cases: [string, Partial<PassOptions>, [rows: number, passes: number]][] = [
  ["leaves a batch whole where the longest pass is the fastest", { batchSize: 4, tokensPerRow: 256 }, [4, 1]],
  ["takes the fewest rows with enough tokens", { batchSize: 4, tokensPerRow: 256, enoughTokens: 512 }, [2, 2]],
  ["takes single rows that are long enough", { batchSize: 6, tokensPerRow: 900, enoughTokens: 512 }, [1, 6]],
  ["rounds up to what divides the batch", { batchSize: 9, tokensPerRow: 256, enoughTokens: 512 }, [3, 3]],
  ["leaves a batch whole that has too few", { batchSize: 8, tokensPerRow: 20, enoughTokens: 512 }, [8, 1]],
  ["multiplies the batches per update", { batchSize: 8, accumulate: 3, tokensPerRow: 128, enoughTokens: 512 }, [4, 6]],
  [
    "leaves a batch whole whose rows a loss sees together",
    { batchSize: 4, tokensPerRow: 256, enoughTokens: 512, loss: { spansBatch: true } },
    [4, 1],
  ],
];

it.each(cases)("%s", (_, options, [batchSize, accumulate]) => {
  expect(cutIntoPasses({ batchSize: 1, accumulate: 1, tokensPerRow: 1, loss: {}, ...options })).toEqual({ batchSize, accumulate });
});
