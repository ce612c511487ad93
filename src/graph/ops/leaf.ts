/** @file Leaves: what is fed at run time, what is stored in a file, what is part of the program. */
import { dtypes, f32, i32, LowrankError, sizeOf, type DType, type HostTensor } from "../../util/index.ts";
import { node, noGradient, sameShape, shapeText, type Op, type Tensor, type TensorType, type WeightLocation } from "../op.ts";

export interface InputAttributes extends TensorType {
  readonly name: string;
}

const inputOp: Op<InputAttributes> = {
  name: "input",
  infer: (_, { name, dtype, shape }) => {
    if (!shape.every((size) => Number.isSafeInteger(size) && size > 0))
      throw new LowrankError("shape-mismatch", `input: "${name}" ${shapeText(shape)} has a size that is not a positive integer.`);
    return { dtype, shape };
  },
  grad: noGradient,
  onnx: (lowering, _, { attributes }) => lowering.input(attributes.name, attributes),
  reference: ([fed]) => fed.data,
};

/** A tensor that is fed by name at each run. */
export const input = (name: string, shape: readonly number[], dtype: DType = "f32"): Tensor => node(inputOp, [], { name, shape, dtype });

export interface WeightAttributes {
  readonly name: string;
  readonly location: WeightLocation;
}

const weightOp: Op<WeightAttributes> = {
  name: "weight",
  infer: (_, { name, location }) => {
    const expected = sizeOf(location.shape) * dtypes[location.dtype].bytes;
    if (expected !== location.bytes)
      throw new LowrankError("shape-mismatch", `${shapeText(location.shape)} takes ${expected} bytes and ${location.bytes} are given.`, {
        where: `${location.path}, tensor ${name}`,
      });
    return { dtype: location.dtype, shape: location.shape };
  },
  grad: noGradient,
  onnx: (lowering, _, { attributes }) => lowering.weight(attributes.name, attributes.location),
  reference: ([stored]) => stored.data,
};

/** A frozen tensor that stays in its file and is mapped from there. */
export const weight = (name: string, location: WeightLocation): Tensor => node(weightOp, [], { name, location });

const constantOp: Op<HostTensor> = {
  name: "constant",
  infer: (_, { dtype, shape, data }) => {
    if (data.length !== sizeOf(shape))
      throw new LowrankError("shape-mismatch", `constant: ${data.length} values do not fill ${shapeText(shape)}.`);
    return { dtype, shape };
  },
  grad: noGradient,
  onnx: (lowering, _, { attributes }) => lowering.constant(attributes),
  reference: (_, { attributes }) => attributes.data,
};

/** A tensor that is part of the program. */
export const constant = (tensor: HostTensor): Tensor => node(constantOp, [], tensor);

/** A float32 scalar. */
export const scalar = (value: number): Tensor => constant(f32([value], []));

/** An int32 constant. */
export const integers = (values: readonly number[], shape?: readonly number[]): Tensor => constant(i32(values, shape));

export const zeros = (shape: readonly number[]): Tensor => constant(f32(new Float32Array(sizeOf(shape)), shape));

/** The name and type of an input, undefined for any other tensor. */
export const inputOf = (tensor: Tensor): InputAttributes | undefined =>
  tensor.op === (inputOp as Op) ? (tensor.attributes as InputAttributes) : undefined;

/** The name and place of a stored weight, undefined for any other tensor. */
export const weightOf = (tensor: Tensor): WeightAttributes | undefined =>
  tensor.op === (weightOp as Op) ? (tensor.attributes as WeightAttributes) : undefined;

/** Stored weights that lie behind each other in one file, as one along the first axis; undefined for any others. */
export const joinedWeight = (tensors: readonly (Tensor | undefined)[]): Tensor | undefined => {
  const stored = tensors.map((tensor) => tensor && weightOf(tensor));
  let whole = stored[0];
  for (const next of stored.slice(1)) {
    if (whole === undefined || next === undefined) return undefined;
    const { path, offset, bytes, dtype, shape } = whole.location;
    const { location } = next;
    const continues =
      location.path === path &&
      location.offset === offset + bytes &&
      location.dtype === dtype &&
      sameShape(location.shape.slice(1), shape.slice(1));
    if (!continues) return undefined;
    whole = {
      name: whole.name,
      location: { path, offset, bytes: bytes + location.bytes, dtype, shape: [shape[0] + location.shape[0], ...shape.slice(1)] },
    };
  }
  return whole && weight(whole.name, whole.location);
};

/** True for a float32 constant of one element that is 1: a factor that can be left out. */
export const isOne = (tensor: Tensor): boolean => {
  if (tensor.op !== (constantOp as Op) || tensor.dtype !== "f32") return false;
  const { data } = tensor.attributes as HostTensor;
  return data.length === 1 && data[0] === 1;
};

export const leafOps = { input: inputOp, weight: weightOp, constant: constantOp };
