/** @file Checks that backends share: what is fed, kept and stored fits the program, before anything runs. */
import { sameShape, type Graph, type Tensor, type TensorType } from "../graph/index.ts";
import { dtypes, LowrankError, sizeOf, type HostTensor } from "../util/index.ts";
import type { Feed, Resident, RunOptions, Store } from "./backend.ts";

/** The types of what a program reads and returns. */
export interface Signature {
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly outputs: Readonly<Record<string, TensorType>>;
}

const typeOf = ({ dtype, shape }: Tensor): TensorType => ({ dtype, shape });

/** A program's signature alone, so that whoever keeps it does not keep the program. */
export const signatureOf = ({ inputs, outputs }: Graph): Signature => ({
  inputs: new Map([...inputs].map(([name, tensor]) => [name, typeOf(tensor)])),
  outputs: Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, typeOf(tensor)])),
});

export const isResident = (feed: Feed): feed is Resident => "id" in feed;

const typeText = ({ dtype, shape }: TensorType): string => `${dtype} [${shape.join(", ")}]`;

// A step of generation has hundreds of feeds, so that texts are made where they are needed only.
const isOfType = (found: TensorType, { dtype, shape }: TensorType): boolean => found.dtype === dtype && sameShape(found.shape, shape);

const refuse = (what: string): never => {
  throw new LowrankError("invalid-argument", what);
};

/** Throws `invalid-argument` unless a host tensor has the array and the number of values that its type takes. */
export const checkHost = (what: string, { dtype, shape, data }: HostTensor): void => {
  const { array } = dtypes[dtype];
  if (!(data instanceof array)) refuse(`${what} is ${dtype} and comes as ${(data as object).constructor.name} instead of ${array.name}.`);
  if (data.length !== sizeOf(shape)) refuse(`${what} has ${data.length} values where its shape takes ${sizeOf(shape)}.`);
};

const checkFeeds = ({ inputs }: Signature, feeds: Readonly<Record<string, Feed>>): void => {
  for (const [name, type] of inputs) {
    const feed = feeds[name];
    if (feed === undefined) return refuse(`The input "${name}" is not fed.`);
    if (!isOfType(feed, type)) refuse(`The input "${name}" is ${typeText(type)}, not ${typeText(feed)}.`);
    if (!isResident(feed)) checkHost(`The input "${name}"`, feed);
  }
  for (const name of Object.keys(feeds)) if (!inputs.has(name)) refuse(`The program has no input "${name}".`);
};

const fitsAt = (source: TensorType, { axis, row, offsets, into }: Omit<Store, "output">): boolean => {
  const rowsFit =
    row === undefined ? source.shape[0] === into.shape[0] : Number.isInteger(row) && row >= 0 && row + source.shape[0] <= into.shape[0];
  return (
    axis > 0 &&
    source.dtype === into.dtype &&
    source.shape.length === into.shape.length &&
    rowsFit &&
    source.shape.every((size, index) => index === 0 || index === axis || size === into.shape[index]) &&
    offsets.length === source.shape[0] &&
    offsets.every((offset) => Number.isInteger(offset) && offset >= 0 && offset + source.shape[axis] <= into.shape[axis])
  );
};

const checkStore = (source: TensorType, store: Store): void => {
  const { axis, row, offsets, output, into } = store;
  if (!fitsAt(source, store))
    refuse(
      `The output "${output}" ${typeText(source)} does not fit into ${typeText(into)} at ${offsets.join(", ")} along axis ${axis}${row === undefined ? "" : ` from row ${row}`}.`,
    );
};

/** Throws `invalid-argument` unless a tensor is one row of a resident. */
export const checkWrite = (into: Resident, row: number, tensor: HostTensor): void => {
  checkHost("The tensor", tensor);
  const [rows, ...shape] = into.shape;
  if (!(Number.isInteger(row) && row >= 0 && row < rows) || !isOfType(tensor, { dtype: into.dtype, shape }))
    refuse(`${typeText(tensor)} is not row ${row} of ${typeText(into)}.`);
};

/** The offsets of a copy to the beginning. */
export const beginnings = ({ shape: [rows] }: Pick<TensorType, "shape">): number[] => Array.from({ length: rows }, () => 0);

/** Throws `invalid-argument` unless one resident fits over the beginning of another. */
export const checkCopy = (from: Resident, into: Resident, axis: number): void => {
  if (!fitsAt(from, { axis, row: 0, offsets: beginnings(from), into }))
    refuse(`${typeText(from)} does not fit over the beginning of ${typeText(into)} along axis ${axis}.`);
};

/** Throws `invalid-argument` for what is fed, kept or stored and does not fit the program. */
export const checkRun = (graph: Signature, feeds: Readonly<Record<string, Feed>>, options: RunOptions): void => {
  const { keep = [], store = [], lend = [], into = {} } = options;
  checkFeeds(graph, feeds);
  const stays = new Set([...keep, ...store.map(({ output }) => output)]);
  for (const name of stays) if (!Object.hasOwn(graph.outputs, name)) refuse(`The program has no output "${name}".`);
  for (const entry of store) checkStore(graph.outputs[entry.output], entry);
  for (const name of lend)
    if (feeds[name] === undefined || isResident(feeds[name])) refuse(`"${name}" is no host tensor among the feeds, and cannot be lent.`);
  for (const [name, memory] of Object.entries(into)) {
    const type = graph.outputs[name];
    if (type === undefined || stays.has(name)) refuse(`The program returns no output "${name}" that could be written into memory.`);
    if (!isOfType(memory, type)) refuse(`The output "${name}" is ${typeText(type)}, its memory ${typeText(memory)}.`);
    checkHost(`The memory of "${name}"`, memory);
  }
};

/** The same tensor in a buffer of its own: a view into a larger buffer takes its neighbours along to another thread. */
export const compact = ({ dtype, shape, data }: HostTensor): HostTensor => ({
  dtype,
  shape,
  data: data.byteLength === data.buffer.byteLength ? data : new dtypes[dtype].array(data as never),
});

/** The buffers that tensors lie in, each once, as what is to move to another thread. */
export const buffersOf = (tensors: readonly HostTensor[]): ArrayBuffer[] => [
  ...new Set(tensors.map(({ data }) => data.buffer as ArrayBuffer)),
];
