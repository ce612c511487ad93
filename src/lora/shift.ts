/**
 * @file The pair A₀, B₀ that a start took from the base [Meng et al. 2024, §3]: h = xW + s·(xA)B − s·(xA₀)B₀. The base never changes: the pair
 * stays frozen beside the trained one, and files hold the difference of the two products as one adapter of twice the rank. It knows no start.
 */
import type { HostTensor } from "../util/index.ts";
import { f32 } from "../util/index.ts";
import type { LoraConfig } from "./config.ts";
import type { AdapterTarget } from "./targets.ts";
import type { SavedContent, VariantParameter } from "./variants/variant.ts";

/** The short names of A₀ and B₀. */
export const shift = { A: "start_A", B: "start_B" } as const;

/** Whether a target of this kind starts with a pair that is taken from the base. */
export const isShifted = ({ kind }: AdapterTarget, config: LoraConfig): boolean => kind.initialisation(config).shifts === true;

/** What an adapter's files leave out: A₀ and B₀ of each shifted target, by their names in its layouts. */
export const shiftNames = ({ targets, config }: Pick<SavedContent, "targets" | "config">): string[] =>
  [...targets.values()]
    .filter((target) => isShifted(target, config))
    .flatMap(({ module }) => [`${module}.${shift.A}`, `${module}.${shift.B}`]);

/** A₀ and B₀ beside A and B, where the start shifts the base. */
export const withShift = (factors: readonly VariantParameter[], target: AdapterTarget, config: LoraConfig): VariantParameter[] =>
  isShifted(target, config)
    ? [...factors, ...[shift.A, shift.B].map((name, index) => ({ ...factors[index], name, frozen: true as const }))]
    : [...factors];

// [A, A₀]: (in, r) twice gives (in, 2r).
const beside = (left: HostTensor, right: HostTensor): HostTensor => {
  const [rows, r] = left.shape;
  const data = new Float32Array(2 * rows * r);
  for (let row = 0; row < rows; row++) {
    data.set((left.data as Float32Array).subarray(row * r, (row + 1) * r), 2 * row * r);
    data.set((right.data as Float32Array).subarray(row * r, (row + 1) * r), (2 * row + 1) * r);
  }
  return f32(data, [rows, 2 * r]);
};

// [B; −B₀]: (r, out) twice gives (2r, out).
const above = (upper: HostTensor, lower: HostTensor): HostTensor => {
  const data = new Float32Array(2 * upper.data.length);
  data.set(upper.data as Float32Array);
  (lower.data as Float32Array).forEach((value, index) => (data[upper.data.length + index] = -value));
  return f32(data, [2 * upper.shape[0], upper.shape[1]]);
};

const scaled = (pattern: Readonly<Record<string, number>>, factor: number): Record<string, number> =>
  Object.fromEntries(Object.entries(pattern).map(([name, value]) => [name, value * factor]));

/**
 * A shifted adapter as one without a shift: A′ = [A, A₀], B′ = [B; −B₀], of rank 2r. Twice the α keeps s = α/r, and √2 times the α
 * keeps s = α/√r.
 */
export const withoutShift = (content: SavedContent): SavedContent => {
  const { config, targets, tensors, metadata } = content;
  const shifted = [...targets.values()].filter((target) => isShifted(target, config));
  if (shifted.length === 0) return content;
  const joined = new Map(tensors);
  for (const { module, kind } of shifted) {
    const [A, B, A0, B0] = [kind.A.name, kind.B.name, shift.A, shift.B].map((name) => `${module}.${name}`);
    joined.set(A, beside(tensors.get(A)!, tensors.get(A0)!));
    joined.set(B, above(tensors.get(B)!, tensors.get(B0)!));
    joined.delete(A0);
    joined.delete(B0);
  }
  const alpha = config.use_rslora ? Math.SQRT2 : 2;
  const kept = [...targets.values()].filter((target) => !isShifted(target, config));
  const root = config.use_rslora ? 0.5 : 1;
  return {
    targets,
    tensors: joined,
    metadata,
    config: {
      ...config,
      r: 2 * config.r,
      lora_alpha: alpha * config.lora_alpha,
      rank_pattern: { ...Object.fromEntries(kept.map(({ module, rank }) => [module, rank])), ...scaled(config.rank_pattern, 2) },
      alpha_pattern: {
        ...Object.fromEntries(kept.map(({ module, rank, scaling }) => [module, scaling * rank ** root])),
        ...scaled(config.alpha_pattern, alpha),
      },
      init_lora_weights: true,
    },
  };
};
