/** @file Walking a graph: what a set of tensors is made of, in an order in which it can be computed. */
import type { Tensor } from "./op.ts";

/**
 * Everything that `outputs` depend on, inputs before users; nothing else is in a program, so dead code never reaches the emitter.
 * The walk does not go behind the tensors in `stop` (they are included).
 */
export const topological = (outputs: readonly Tensor[], stop: ReadonlySet<Tensor> = new Set()): Tensor[] => {
  const order: Tensor[] = [];
  const state = new Map<Tensor, "open" | "done">();
  const stack = outputs.toReversed();
  while (stack.length > 0) {
    const tensor = stack[stack.length - 1];
    const seen = state.get(tensor);
    if (seen === undefined) {
      state.set(tensor, "open");
      if (!stop.has(tensor))
        for (let index = tensor.inputs.length - 1; index >= 0; index--)
          if (!state.has(tensor.inputs[index])) stack.push(tensor.inputs[index]);
    } else {
      stack.pop();
      if (seen === "open") order.push(tensor);
      state.set(tensor, "done");
    }
  }
  return order;
};
