import * as fc from "fast-check";
import { expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../test/evaluate.ts";
import { expressionOf, steps } from "../../test/expressions.ts";
import { print, program } from "../graph/index.ts";
import { emitOnnx } from "../onnx/index.ts";
import { createEngine } from "./ort-session.ts";

it("ONNX Runtime computes random programs and their gradients as the reference does", async () => {
  const engine = createEngine({ device: "cpu", threads: 1 });
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const { y, gradients, feeds } = expressionOf(list);
      const graph = program({ y, ...gradients });
      const fed = Object.fromEntries(Object.entries(feeds).filter(([name]) => graph.inputs.has(name)));
      const session = await engine.compile(emitOnnx(graph));
      const { hosts } = await engine.run(session, fed, {});
      await engine.closeSession(session);
      const expected = await evaluate(graph.outputs, fed);
      for (const name of Object.keys(expected)) {
        expect(hosts[name].shape).toEqual(expected[name].shape);
        expect(largestError(numbersOf(hosts[name]), numbersOf(expected[name])), `${name} of\n${print(graph)}`).toBeLessThan(2e-5);
      }
    }),
    { seed: 4, numRuns: 100 },
  );
});
