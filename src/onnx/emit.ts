/** @file Writes a program as ONNX ModelProto bytes; weights stay in their files and are referred to. It runs nothing. */
import { parse, relative } from "node:path";
import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  operandsOf,
  type Graph,
  type Lowering,
  type OnnxAttribute,
  type Tensor,
  type TensorType,
  type WeightLocation,
} from "../graph/index.ts";
import { LowrankError, type DType, type HostTensor, type TypedArray } from "../util/index.ts";
import { cutInputs, joinedOutputs, type Piece } from "./flat-vectors.ts";
import {
  ModelProtoSchema,
  type AttributeProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from "./onnx_pb.ts";

const dataTypes: Readonly<Record<DType, number>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  u16: 4,
  i16: 5,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  u32: 12,
  u64: 13,
  bf16: 16,
};

// ONNX's UINT4, which only nodes see: two numbers a byte.
const uint4 = 21;

const attributeTypes = { float: 1, int: 2, text: 3, ints: 7 };

// IR 10 with operator set 21 is what ONNX Runtime 1.20 and later read.
const irVersion = 10n;
const opsetVersion = 21n;

// Names of the emitter's own begin with this, so that they do not meet the names that a program gives.
const own = "%";

/** The name of the input that is 0 at run time; the backend feeds it. */
export const zeroInput = `${own}zero`;

// Constants of more elements are not compared with others.
const largestShared = 1 << 14;
const latin1 = new TextDecoder("latin1");

/** An input or output of the model that is a part of one of the program's. */
export interface Part {
  readonly name: string;
  /** Elements before it. */
  readonly offset: number;
  readonly shape: readonly number[];
}

/** A weight by its name in the checkpoint. */
export interface StoredWeight {
  readonly name: string;
  readonly location: WeightLocation;
}

export interface OnnxModel {
  readonly bytes: Uint8Array;
  /** The folder that stored weights are given relative to: the root of their drive; undefined where there are none. */
  readonly root: string | undefined;
  /** Whether the model has the `zero` input. */
  readonly needsZero: boolean;
  /** Whether the runtime should copy weights into an order of its own. */
  readonly prepacks: boolean;
  /** Stored weights that are inputs, by name: on WebGPU every program would else have copies of its own in the device's memory. */
  readonly fed: Readonly<Record<string, StoredWeight>>;
  /** Inputs and outputs of the program that the model has in parts, which may lie one after another in one vector, by name. */
  readonly parts: {
    readonly inputs: Readonly<Record<string, readonly Part[]>>;
    readonly outputs: Readonly<Record<string, readonly Part[]>>;
  };
}

// What the Node binding hands from one program to another without leaving the device.
const canBeFed = new Set<DType>(["f32", "u8"]);

const attributeProto = (name: string, value: OnnxAttribute): MessageInitShape<typeof AttributeProtoSchema> => {
  if ("int" in value) return { name, type: attributeTypes.int, i: BigInt(value.int) };
  if ("float" in value) return { name, type: attributeTypes.float, f: value.float };
  if ("ints" in value) return { name, type: attributeTypes.ints, ints: value.ints.map(BigInt) };
  return { name, type: attributeTypes.text, s: new TextEncoder().encode(value.text) };
};

const valueInfo = (name: string, { dtype, shape }: TensorType): MessageInitShape<typeof ValueInfoProtoSchema> => ({
  name,
  type: { tensorType: { elemType: dataTypes[dtype], shape: { dim: shape.map((size) => ({ dimValue: BigInt(size) })) } } },
});

const storedInitializer = (
  name: string,
  { path, offset, bytes, dtype, shape }: WeightLocation,
): MessageInitShape<typeof TensorProtoSchema> => ({
  name,
  dataType: dataTypes[dtype],
  dims: shape.map(BigInt),
  dataLocation: 1,
  externalData: [
    { key: "location", value: relative(parse(path).root, path) },
    { key: "offset", value: String(offset) },
    { key: "length", value: String(bytes) },
  ],
});

const bytesOf = ({ buffer, byteOffset, byteLength }: TypedArray): Uint8Array =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

const partsOf = (pieces: ReadonlyMap<string, readonly Piece[]>): Record<string, Part[]> =>
  Object.fromEntries(
    [...pieces].map(([name, list]) => [
      name,
      list.map(({ tensor, offset }, index) => ({ name: `${own}${name}.${index}`, offset, shape: tensor.shape })),
    ]),
  );

const noPieces: ReadonlyMap<string, readonly Piece[]> = new Map();

/** Whether the runtime should copy the weights of a program into an order of its own, on the CPU. */
export const packs = ({ order }: Graph): boolean => order.some(({ op }) => op.packs === true);

/** Lowers a program for a device; the same program gives the same bytes. */
export const emitOnnx = (graph: Graph, device: Lowering["device"] = "cpu"): OnnxModel => {
  // Each part is sent to a device, and fetched from there, by itself, so that there the vector goes whole.
  const [cut, concatenated] = device === "cpu" ? [cutInputs(graph), joinedOutputs(graph)] : [noPieces, noPieces];
  const cutParts = partsOf(cut);
  const nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  const initializers: MessageInitShape<typeof TensorProtoSchema>[] = [];
  const inputs: MessageInitShape<typeof ValueInfoProtoSchema>[] = [];
  const constants = new Map<string, string>();
  const equals = new Map<string, readonly string[]>();
  const fed = new Map<string, StoredWeight>();
  const roots = new Set<string>();
  let count = 0;
  let needsZero = false;

  // A node that equals an earlier one is that one: products of one x share what they do with it.
  const emitAll: Lowering["emitAll"] = (outputs, opType, from, attributes = {}, domain = "") => {
    const key = JSON.stringify([domain, opType, from, attributes]);
    const found = equals.get(key);
    if (found !== undefined) return found;
    const names = Array.from({ length: outputs }, () => `${own}v${count++}`);
    nodes.push({
      opType,
      domain,
      name: `${opType}${names[0]}`,
      input: [...from],
      output: names,
      attribute: Object.entries(attributes).map(([name, value]) => attributeProto(name, value)),
    });
    equals.set(key, names);
    return names;
  };

  const rawConstant = ({ dtype, shape, data }: HostTensor): string => {
    const name = `${own}c${initializers.length}`;
    initializers.push({
      name,
      dataType: dataTypes[dtype],
      dims: shape.map(BigInt),
      rawData: bytesOf(data),
    });
    return name;
  };

  // A view of a view is one of what lies under both.
  const under = new Map<string, string>();

  const lowering: Lowering = {
    device,
    emit: (...node) => emitAll(1, ...node)[0],
    emitAll,
    view: (value, shape) => {
      const source = under.get(value) ?? value;
      const to = lowering.constant({ dtype: "i64", shape: [shape.length], data: BigInt64Array.from(shape, BigInt) });
      const name = lowering.emit("Reshape", [source, to]);
      under.set(name, source);
      return name;
    },
    // Shapes, factors and rows of one value repeat a thousand times in a deep model; one copy of each is enough.
    constant: (tensor) => {
      if (tensor.data.length > largestShared) return rawConstant(tensor);
      const key = `${tensor.dtype}|${tensor.shape.join()}|${latin1.decode(bytesOf(tensor.data))}`;
      const name = constants.get(key) ?? rawConstant(tensor);
      constants.set(key, name);
      return name;
    },
    input: (name, type) => {
      inputs.push(valueInfo(name, type));
      return name;
    },
    weight: (name, { path, offset, bytes, dtype, shape }) => {
      const { root } = parse(path);
      if (root === "") throw new LowrankError("graph-invalid", "A weight's path must be absolute.", { where: `${path}, tensor ${name}` });
      roots.add(root);
      const value = `${own}w${initializers.length + fed.size}`;
      const location = { path, offset, bytes, dtype, shape };
      if (device === "webgpu" && canBeFed.has(dtype)) fed.set(value, { name, location });
      else initializers.push(storedInitializer(value, location));
      return value;
    },
    nibbles: (value, shape) => {
      const weight = fed.get(value);
      const stored = weight === undefined ? initializers.find(({ name }) => name === value) : storedInitializer(value, weight.location);
      if (stored === undefined) throw new LowrankError("graph-invalid", "Only constants and stored weights can be read as 4-bit numbers.");
      const name = `${own}n${initializers.length}`;
      initializers.push({ ...stored, name, dataType: uint4, dims: shape.map(BigInt) });
      return name;
    },
    zero: () => {
      if (!needsZero) inputs.push(valueInfo(zeroInput, { dtype: "f32", shape: [1] }));
      needsZero = true;
      return zeroInput;
    },
  };

  const names = new Map<Tensor, string>();
  for (const [name, pieces] of cut)
    pieces.forEach(({ tensor }, index) => names.set(tensor, lowering.input(cutParts[name][index].name, tensor)));
  // A vector that comes in parts is not there, nor what lies between it and them.
  const leftOut = new Set([...cut.keys()].map((name) => graph.inputs.get(name)!));
  for (const tensor of graph.order) {
    if (names.has(tensor) || leftOut.has(tensor)) continue;
    if (operandsOf(tensor).some((operand) => leftOut.has(operand))) {
      leftOut.add(tensor);
      continue;
    }
    names.set(
      tensor,
      tensor.op.onnx(
        lowering,
        operandsOf(tensor).map((operand) => names.get(operand)!),
        tensor,
      ),
    );
  }

  if (roots.size > 1)
    throw new LowrankError("unsupported", `The weights lie on several drives (${[...roots].join(", ")}).`, {
      fix: "Put the base and the weight cache on one drive.",
    });

  // What a node makes takes its output's name; Identity gives one to an input or a weight, and to what is returned twice.
  const made = new Set(nodes.flatMap(({ output }) => output!));
  const renamed = new Map<string, string>();
  /** What a view lies on: an output of its own would be a copy. */
  const ownerOf = (tensor: Tensor): Tensor =>
    tensor.op.isView === true && names.has(tensor.inputs[0]) ? ownerOf(tensor.inputs[0]) : tensor;
  const joined = new Map(
    [...concatenated].map(([name, pieces]) => [name, pieces.map((piece) => ({ ...piece, tensor: ownerOf(piece.tensor) }))]),
  );
  const joinedParts = partsOf(joined);
  const returned = Object.entries(graph.outputs).flatMap(([name, tensor]): [string, Tensor][] =>
    joined.has(name) ? joined.get(name)!.map((piece, index) => [joinedParts[name][index].name, piece.tensor]) : [[name, tensor]],
  );
  const outputs = returned.map(([name, tensor]) => {
    const value = names.get(tensor)!;
    if (made.has(value) && !renamed.has(value)) renamed.set(value, name);
    else
      nodes.push({
        opType: "Identity",
        name: `Identity${own}${name}`,
        input: [value],
        output: [name],
        attribute: [],
        domain: "",
      });
    return valueInfo(name, tensor);
  });
  const finalName = (value: string): string => renamed.get(value) ?? value;
  for (const node of nodes) {
    node.input = node.input!.map(finalName);
    node.output = node.output!.map(finalName);
  }
  // The runtime runs what nothing uses as well, such as a part of an op that another part needs on other devices only.
  const used = new Set(outputs.map(({ name }) => name));
  const needed = nodes
    .toReversed()
    .filter(({ input, output }) => {
      const isNeeded = output!.some((name) => used.has(name));
      if (isNeeded) for (const name of input!) used.add(name);
      return isNeeded;
    })
    .toReversed();
  const neededFed = [...fed].filter(([name]) => used.has(name));
  const model = create(ModelProtoSchema, {
    irVersion,
    producerName: "lowrank",
    opsetImport: [
      { domain: "", version: opsetVersion },
      { domain: "com.microsoft", version: 1n },
    ],
    graph: {
      name: "program",
      node: needed,
      initializer: initializers.filter(({ name }) => used.has(name)),
      input: [...inputs, ...neededFed.map(([name, { location }]) => valueInfo(name, location))],
      output: outputs,
    },
  });
  const parts = { inputs: cutParts, outputs: joinedParts };
  return {
    bytes: toBinary(ModelProtoSchema, model),
    root: [...roots][0],
    needsZero,
    prepacks: device === "cpu" && packs(graph),
    fed: Object.fromEntries(neededFed),
    parts,
  };
};
