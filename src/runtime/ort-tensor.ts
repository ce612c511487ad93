/** @file Host tensors as ONNX Runtime's Node binding takes and gives them. It knows nothing about sessions. */
import { Tensor } from "onnxruntime-node";
import { LowrankError, type DType, type HostTensor, type TypedArray } from "../util/index.ts";
import { compact } from "./host.ts";

const ortTypes = { f32: "float32", i32: "int32", i64: "int64", bool: "bool", u8: "uint8", i8: "int8", f16: "float16" } as const;
const ourTypes = Object.fromEntries(Object.entries(ortTypes).map(([ours, theirs]) => [theirs, ours as DType]));

/** A host tensor as the runtime takes it, over the same values. */
export const ortTensor = ({ dtype, shape, data }: HostTensor): Tensor => {
  const type = ortTypes[dtype as keyof typeof ortTypes];
  if (type === undefined) throw new LowrankError("unsupported", `ONNX Runtime's Node binding takes no ${dtype} input.`);
  return new Tensor(type as "float32", data as Float32Array, shape);
};

/** What the runtime gave, as a host tensor. */
export const hostTensor = ({ type, dims, data }: Tensor): HostTensor =>
  compact({ dtype: ourTypes[type], shape: dims, data: data as TypedArray });
