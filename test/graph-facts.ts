/** @file What tests count in programs: ops by name, products that are computed twice, who uses what. It runs nothing. */
import { operandsOf, type Graph, type OpName, type Tensor } from "../src/graph/index.ts";

/** The names of a program's ops, in order. */
export const opNames = ({ order }: Graph): OpName[] => order.map(({ op }) => op.name);

export const countOf = (graph: Graph, name: OpName): number => opNames(graph).filter((each) => each === name).length;

/** Pairs of matrix products of the same factors: work that is done twice. */
export const repeatedProducts = ({ order }: Graph): number => {
  const products = order.filter(({ op }) => op.name === "matmul");
  const same = (a: Tensor, b: Tensor): boolean =>
    a.inputs[0] === b.inputs[0] && a.inputs[1] === b.inputs[1] && JSON.stringify(a.attributes) === JSON.stringify(b.attributes);
  return products.reduce((count, a, index) => count + products.slice(index + 1).filter((b) => same(a, b)).length, 0);
};

/** The tensors of a program that are made from `tensor` directly. */
export const usersOf = ({ order }: Graph, tensor: Tensor): Tensor[] => order.filter((each) => operandsOf(each).includes(tensor));

/** Milliseconds of the quickest of five calls, so that other work on the machine does not count. */
export const bestTime = (call: () => unknown): number =>
  Math.min(
    ...Array.from({ length: 5 }, () => {
      const start = performance.now();
      call();
      return performance.now() - start;
    }),
  );
