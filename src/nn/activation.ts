/** @file Activations by the names that configurations give them. It knows nothing about layers. */
import { add, erf, multiply, relu, scalar, scale, silu, tanh, type Tensor } from "../graph/index.ts";

export type Activation = (x: Tensor) => Tensor;

/** x·Φ(x) [Hendrycks and Gimpel 2016]. */
const gelu: Activation = (x) => scale(multiply(x, add(erf(scale(x, Math.SQRT1_2)), scalar(1))), 0.5);

/** The same by its approximation ½x·(1 + tanh(√(2/π)·(x + 0.044715x³))). */
const geluTanh: Activation = (x) => {
  const inner = multiply(x, add(scale(multiply(x, x), 0.044715), scalar(1))); // x + 0.044715x³
  return scale(multiply(x, add(tanh(scale(inner, Math.sqrt(2 / Math.PI))), scalar(1))), 0.5);
};

export const activations = {
  silu,
  swish: silu,
  gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu,
} satisfies Readonly<Record<string, Activation>>;
