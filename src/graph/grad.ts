/** @file Reverse-mode differentiation: asks each op's record for its gradient rule, and knows no op itself. */
import { f32, LowrankError } from "../util/index.ts";
import { sameShape, shapeText, type Tensor } from "./op.ts";
import { constant, zeros } from "./ops/leaf.ts";
import { add } from "./ops/elementwise.ts";
import { accumulate } from "./ops/matmul.ts";
import { topological } from "./walk.ts";

/** Vector–Jacobian product: the gradients of Σ dy∘y with respect to `wrt`. What does not lead to `wrt` is never visited. */
export const pullback = (y: Tensor, dy: Tensor, wrt: readonly Tensor[]): Tensor[] => {
  const targets = new Set(wrt);
  const order = topological([y], targets);
  const leads = new Set<Tensor>();
  for (const tensor of order) if (targets.has(tensor) || tensor.inputs.some((input) => leads.has(input))) leads.add(tensor);

  const gradients = new Map<Tensor, Tensor>([[y, dy]]);
  for (const tensor of order.toReversed()) {
    const gradient = gradients.get(tensor);
    if (gradient === undefined || targets.has(tensor) || !leads.has(tensor)) continue;
    const contributions = tensor.op.grad(tensor, gradient);
    tensor.inputs.forEach((input, index) => {
      if (!leads.has(input)) return;
      const contribution = contributions[index];
      if (contribution === undefined) return;
      if (!sameShape(contribution.shape, input.shape))
        throw new LowrankError(
          "graph-invalid",
          `The gradient rule of ${tensor.op.name} gives ${shapeText(contribution.shape)} for input ${index} of shape ${shapeText(input.shape)}.`,
        );
      const sofar = gradients.get(input);
      // A gradient that was handed on as it is has other users: folding it into a product would compute it twice.
      const foldable = contribution !== gradient;
      const together = sofar === undefined ? contribution : foldable ? accumulate(sofar, contribution) : add(sofar, contribution);
      gradients.set(input, together);
    });
  }
  return wrt.map((tensor) => gradients.get(tensor) ?? zeros(tensor.shape));
};

/**
 * Gradients of a scalar with respect to tensors of the same graph.
 * @example const [dx] = gradients(total(multiply(x, x)), [x]); // 2x
 */
export const gradients = (loss: Tensor, wrt: readonly Tensor[]): Tensor[] => {
  if (loss.shape.length !== 0)
    throw new LowrankError("graph-invalid", `Only a scalar can be differentiated, not ${shapeText(loss.shape)}.`);
  return pullback(loss, constant(f32([1], [])), wrt);
};
