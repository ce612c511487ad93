/** @file Walking a graph: what a set of tensors is made of, in an order in which it can be computed. */
import type { Tensor } from "./op.ts";

/**
 * Everything that `outputs` depend on, inputs before users. The walk does not go behind the tensors in `stop` (they are included);
 * `inputsOf` says what a tensor depends on, by default all its inputs.
 */
export const topological = (
  outputs: readonly Tensor[],
  stop: ReadonlySet<Tensor> = new Set(),
  inputsOf: (tensor: Tensor) => readonly Tensor[] = ({ inputs }) => inputs,
): Tensor[] => {
  const order: Tensor[] = [];
  const state = new Map<Tensor, "open" | "done">();
  const stack = outputs.toReversed();
  while (stack.length > 0) {
    const tensor = stack[stack.length - 1];
    const seen = state.get(tensor);
    if (seen === undefined) {
      state.set(tensor, "open");
      if (stop.has(tensor)) continue;
      const inputs = inputsOf(tensor);
      for (let index = inputs.length - 1; index >= 0; index--) if (!state.has(inputs[index])) stack.push(inputs[index]);
    } else {
      stack.pop();
      if (seen === "open") order.push(tensor);
      state.set(tensor, "done");
    }
  }
  return order;
};
