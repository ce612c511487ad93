/** @file Chooses the next token from logits: penalty, temperature, top-k, top-p, min-p, and a seeded draw. It knows nothing about models or text. */
import { LowrankError, random } from "../util/index.ts";

/** Every default leaves the model's own distribution as it is. The filters apply in the order of these fields, as in transformers. */
export interface SamplingOptions {
  /** For tokens of the history: divides positive logits and multiplies negative ones [Keskar et al. 2019]; default 1. */
  readonly repetitionPenalty?: number;
  /** Divides the logits; 0 takes the likeliest token and ignores the fields below; default 1. */
  readonly temperature?: number;
  /** Keeps the k likeliest tokens, and those as likely as the last of them; default 0, all. */
  readonly topK?: number;
  /** Keeps the fewest likeliest tokens whose probabilities reach p [Holtzman et al. 2020]; default 1, all. */
  readonly topP?: number;
  /** Keeps tokens at least so likely as a share of the likeliest [Nguyen et al. 2024]; default 0, all. */
  readonly minP?: number;
  /** The draw depends on the seed and the length of the history alone; default 0. */
  readonly seed?: number;
}

/** Chooses tokens. It keeps nothing between calls but scratch memory, so a stream can be taken up at any place. */
export interface Sampler {
  /** The next token after `history` (prompt and generated ids), from the logits of one position (V). */
  next(logits: Float32Array, history: readonly number[]): number;
  /** The probabilities that `next` draws by (V); one token has all of it at temperature 0. */
  probabilities(logits: Float32Array, history: readonly number[]): Float64Array;
}

const limits: Record<
  keyof SamplingOptions,
  { readonly holds: (value: number) => boolean; readonly rule: string; readonly fallback: number }
> = {
  repetitionPenalty: { holds: (value) => value > 0 && value < Infinity, rule: "a number above 0", fallback: 1 },
  temperature: { holds: (value) => value >= 0 && value < Infinity, rule: "a number from 0 up", fallback: 1 },
  topK: { holds: (value) => Number.isInteger(value) && value >= 0, rule: "a whole number from 0 up", fallback: 0 },
  topP: { holds: (value) => value > 0 && value <= 1, rule: "a number above 0 and up to 1", fallback: 1 },
  minP: { holds: (value) => value >= 0 && value <= 1, rule: "a number from 0 to 1", fallback: 0 },
  seed: { holds: Number.isSafeInteger, rule: "a whole number", fallback: 0 },
};

const checked = (options: SamplingOptions): Required<SamplingOptions> => {
  const entries = Object.entries(limits).map(([name, { holds, rule, fallback }]) => {
    const value = options[name as keyof SamplingOptions] ?? fallback;
    if (holds(value)) return [name, value];
    throw new LowrankError("invalid-argument", `The value ${value} is not allowed.`, { where: name, fix: `Give ${rule}.` });
  });
  return Object.fromEntries(entries) as Required<SamplingOptions>;
};

const argmax = (scores: Float32Array): number => {
  let best = -1;
  let most = -Infinity;
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id];
    if (score > most) {
      most = score;
      best = id;
    } else if (Number.isNaN(score)) {
      best = -1;
      break;
    }
  }
  if (best >= 0 && most < Infinity) return best;
  throw new LowrankError("invalid-data", "No token can be chosen: a logit is not a number, one is infinite, or none is finite.", {
    where: "logits",
    fix: "The model or an adapter has diverged or is damaged; inspect its weights for values that are not finite.",
  });
};

/** The k-th largest of the values, by a heap of k with the smallest on top. */
const kthLargest = (values: Float32Array, k: number): number => {
  const heap = values.slice(0, k).sort();
  for (let index = k; index < values.length; index++) {
    const value = values[index];
    if (value <= heap[0]) continue;
    let hole = 0;
    for (let child = 1; child < k; child = 2 * hole + 1) {
      if (child + 1 < k && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= value) break;
      heap[hole] = heap[child];
      hole = child;
    }
    heap[hole] = value;
  }
  return heap[0];
};

const sum = (values: Float64Array): number => {
  let total = 0;
  for (let index = 0; index < values.length; index++) total += values[index];
  return total;
};

/** Sets to zero what is outside the nucleus; of equal weights the first are kept. The largest weight is 1. */
const keepNucleus = (weights: Float64Array, topP: number): void => {
  const total = sum(weights);
  // All weights below this together are less than 1 − p, so only the few above need to be sorted.
  const negligible = Math.min(1, ((1 - topP) * total) / weights.length);
  const sorted = weights.filter((weight) => weight >= negligible).sort();
  let kept = sorted.length;
  let lightest = 0;
  let equals = 0;
  for (let reached = 0; kept > 0 && reached < topP * total; reached += lightest) {
    const weight = sorted[--kept];
    equals = weight === lightest ? equals + 1 : 1;
    lightest = weight;
  }
  for (let index = 0; index < weights.length; index++) {
    const weight = weights[index];
    if (weight > lightest || (weight === lightest && equals-- > 0)) continue;
    weights[index] = 0;
  }
};

/**
 * A sampler with checked options; values outside their limits are `invalid-argument`, logits that allow no choice `invalid-data`.
 * @example const id = sampler({ temperature: 0.7, topP: 0.9, seed: 1 }).next(logits, history);
 */
export const sampler = (options: SamplingOptions = {}): Sampler => {
  const { repetitionPenalty, temperature, topK, topP, minP, seed } = checked(options);
  let scores = new Float32Array(0); // (V)
  let ids = new Int32Array(0); // (V), the first `count` hold the tokens in question
  let weights = new Float64Array(0); // (V), theirs

  /** Fills `scores` with the penalised logits and gives the best token. */
  const score = (logits: Float32Array, history: readonly number[]): number => {
    if (scores.length !== logits.length) {
      scores = new Float32Array(logits.length);
      ids = new Int32Array(logits.length);
      weights = new Float64Array(logits.length);
    }
    scores.set(logits);
    if (repetitionPenalty !== 1) {
      for (const id of history) scores[id] = logits[id] < 0 ? logits[id] * repetitionPenalty : logits[id] / repetitionPenalty;
    }
    return argmax(scores);
  };

  /** Fills `ids` with the top k, and gives what the other filters leave of their weights exp((score − best) / temperature). */
  const weigh = (most: number): Float64Array => {
    const least = topK > 0 && topK < scores.length ? kthLargest(scores, topK) : -Infinity;
    let count = 0;
    for (let id = 0; id < scores.length; id++) {
      if (scores[id] < least) continue;
      ids[count] = id;
      weights[count++] = Math.exp((scores[id] - most) / temperature);
    }
    const kept = weights.subarray(0, count);
    if (topP < 1) keepNucleus(kept, topP);
    if (minP > 0) for (let index = 0; index < count; index++) if (kept[index] < minP) kept[index] = 0;
    return kept;
  };

  return {
    next: (logits, history) => {
      const best = score(logits, history);
      if (temperature === 0) return best;
      const kept = weigh(scores[best]);
      // The middle of the 2⁻³² that the draw stands for, so that 0 does not fall on a token of no weight.
      let left = (random(seed, history.length).uniform() + 2 ** -33) * sum(kept);
      let chosen = best;
      for (let index = 0; index < kept.length && left >= 0; index++) {
        if (kept[index] === 0) continue;
        left -= kept[index];
        chosen = ids[index];
      }
      return chosen;
    },
    probabilities: (logits, history) => {
      const best = score(logits, history);
      const probabilities = new Float64Array(logits.length);
      if (temperature === 0) return probabilities.fill(1, best, best + 1);
      const kept = weigh(scores[best]);
      const total = sum(kept);
      for (let index = 0; index < kept.length; index++) probabilities[ids[index]] = kept[index] / total;
      return probabilities;
    },
  };
};

/** The natural logarithm of a token's probability under the model itself: log-softmax of the raw logits (V), at `id`. */
export const logProbability = (logits: Float32Array, id: number): number => {
  const most = logits[argmax(logits)];
  let total = 0;
  for (let index = 0; index < logits.length; index++) total += Math.exp(logits[index] - most);
  return logits[id] - most - Math.log(total);
};
