/** @file The downhill simplex [Nelder and Mead 1965] with coefficients that suit the dimension [Gao and Han 2012]. It knows nothing about what it minimises. */
import { budgeted, type Search } from "./minimiser.ts";

interface Vertex {
  readonly point: Float64Array;
  readonly value: number;
}

/** Minimises by moving the worst corner of a simplex through the centre of the others. */
export const nelderMead: Search = async (objective, options) => {
  const { start, step } = options;
  const n = start.length;
  // Reflection 1; expansion, contraction and shrinkage by dimension [Gao and Han 2012, eq. 4.1].
  const expansion = 1 + 2 / Math.max(n, 2);
  const contraction = 0.75 - 1 / (2 * Math.max(n, 2));
  const shrinkage = 1 - 1 / Math.max(n, 2);
  const budget = budgeted(objective, options);

  const corners = [start, ...Array.from(start, (_, axis) => start.map((value, index) => (index === axis ? value + step : value)))];
  const evaluated = async (points: readonly Float64Array[]): Promise<Vertex[]> =>
    (await budget.ask(points)).map((value, index) => ({ point: points[index], value }));
  let simplex = await evaluated(corners);

  while (budget.left() > 0) {
    simplex.sort((a, b) => a.value - b.value);
    const [best, worst] = [simplex[0], simplex[n]];
    const centre = start.map((_, index) => simplex.slice(0, n).reduce((sum, { point }) => sum + point[index], 0) / n);
    const toward = (factor: number): Float64Array => centre.map((value, index) => value + factor * (value - worst.point[index]));
    const at = async (factor: number): Promise<Vertex | undefined> => (await evaluated([toward(factor)])).at(0);

    const reflected = (await at(1))!;
    let next: Vertex | undefined;
    if (reflected.value < best.value) {
      const expanded = await at(expansion);
      next = expanded !== undefined && expanded.value < reflected.value ? expanded : reflected;
    } else if (reflected.value < simplex[n - 1].value) next = reflected;
    else {
      const outside = reflected.value < worst.value;
      const contracted = await at(outside ? contraction : -contraction);
      if (contracted !== undefined && contracted.value < Math.min(reflected.value, worst.value)) next = contracted;
    }
    if (next !== undefined) simplex[n] = next;
    else {
      const shrunk = simplex.slice(1).map(({ point }) => best.point.map((value, index) => value + shrinkage * (point[index] - value)));
      const moved = await evaluated(shrunk);
      if (moved.length < n) break;
      simplex = [best, ...moved];
    }
  }
  return budget.result();
};
