/** @file Rotary position embedding of whole head vectors, in the half-split form of the Llama checkpoints. */
import { LowrankError } from "../../util/index.ts";
import { needFloat32, node, sameShape, shapeText, typeText, type Op, type Tensor } from "../op.ts";

const rotaryOp: Op<{ inverse: boolean }> = {
  name: "rotary",
  infer: ([x, positions, cos, sin]) => {
    needFloat32("rotary", x, cos, sin);
    const [B, , T, D] = x.shape;
    const fits =
      x.shape.length === 4 &&
      positions.dtype === "i64" &&
      positions.shape.length === 2 &&
      positions.shape[0] === B &&
      positions.shape[1] === T &&
      cos.shape.length === 2 &&
      cos.shape[1] === D / 2 &&
      sameShape(cos.shape, sin.shape);
    if (!fits)
      throw new LowrankError(
        "shape-mismatch",
        `rotary: x ${shapeText(x.shape)}, positions ${typeText(positions)} and tables ${shapeText(cos.shape)} and ${shapeText(sin.shape)} do not fit; ` +
          "expected (B, H, T, D), int64 (B, T) and (P, D/2).",
      );
    return { dtype: "f32", shape: x.shape };
  },
  // A rotation's transpose is the rotation back.
  grad: ({ inputs: [, positions, cos, sin], attributes: { inverse } }, dy) => [
    node(rotaryOp, [dy, positions, cos, sin], { inverse: !inverse }),
  ],
  onnx: (lowering, [x, positions, cos, sin], { attributes: { inverse } }) =>
    lowering.emit("RotaryEmbedding", [x, positions, cos, inverse ? lowering.emit("Neg", [sin]) : sin], {}, "com.microsoft"),
  reference: ([x, positions, cos, sin], { attributes: { inverse } }) => {
    const [B, H, T, D] = x.shape;
    const half = D / 2;
    const result = new Float32Array(x.data.length);
    for (let b = 0; b < B; b++)
      for (let h = 0; h < H; h++)
        for (let t = 0; t < T; t++) {
          const start = ((b * H + h) * T + t) * D;
          const row = Number(positions.data[b * T + t]) * half;
          for (let i = 0; i < half; i++) {
            const c = Number(cos.data[row + i]);
            const s = Number(sin.data[row + i]) * (inverse ? -1 : 1);
            const [first, second] = [Number(x.data[start + i]), Number(x.data[start + half + i])];
            result[start + i] = first * c - second * s;
            result[start + half + i] = second * c + first * s;
          }
        }
    return result;
  },
};

/** Rotates each head vector of x (B, H, T, D) by its position (B, T) int64, with tables cos and sin (P, D/2) [Su et al. 2021, eq. 34]. */
export const rotary = (x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor): Tensor =>
  node(rotaryOp, [x, positions, cos, sin], { inverse: false });

export const rotaryOps = { rotary: rotaryOp };
