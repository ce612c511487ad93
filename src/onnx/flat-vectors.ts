/** @file Vectors that a program only cuts into pieces or joins from them: the pieces can lie where the vector lies, so that nothing is copied. It emits nothing. */
import { concatAxisOf, operandsOf, spanOf, type Graph, type Tensor } from "../graph/index.ts";
import { sizeOf } from "../util/index.ts";

/** Where a tensor lies in a flat vector. */
export interface Piece {
  readonly tensor: Tensor;
  /** Elements before it. */
  readonly offset: number;
}

/** The one form in which a tensor is read, where it is read in one only: the last of the views that lie on it. */
const asRead = (tensor: Tensor, users: ReadonlyMap<Tensor, readonly Tensor[]>, returned: ReadonlySet<Tensor>): Tensor => {
  const [view, ...others] = users.get(tensor) ?? [];
  const isOnlyViewed = view !== undefined && others.length === 0 && view.op.isView === true && !returned.has(tensor);
  return isOnlyViewed ? asRead(view, users, returned) : tensor;
};

/** The pieces of every input (N) that nothing reads whole, by its name. */
export const cutInputs = ({ order, outputs, inputs }: Graph): Map<string, Piece[]> => {
  const users = new Map<Tensor, Tensor[]>();
  for (const tensor of order)
    for (const operand of new Set(operandsOf(tensor))) {
      const known = users.get(operand);
      if (known === undefined) users.set(operand, [tensor]);
      else known.push(tensor);
    }
  const returned = new Set(Object.values(outputs));
  const cut = new Map<string, Piece[]>();
  for (const [name, tensor] of inputs) {
    const slices = users.get(tensor) ?? [];
    if (tensor.shape.length !== 1 || returned.has(tensor) || !slices.every((user) => spanOf(user) !== undefined)) continue;
    cut.set(
      name,
      slices.map((piece) => ({ tensor: asRead(piece, users, returned), offset: spanOf(piece)!.start })),
    );
  }
  return cut;
};

/** The pieces of every output (N) of float32 that is a concatenation and nothing else reads, by its name. */
export const joinedOutputs = ({ order, outputs }: Graph): Map<string, Piece[]> => {
  const read = new Set(order.flatMap((tensor) => operandsOf(tensor)));
  const names = Object.entries(outputs);
  const joined = new Map<string, Piece[]>();
  for (const [name, tensor] of names) {
    const isReturnedOnce = names.filter(([, other]) => other === tensor).length === 1;
    if (concatAxisOf(tensor) !== 0 || tensor.shape.length !== 1 || tensor.dtype !== "f32" || read.has(tensor) || !isReturnedOnce) continue;
    let offset = 0;
    joined.set(
      name,
      tensor.inputs.map((part) => {
        offset += sizeOf(part.shape);
        return { tensor: part, offset: offset - sizeOf(part.shape) };
      }),
    );
  }
  return joined;
};
