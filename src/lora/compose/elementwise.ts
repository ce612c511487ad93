/** @file A rule on the updates ΔW themselves, element by element, then the nearest product of a rank. It knows nothing about modules. */
import { hash, random } from "../../util/index.ts";
import { leadingSvd } from "../algebra/leading-svd.ts";
import { uploadedOperator } from "../algebra/operator.ts";
import { balancedFactors } from "../algebra/svd.ts";
import { addScaled, fromRows } from "../algebra/vectors.ts";
import type { Method } from "./method.ts";
import { mixTensors, type RuleName } from "./rules.ts";
import type { Term } from "./term.ts";

/** scaling·A·B, (in, out) row-major. */
const dense = ({ a, b, scaling }: Term): Float32Array => {
  const rows = Array.from(a[0], () => new Float64Array(b[0].length));
  a.forEach((column, index) => rows.forEach((row, place) => addScaled(row, scaling * column[place], b[index])));
  return fromRows(rows);
};

/** One module's ΔW at a time is in memory for each adapter. */
export const elementwise =
  (rule: RuleName): Method =>
  async (terms, { backend, rank, seed, ...options }) => {
    const shape = [terms[0].a[0].length, terms[0].b[0].length];
    const mixed = mixTensors(
      rule,
      terms.map(dense),
      terms.map(({ weight }) => weight),
      { ...options, seed },
    );
    const operator = await uploadedOperator(backend, { dtype: "f32", shape, data: mixed });
    try {
      return balancedFactors(await leadingSvd(operator, { rank: Math.min(rank, ...shape), generator: random(hash(seed)) }));
    } finally {
      await operator.dispose();
    }
  };
