/** @file The covariance matrix adaptation evolution strategy [Hansen 2016, arXiv:1604.00772]. It knows nothing about what it minimises. */
import { symmetricEigen } from "../../algebra/symmetric-eigen.ts";
import { budgeted, inBox, type Search } from "./minimiser.ts";

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, index) => sum + value * b[index], 0);

/** Weights and learning rates, which follow from the dimension alone [Hansen 2016, table 1]. */
const settingsOf = (n: number) => {
  const lambda = 4 + Math.floor(3 * Math.log(n));
  const mu = Math.floor(lambda / 2);
  const raw = Array.from({ length: mu }, (_, index) => Math.log((lambda + 1) / 2) - Math.log(index + 1));
  const whole = raw.reduce((sum, weight) => sum + weight, 0);
  const weights = raw.map((weight) => weight / whole);
  const muEff = 1 / weights.reduce((sum, weight) => sum + weight ** 2, 0);
  const cSigma = (muEff + 2) / (n + muEff + 5);
  const c1 = 2 / ((n + 1.3) ** 2 + muEff);
  return {
    lambda,
    weights,
    muEff,
    cSigma,
    dSigma: 1 + 2 * Math.max(0, Math.sqrt((muEff - 1) / (n + 1)) - 1) + cSigma,
    cC: (4 + muEff / n) / (n + 4 + (2 * muEff) / n),
    c1,
    cMu: Math.min(1 - c1, (2 * (muEff - 2 + 1 / muEff)) / ((n + 2) ** 2 + muEff)),
    // E‖N(0, I)‖
    expectedNorm: Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n ** 2)),
  };
};

/**
 * Minimises by sampling around a mean whose covariance follows the steps that paid off. Points beyond the box are asked for at its
 * edge and ranked by how far they lay outside, so that the mean stays near it.
 */
export const cmaEs: Search = async (objective, options) => {
  const { start, step, bound, random } = options;
  const n = start.length;
  const { lambda, weights, muEff, cSigma, dSigma, cC, c1, cMu, expectedNorm } = settingsOf(n);
  const budget = budgeted(objective, options);
  let mean = start.slice();
  let sigma = step;
  let covariance = Array.from({ length: n }, (_, row) => Float64Array.from({ length: n }, (_, column) => Number(row === column)));
  let pathSigma = new Float64Array(n);
  let pathC = new Float64Array(n);

  await budget.ask([start]);
  for (let generation = 1; budget.left() > 0; generation++) {
    const { values, vectors } = symmetricEigen(covariance); // C = Σ values[k]·vectors[k]·vectors[k]ᵀ
    const deviations = values.map((value) => Math.sqrt(Math.max(value, 1e-20)));
    // y = B·D·z ~ N(0, C)
    const sample = (): Float64Array => {
      const z = deviations.map((deviation) => deviation * random.normal());
      return Float64Array.from({ length: n }, (_, row) => vectors.reduce((sum, vector, k) => sum + vector[row] * z[k], 0));
    };
    const steps = Array.from({ length: Math.min(lambda, budget.left()) }, sample);
    const points = steps.map((y) => mean.map((value, index) => value + sigma * y[index]));
    const found = await budget.ask(points);
    if (found.length < lambda) break; // a generation cut short by the budget teaches nothing
    const outside = points.map((point) => {
      const away = inBox(point, bound).map((value, index) => value - point[index]);
      return dot(away, away);
    });
    const order = found.map((_, index) => index).sort((a, b) => found[a] + outside[a] - (found[b] + outside[b]) || a - b);
    const chosen = weights.map((weight, rank) => ({ weight, y: steps[order[rank]] }));

    // ⟨y⟩_w = Σ w_i y_{i:λ}; m ← m + σ⟨y⟩_w   [eq. 41–42]
    const move = Float64Array.from({ length: n }, (_, index) => chosen.reduce((sum, { weight, y }) => sum + weight * y[index], 0));
    mean = mean.map((value, index) => value + sigma * move[index]);

    // p_σ ← (1 − c_σ)p_σ + √(c_σ(2 − c_σ)μ_eff)·C^(−1/2)⟨y⟩_w   [eq. 43]
    const whitened = new Float64Array(n);
    vectors.forEach((vector, k) => {
      const along = dot(vector, move) / deviations[k];
      for (let index = 0; index < n; index++) whitened[index] += along * vector[index];
    });
    const keep = Math.sqrt(cSigma * (2 - cSigma) * muEff);
    pathSigma = pathSigma.map((value, index) => (1 - cSigma) * value + keep * whitened[index]);
    const norm = Math.sqrt(dot(pathSigma, pathSigma));
    // σ ← σ·exp(c_σ/d_σ·(‖p_σ‖/E‖N(0, I)‖ − 1))   [eq. 44]
    sigma *= Math.exp((cSigma / dSigma) * (norm / expectedNorm - 1));

    // The stall h_σ keeps the axes from growing while σ still does [eq. 45].
    const stalls = norm / Math.sqrt(1 - (1 - cSigma) ** (2 * generation)) >= (1.4 + 2 / (n + 1)) * expectedNorm;
    const hold = Math.sqrt(cC * (2 - cC) * muEff);
    pathC = pathC.map((value, index) => (1 - cC) * value + (stalls ? 0 : hold * move[index]));
    // C ← (1 + c₁δ(h_σ) − c₁ − c_μ)C + c₁p_c p_cᵀ + c_μ Σ w_i y_i y_iᵀ   [eq. 47]
    const rest = 1 - c1 - cMu + (stalls ? c1 * cC * (2 - cC) : 0);
    covariance = covariance.map((row, i) =>
      row.map(
        (value, j) => rest * value + c1 * pathC[i] * pathC[j] + cMu * chosen.reduce((sum, { weight, y }) => sum + weight * y[i] * y[j], 0),
      ),
    );
  }
  return budget.result();
};
