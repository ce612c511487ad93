/** @file Softmax and root-mean-square normalisation over the last axis. */
import { LowrankError } from "../../util/index.ts";
import { needFloat32, node, shapeText, type Op, type Tensor } from "../op.ts";
import { add, multiply, reciprocal, sqrt, subtract } from "./elementwise.ts";
import { scalar } from "./leaf.ts";
import { scale } from "./matmul.ts";
import { sum, sumTo } from "./reduce.ts";

const softmaxOp: Op<undefined> = {
  name: "softmax",
  inPlace: [0],
  infer: ([x]) => {
    needFloat32("softmax", x);
    if (x.shape.length === 0) throw new LowrankError("shape-mismatch", `softmax: ${shapeText(x.shape)} has no last axis.`);
    return { dtype: "f32", shape: x.shape };
  },
  // dx = p∘(dy − Σ dy∘p)
  grad: (p, dy) => [multiply(p, subtract(dy, sum(multiply(dy, p), [p.shape.length - 1])))],
  onnx: (lowering, inputs) => lowering.emit("Softmax", inputs, { axis: { int: -1 } }),
  reference: ([x]) => {
    const width = x.shape[x.shape.length - 1];
    const result = Float64Array.from(x.data as Float32Array);
    for (let start = 0; start < result.length; start += width) {
      const row = result.subarray(start, start + width);
      const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
      row.forEach((value, index) => (row[index] = Math.exp(value - largest)));
      const total = row.reduce((a, b) => a + b, 0);
      row.forEach((value, index) => (row[index] = value / total));
    }
    return Float32Array.from(result);
  },
};

/** Softmax over the last axis. */
export const softmax = (x: Tensor): Tensor => node(softmaxOp, [x], undefined);

const rmsNormOp: Op<{ epsilon: number }> = {
  name: "rms-norm",
  infer: ([x, gain]) => {
    needFloat32("rms-norm", x, gain);
    if (gain.shape.length !== 1 || gain.shape[0] !== x.shape[x.shape.length - 1])
      throw new LowrankError(
        "shape-mismatch",
        `rms-norm: gain ${shapeText(gain.shape)} does not fit the last axis of ${shapeText(x.shape)}.`,
      );
    return { dtype: "f32", shape: x.shape };
  },
  // y = g∘x·ρ with ρ = (mean x² + ε)^−½:  dx = ρ·(g∘dy) − x·ρ³·mean(g∘dy∘x),  dg = Σ dy∘x·ρ
  grad: ({ inputs: [x, gain], attributes: { epsilon } }, dy) => {
    const last = x.shape.length - 1;
    const mean = (value: Tensor): Tensor => scale(sum(value, [last]), 1 / x.shape[last]);
    const inverse = reciprocal(sqrt(add(mean(multiply(x, x)), scalar(epsilon)))); // (…, 1)
    const scaled = multiply(dy, gain);
    const along = multiply(multiply(inverse, multiply(inverse, inverse)), mean(multiply(scaled, x))); // (…, 1)
    const dx = subtract(multiply(scaled, inverse), multiply(x, along));
    return [dx, sumTo(multiply(dy, multiply(x, inverse)), gain.shape)];
  },
  onnx: (lowering, inputs, { attributes: { epsilon } }) =>
    lowering.emit("SimplifiedLayerNormalization", inputs, { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } }),
  reference: ([x, gain], { attributes: { epsilon } }) => {
    const width = gain.shape[0];
    const result = new Float32Array(x.data.length);
    for (let start = 0; start < result.length; start += width) {
      let squares = 0;
      for (let index = 0; index < width; index++) squares += Number(x.data[start + index]) ** 2;
      const inverse = 1 / Math.sqrt(squares / width + epsilon);
      for (let index = 0; index < width; index++)
        result[start + index] = Number(x.data[start + index]) * inverse * Number(gain.data[index]);
    }
    return result;
  },
};

/** gain ∘ x / √(mean x² + ε) over the last axis [Zhang and Sennrich 2019, eq. 4]. */
export const rmsNorm = (x: Tensor, gain: Tensor, epsilon: number): Tensor => node(rmsNormOp, [x, gain], { epsilon });

export const normaliseOps = { softmax: softmaxOp, "rms-norm": rmsNormOp };
