/** @file How many bytes a program's values take at once while ONNX Runtime runs it. It runs nothing. */
import { operandsOf, weightOf, type Graph, type Tensor } from "../graph/index.ts";
import { dtypes, sizeOf } from "../util/index.ts";
import { emitOnnx } from "./emit.ts";

const bytesOf = ({ dtype, shape }: Tensor): number => sizeOf(shape) * dtypes[dtype].bytes;

/** The tensor in whose memory a value lies. */
const ownerOf = (tensor: Tensor): Tensor => (tensor.op.isView === true ? ownerOf(tensor.inputs[0]) : tensor);

const isComputed = (tensor: Tensor): boolean => operandsOf(tensor).length > 0;

/**
 * The order in which ONNX Runtime executes nodes: depth first from the last output to the first, and from a node's last made operand to its
 * first made one, each node after its operands.
 */
const executionOrder = ({ order, outputs }: Graph): Tensor[] => {
  const place = new Map(order.map((tensor, index) => [tensor, index]));
  const executed: Tensor[] = [];
  const visited = new Set<Tensor>();
  const stack: { readonly tensor: Tensor; readonly isLeft: boolean }[] = Object.values(outputs).map((tensor) => ({
    tensor,
    isLeft: false,
  }));
  while (stack.length > 0) {
    const { tensor, isLeft } = stack.pop()!;
    if (isLeft) executed.push(tensor);
    else if (!visited.has(tensor)) {
      visited.add(tensor);
      stack.push({ tensor, isLeft: true });
      const operands = operandsOf(tensor).filter((operand) => !visited.has(operand));
      for (const operand of operands.toSorted((a, b) => place.get(a)! - place.get(b)!)) stack.push({ tensor: operand, isLeft: false });
    }
  }
  return executed;
};

/** The most bytes that computed values take at once: each from its op to its last use, outputs to the end. Weights and inputs do not count. */
export const liveBytes = (graph: Graph): number => {
  const executed = executionOrder(graph);
  const lastUse = new Map<Tensor, number>();
  executed.forEach((tensor, index) => {
    for (const operand of operandsOf(tensor)) lastUse.set(ownerOf(operand), index);
  });
  for (const output of Object.values(graph.outputs)) lastUse.set(ownerOf(output), executed.length);
  let [live, most] = [0, 0];
  executed.forEach((tensor, index) => {
    if (tensor.op.isView !== true && isComputed(tensor)) live += bytesOf(tensor);
    most = Math.max(most, live);
    const ended = new Set([...operandsOf(tensor)].map(ownerOf).filter((owner) => isComputed(owner) && lastUse.get(owner) === index));
    for (const owner of ended) live -= bytesOf(owner);
  });
  return most;
};

/** The bytes of the weights that a program maps. */
export const mappedBytes = ({ order }: Graph): number =>
  order.reduce((total, tensor) => total + (weightOf(tensor)?.location.bytes ?? 0), 0);

/** The bytes of copies that ONNX Runtime keeps beside mapped weights: where it packs them, of those that ops of another kind read as well. */
export const packedBytes = (graph: Graph): number => {
  if (!emitOnnx(graph).prepacks) return 0;
  const readers = new Map<Tensor, Set<Tensor["op"]>>();
  for (const tensor of graph.order)
    for (const operand of operandsOf(tensor)) readers.set(operand, (readers.get(operand) ?? new Set()).add(tensor.op));
  return [...readers].reduce((total, [tensor, kinds]) => total + (kinds.size > 1 ? (weightOf(tensor)?.location.bytes ?? 0) : 0), 0);
};
