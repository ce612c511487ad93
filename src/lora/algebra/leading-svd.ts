/** @file The leading singular triplets of a large matrix, iterated until they have settled. It knows nothing about models. */
import { LowrankError, type Random } from "../../util/index.ts";
import { denseRows, type Operator } from "./operator.ts";
import { normalVectors } from "./randomised-svd.ts";
import { svd, truncate, type Svd } from "./svd.ts";
import { addScaled, combine, dot, norm, scaled, unitVectors, type Vectors } from "./vectors.ts";

/** Vectors per product: fewer leave the machine idle, more make the bases grow faster than the triplets settle. */
const block = 16;
/** Vectors that the bases grow by before they are cut back to the best triplets. */
const growth = 80;
const mostSteps = 300;

const padded = (values: Float64Array, length: number): Float64Array => {
  const result = new Float64Array(length);
  result.set(values);
  return result;
};

/** Adds to an orthonormal basis what vectors have beyond it; gives each vector's coordinates in the basis as it then is. */
const extend = (basis: Float64Array[], vectors: Vectors): Float64Array[] => {
  const coordinates = vectors.map((vector) => {
    const rest = vector.slice();
    const along = new Float64Array(basis.length + 1);
    // The second pass takes away what rounding left of the first [Parlett 1998, §6.9].
    for (let pass = 0; pass < 2; pass++)
      basis.forEach((direction, index) => {
        const part = dot(rest, direction);
        addScaled(rest, -part, direction);
        along[index] += part;
      });
    const size = norm(rest);
    if (size <= 1e-10 * norm(vector)) return along.subarray(0, basis.length);
    basis.push(scaled(rest, 1 / size));
    along[basis.length - 1] = size;
    return along;
  });
  return coordinates.map((along) => padded(along, basis.length));
};

/** As many triplets as the rank: those that the matrix does not have are of size zero and of any direction. */
const completed = ({ U, S, V }: Svd, rank: number, { inFeatures, outFeatures }: Operator, generator: Random): Svd => {
  const filled = (vectors: Vectors, length: number): Float64Array[] => {
    const basis = [...vectors];
    extend(basis, normalVectors(rank - basis.length, length, generator));
    return basis;
  };
  return { U: filled(U, outFeatures), S: padded(S, rank), V: filled(V, inFeatures) };
};

export interface LeadingOptions {
  readonly rank: number;
  /** Largest ‖Mᵀu − σv‖ of the triplets, over the largest σ. Default 1e-7. */
  readonly tolerance?: number;
  /** Draws the vectors to start from; the result depends on them by rounding errors alone. */
  readonly generator: Random;
}

/**
 * The leading triplets, `rank` ≤ min(in, out) of them, by block Lanczos bidiagonalisation with thick restarts [Golub, Luk and Overton 1981;
 * Baglama and Reichel 2005], every vector orthogonal to all before it. Small matrices are decomposed whole. Of more than 16 leading values
 * that are exactly equal, some may be passed over. Throws `unsupported` where the triplets do not settle.
 */
export const leadingSvd = async (operator: Operator, { rank, tolerance = 1e-7, generator }: LeadingOptions): Promise<Svd> => {
  const { inFeatures, outFeatures, forward, adjoint } = operator;
  const kept = rank + block;
  const most = kept + growth;
  if (Math.min(inFeatures, outFeatures) <= most + block) return truncate(svd(await denseRows(operator)), rank).svd;

  let V: Float64Array[] = [];
  let U: Float64Array[] = [];
  // Row j has the coordinates of M·V[j] in U.
  let core: Float64Array[] = [];
  extend(V, await adjoint(normalVectors(block, outFeatures, generator)));
  for (let step = 0; step < mostSteps; step++) {
    const [known, before] = [V.length, U.length];
    if (known > core.length) core.push(...extend(U, await forward(V.slice(core.length))));
    // What Mᵀ·U has beyond V; nothing but for the newest of U.
    const beyond = U.length === before ? [] : extend(V, await adjoint(U.slice(before))).map((along) => along.subarray(known));
    // Equal singular values beyond a block's size show in other vectors only.
    if (V.length === known) extend(V, await adjoint(normalVectors(block, outFeatures, generator)));
    const isExhausted = V.length === known;
    if (!isExhausted && V.length < most) continue;

    const inner = core.length === 0 ? { U: [], S: new Float64Array(0), V: [] } : svd(core.map((row) => padded(row, U.length)));
    const { U: right, S, V: left } = truncate(inner, kept).svd;
    const isSettled = left.slice(0, rank).every((vector) => norm(combine([vector.subarray(before)], beyond)[0]) <= tolerance * S[0]);
    U = combine(left, U);
    V = [...combine(right, V.slice(0, known)), ...V.slice(known)];
    if (isExhausted || isSettled) return completed(truncate({ U, S, V: V.slice(0, S.length) }, rank).svd, rank, operator, generator);
    core = unitVectors(S.length).map((vector, index) => scaled(vector, S[index]));
  }
  throw new LowrankError(
    "unsupported",
    `The ${rank} leading singular values of a matrix of ${outFeatures} × ${inFeatures} do not settle: too many are almost equal.`,
    { fix: "Choose another rank." },
  );
};
