/** @file What every backend must compute: each op's value and gradient. It takes a backend and knows none. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { input, program, pullback, type Graph, type OpName, type Tensor } from "../src/graph/index.ts";
import type { Backend } from "../src/runtime/index.ts";
import { dtypes, type HostTensor } from "../src/util/index.ts";
import { evaluate, feedsOf, gradientByDifferences, inputsLike, largestError, numbersOf, runHosts, type Hosts } from "./evaluate.ts";
import { normal, opCases, type OpCase } from "./op-cases.ts";

/** Error |a − b| / (1 + |b|) against the reference: float32 rounding of short sums. */
export const valueTolerance = 2e-6;
/** Error against differences, which are good to about four digits in float32. */
export const gradientTolerance = 1e-4;

export const cases = (Object.entries(opCases) as [OpName, readonly OpCase[]][]).flatMap(([op, list]) =>
  list.map((each) => [op, each] as const),
);

/** A case as tensors: its value, and as `dx0`, `dx1`, … the gradient of Σ dy∘value for each float32 input. */
export const caseOutputs = ({ inputs, build }: OpCase): { y: Tensor; gradients: Record<string, Tensor> } => {
  const x = inputsLike(inputs);
  const y = build(...x);
  const wanted = y.dtype === "f32" ? x.filter(({ dtype }) => dtype === "f32") : [];
  const gradients = pullback(y, input("dy", y.shape), wanted);
  return { y, gradients: Object.fromEntries(wanted.map((tensor, index) => [`dx${x.indexOf(tensor)}`, gradients[index]])) };
};

/** What of a case a program needs, with `dy` where it has that. */
export const feedsFor = ({ inputs }: OpCase, graph: Graph): Hosts => {
  const feeds = { ...feedsOf(inputs), dy: normal(graph.inputs.get("dy")?.shape ?? [], 3) };
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => graph.inputs.has(name)));
};

export interface OpConformance {
  /** The reason why an op is not tried. */
  readonly skips?: Partial<Record<OpName, string>>;
  /** Whether the backend multiplies with weights of fewer bits without rounding what they are multiplied with; default false. */
  readonly unrounded?: boolean;
}

/** Adds tests of every op on a backend. */
export const describeOps = (name: string, create: () => Backend, { skips = {}, unrounded = false }: OpConformance = {}): void => {
  describe(`ops on ${name}`, () => {
    let backend: Backend;
    beforeAll(() => {
      backend = create();
    });
    afterAll(() => backend.dispose());

    for (const [op, each] of cases) {
      it(`${op}, ${each.about}: the value is the reference's`, async ({ skip }) => {
        if (skips[op] !== undefined) skip(skips[op]);
        const { y } = caseOutputs(each);
        const graph = program({ y });
        expect(graph.order.map((tensor) => tensor.op.name)).toContain(op);

        const feeds = feedsFor(each, graph);
        const { y: wanted } = unrounded && each.unrounded !== undefined ? caseOutputs({ ...each, build: each.unrounded }) : { y };
        const [{ y: expected }, { y: value }] = [await evaluate({ y: wanted }, feeds), await evaluate({ y }, feeds, backend)];
        expect(value.dtype).toBe(y.dtype);
        expect(value.shape).toEqual(y.shape);
        expect(value.data.constructor).toBe(dtypes[y.dtype].array);
        expect(expected.data.constructor).toBe(dtypes[y.dtype].array);
        expect(largestError(numbersOf(value), numbersOf(expected))).toBeLessThan(valueTolerance);
      });

      const differentiable =
        each.rounds !== true && each.inputs.some(({ dtype }) => dtype === "f32") && caseOutputs(each).y.dtype === "f32";
      if (!differentiable) continue;
      it(`${op}, ${each.about}: the gradient is the one of differences`, async ({ skip }) => {
        if (skips[op] !== undefined) skip(skips[op]);
        const { y, gradients } = caseOutputs(each);
        const graph = program(gradients);
        const feeds = feedsFor(each, graph);
        const dx = await evaluate(gradients, feeds, backend);
        const executable = await backend.compile(program({ y }));
        const forward = feedsFor(each, program({ y }));
        const run = async (moved: Hosts): Promise<HostTensor> => (await runHosts(executable, moved)).y;
        for (const output of Object.keys(gradients)) {
          const place = Number(output.slice(2));
          const analytic = numbersOf(dx[output]);
          expect(dx[output].shape).toEqual(each.inputs[place].shape);
          const expected = each.without?.includes(place)
            ? analytic.map(() => 0)
            : await gradientByDifferences(run, forward, `x${place}`, normal(y.shape, 3));
          expect(largestError(analytic, expected), `input ${place}: ${analytic.join()} against ${expected.join()}`).toBeLessThan(
            gradientTolerance,
          );
        }
        await executable.dispose();
      });
    }
  });
};
