/** @file The logarithm of the logistic function, for scores of any size. */
import { add, exp, log, multiply, negate, relu, scalar, sigmoid, withGradient, type Tensor } from "../graph/index.ts";

/** log σ(x) = −max(−x, 0) − log(1 + e^−|x|), elementwise; its gradient is σ(−x). */
export const logSigmoid = (x: Tensor): Tensor => {
  const [above, below] = [relu(x), relu(negate(x))];
  const value = negate(add(below, log(add(exp(negate(add(above, below))), scalar(1)))));
  return withGradient(value, [x], [], (dy, [source]) => [multiply(dy, sigmoid(negate(source)))]);
};
