/** @file Arithmetic element by element, with NumPy's broadcasting, and choices between elements. */
import { LowrankError, type DType, type HostTensor } from "../../util/index.ts";
import { numbersOf, ofNumbers } from "../elements.ts";
import { needFloat32, node, noGradient, typeText, type Lowering, type Op, type OpName, type Tensor, type TensorType } from "../op.ts";
import { broadcastShape, broadcastStrides, offsets } from "../strides.ts";
import { isOne, scalar } from "./leaf.ts";
import { sumTo } from "./reduce.ts";

interface Unary {
  readonly name: OpName;
  readonly type: string;
  readonly value: (x: number) => number;
  readonly grad: (node: Tensor, dy: Tensor) => Tensor;
  readonly lower?: (lowering: Lowering, x: string) => string;
  /** Whether the runtime may put the result into x's memory. */
  readonly inPlace?: boolean;
}

const unary = ({ name, type, value, grad, lower, inPlace }: Unary): Op<undefined> => ({
  name,
  ...(inPlace && { inPlace: [0] }),
  infer: ([x]) => {
    needFloat32(name, x);
    return { dtype: "f32", shape: x.shape };
  },
  grad: (tensor, dy) => [grad(tensor, dy)],
  onnx: (lowering, [x]) => lower?.(lowering, x) ?? lowering.emit(type, [x]),
  reference: ([x]) => Float32Array.from(x.data as Float32Array, value),
});

const apply = (inputs: readonly HostTensor[], shape: readonly number[], dtype: DType, value: (...values: number[]) => number) => {
  const places = inputs.map((x) => offsets(shape, broadcastStrides(x.shape, shape)));
  return ofNumbers(
    dtype,
    Array.from(places[0], (_, index) => value(...inputs.map((x, k) => Number(x.data[places[k][index]])))),
  );
};

const needOneType = (name: string, a: TensorType, b: TensorType): void => {
  if (a.dtype !== b.dtype)
    throw new LowrankError("shape-mismatch", `${name}: ${typeText(a)} and ${typeText(b)} do not mix; cast one of them.`);
};

interface Binary {
  readonly name: OpName;
  readonly type: string;
  readonly value: (a: number, b: number) => number;
  readonly grad: (node: Tensor, dy: Tensor) => readonly [Tensor, Tensor];
}

const binary = ({ name, type, value, grad }: Binary): Op<undefined> => ({
  name,
  infer: ([a, b]) => {
    needOneType(name, a, b);
    return { dtype: a.dtype, shape: broadcastShape(name, a.shape, b.shape) };
  },
  grad: (tensor, dy) => {
    const [a, b] = tensor.inputs;
    const [da, db] = grad(tensor, dy);
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  },
  onnx: (lowering, inputs) => lowering.emit(type, inputs),
  reference: (inputs, { shape, dtype }) => apply(inputs, shape, dtype, value),
});

const addOp = binary({ name: "add", type: "Add", value: (a, b) => a + b, grad: (_, dy) => [dy, dy] });
const subtractOp = binary({ name: "subtract", type: "Sub", value: (a, b) => a - b, grad: (_, dy) => [dy, negate(dy)] });
const multiplyOp = binary({
  name: "multiply",
  type: "Mul",
  value: (a, b) => a * b,
  grad: ({ inputs: [a, b] }, dy) => [multiply(dy, b), multiply(dy, a)],
});
const divideOp = binary({
  name: "divide",
  type: "Div",
  value: (a, b) => a / b,
  grad: (quotient, dy) => [divide(dy, quotient.inputs[1]), negate(divide(multiply(dy, quotient), quotient.inputs[1]))],
});

const negateOp = unary({ name: "negate", type: "Neg", value: (x) => -x, grad: (_, dy) => negate(dy) });
const expOp = unary({ name: "exp", type: "Exp", value: Math.exp, grad: (y, dy) => multiply(dy, y) });
const logOp = unary({ name: "log", type: "Log", value: Math.log, grad: ({ inputs: [x] }, dy) => divide(dy, x) });
const sqrtOp = unary({ name: "sqrt", type: "Sqrt", value: Math.sqrt, grad: (y, dy) => divide(multiply(dy, scalar(0.5)), y) });
const reciprocalOp = unary({
  name: "reciprocal",
  type: "Reciprocal",
  value: (x) => 1 / x,
  grad: (y, dy) => negate(multiply(dy, multiply(y, y))),
});

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const sigmoidOp = unary({
  name: "sigmoid",
  type: "Sigmoid",
  inPlace: true,
  value: logistic,
  grad: (y, dy) => multiply(dy, multiply(y, subtract(scalar(1), y))),
});
const tanhOp = unary({
  name: "tanh",
  type: "Tanh",
  inPlace: true,
  value: Math.tanh,
  grad: (y, dy) => multiply(dy, subtract(scalar(1), multiply(y, y))),
});

// erf by its Maclaurin series below 3 and its complement's continued fraction above; float64, error below 1e-12.
const erfOf = (x: number): number => {
  const size = Math.abs(x);
  if (size > 3) {
    let fraction = 0;
    for (let k = 60; k > 0; k--) fraction = k / 2 / (size + fraction);
    return Math.sign(x) * (1 - Math.exp(-size * size) / (Math.sqrt(Math.PI) * (size + fraction)));
  }
  let term = x;
  let series = x;
  for (let k = 1; k < 80; k++) {
    term *= (-x * x) / k;
    series += term / (2 * k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * series;
};
const erfOp = unary({
  name: "erf",
  type: "Erf",
  value: erfOf,
  grad: ({ inputs: [x] }, dy) => multiply(dy, multiply(scalar(2 / Math.sqrt(Math.PI)), exp(negate(multiply(x, x))))),
});

const siluOp = unary({
  name: "silu",
  type: "QuickGelu",
  value: (x) => x * logistic(x),
  // y = x·σ(x), so y′ = σ + y·(1 − σ)
  grad: (y, dy) => {
    const gate = sigmoid(y.inputs[0]);
    return multiply(dy, add(gate, multiply(y, subtract(scalar(1), gate))));
  },
  lower: (lowering, x) => lowering.emit("QuickGelu", [x], { alpha: { float: 1 } }, "com.microsoft"),
});

const reluOp = unary({
  name: "relu",
  type: "Relu",
  inPlace: true,
  value: (x) => Math.max(x, 0),
  grad: (y, dy) => where(equal(y, scalar(0)), scalar(0), dy),
});

const truth = (name: OpName, type: string, value: (a: number, b: number) => boolean): Op<undefined> => ({
  name,
  infer: ([a, b]) => {
    needOneType(name, a, b);
    return { dtype: "bool", shape: broadcastShape(name, a.shape, b.shape) };
  },
  grad: noGradient,
  onnx: (lowering, inputs) => lowering.emit(type, inputs),
  reference: (inputs, { shape }) => apply(inputs, shape, "bool", (a, b) => Number(value(a, b))),
});
const equalOp = truth("equal", "Equal", (a, b) => a === b);
const conjunction = truth("and", "And", (a, b) => a !== 0 && b !== 0);
const andOp: Op<undefined> = {
  ...conjunction,
  infer: ([a, b]) => {
    if (a.dtype !== "bool") throw new LowrankError("shape-mismatch", `and: bool is needed, not ${typeText(a)} and ${typeText(b)}.`);
    return conjunction.infer([a, b], undefined);
  },
};

const whereOp: Op<undefined> = {
  name: "where",
  infer: ([condition, a, b]) => {
    if (condition.dtype !== "bool" || a.dtype !== b.dtype)
      throw new LowrankError(
        "shape-mismatch",
        `where: needs bool and two of one dtype, not ${typeText(condition)}, ${typeText(a)} and ${typeText(b)}.`,
      );
    return { dtype: a.dtype, shape: broadcastShape("where", condition.shape, broadcastShape("where", a.shape, b.shape)) };
  },
  grad: ({ inputs: [condition, a, b] }, dy) => [
    undefined,
    sumTo(where(condition, dy, scalar(0)), a.shape),
    sumTo(where(condition, scalar(0), dy), b.shape),
  ],
  onnx: (lowering, inputs) => lowering.emit("Where", inputs),
  reference: (inputs, { shape, dtype }) => apply(inputs, shape, dtype, (condition, a, b) => (condition === 0 ? b : a)),
};

const onnxTypes: Partial<Record<DType, number>> = { f32: 1, i32: 6, i64: 7, bool: 9 };

const castOp: Op<{ to: DType }> = {
  name: "cast",
  infer: ([x], { to }) => {
    if (!(to in onnxTypes)) throw new LowrankError("unsupported", `cast: ${typeText(x)} cannot become ${to}; graphs do not compute in it.`);
    return { dtype: to, shape: x.shape };
  },
  grad: ({ inputs: [x] }, dy) => [x.dtype === "f32" ? dy : undefined],
  onnx: (lowering, [x], { attributes: { to } }) => lowering.emit("Cast", [x], { to: { int: onnxTypes[to]! } }),
  reference: ([x], { attributes: { to } }) => ofNumbers(to, numbersOf(x)),
};

export const add = (a: Tensor, b: Tensor): Tensor => node(addOp, [a, b], undefined);
export const subtract = (a: Tensor, b: Tensor): Tensor => node(subtractOp, [a, b], undefined);
/** a·b; a factor that is constantly 1 is left out. */
export const multiply = (a: Tensor, b: Tensor): Tensor => {
  if (isOne(a) && a.dtype === b.dtype && a.shape.length <= b.shape.length) return b;
  if (isOne(b) && a.dtype === b.dtype && b.shape.length <= a.shape.length) return a;
  return node(multiplyOp, [a, b], undefined);
};
export const divide = (a: Tensor, b: Tensor): Tensor => node(divideOp, [a, b], undefined);
export const negate = (x: Tensor): Tensor => node(negateOp, [x], undefined);
export const exp = (x: Tensor): Tensor => node(expOp, [x], undefined);
export const log = (x: Tensor): Tensor => node(logOp, [x], undefined);
export const sqrt = (x: Tensor): Tensor => node(sqrtOp, [x], undefined);
export const reciprocal = (x: Tensor): Tensor => node(reciprocalOp, [x], undefined);
export const sigmoid = (x: Tensor): Tensor => node(sigmoidOp, [x], undefined);
export const tanh = (x: Tensor): Tensor => node(tanhOp, [x], undefined);
export const erf = (x: Tensor): Tensor => node(erfOp, [x], undefined);
/** x·σ(x) [Elfwing et al. 2017]. */
export const silu = (x: Tensor): Tensor => node(siluOp, [x], undefined);
/** max(x, 0) [Nair and Hinton 2010]. */
export const relu = (x: Tensor): Tensor => node(reluOp, [x], undefined);
export const equal = (a: Tensor, b: Tensor): Tensor => node(equalOp, [a, b], undefined);
export const and = (a: Tensor, b: Tensor): Tensor => node(andOp, [a, b], undefined);
/** a where the condition holds, b elsewhere. */
export const where = (condition: Tensor, a: Tensor, b: Tensor): Tensor => node(whereOp, [condition, a, b], undefined);
export const cast = (x: Tensor, to: DType): Tensor => (x.dtype === to ? x : node(castOp, [x], { to }));

export const elementwiseOps = {
  add: addOp,
  subtract: subtractOp,
  multiply: multiplyOp,
  divide: divideOp,
  negate: negateOp,
  exp: expOp,
  log: logOp,
  sqrt: sqrtOp,
  reciprocal: reciprocalOp,
  sigmoid: sigmoidOp,
  tanh: tanhOp,
  erf: erfOp,
  silu: siluOp,
  relu: reluOp,
  equal: equalOp,
  and: andOp,
  where: whereOp,
  cast: castOp,
};
