/** @file Running small programs in tests, and their derivatives by differences. It knows nothing about any one op. */
import { input, program, type Tensor } from "../src/graph/index.ts";
import { referenceBackend, type Backend, type Executable } from "../src/runtime/index.ts";
import type { HostTensor } from "../src/util/index.ts";

export type Hosts = Readonly<Record<string, HostTensor>>;

/** Runs an executable that keeps nothing. */
export const runHosts = async (executable: Executable, feeds: Hosts): Promise<Hosts> => (await executable.run(feeds)) as Hosts;

/** Compiles, runs once, disposes. */
export const evaluate = async (outputs: Readonly<Record<string, Tensor>>, feeds: Hosts = {}, backend?: Backend): Promise<Hosts> => {
  const executable = await (backend ?? referenceBackend()).compile(program(outputs));
  try {
    return await runHosts(executable, feeds);
  } finally {
    await executable.dispose();
  }
};

/** Inputs `x0`, `x1`, … of the types of host tensors. */
export const inputsLike = (tensors: readonly HostTensor[]): Tensor[] =>
  tensors.map(({ shape, dtype }, index) => input(`x${index}`, shape, dtype));

/** Feeds for `inputsLike`. */
export const feedsOf = (tensors: readonly HostTensor[]): Record<string, HostTensor> =>
  Object.fromEntries(tensors.map((tensor, index) => [`x${index}`, tensor]));

/** Numbers of any dtype. */
export const numbersOf = ({ data }: HostTensor): number[] => Array.from<number | bigint, number>(data, Number);

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((total, value, index) => total + value * b[index], 0);

/**
 * d(Σ dy∘y)/d(feed `name`) by central differences, extrapolated once [Richardson 1911], so that the error is O(step⁴).
 * `run` computes y; the sum is taken in float64, which keeps rounding at the size of y's own.
 */
export const gradientByDifferences = async (
  run: (feeds: Hosts) => Promise<HostTensor>,
  feeds: Hosts,
  name: string,
  dy: HostTensor,
  step = 0.04,
): Promise<number[]> => {
  const weights = numbersOf(dy);
  const { shape, data } = feeds[name];
  const at = async (index: number, distance: number): Promise<[number, number]> => {
    const moved = Float32Array.from(data as Float32Array);
    moved[index] += distance;
    const y = await run({ ...feeds, [name]: { dtype: "f32", shape, data: moved } });
    // The step that float32 really took.
    return [dot(numbersOf(y), weights), moved[index]];
  };
  const slope = async (index: number, distance: number): Promise<number> => {
    const [above, right] = await at(index, distance);
    const [below, left] = await at(index, -distance);
    return (above - below) / (right - left);
  };
  const result: number[] = [];
  for (let index = 0; index < data.length; index++) result.push((4 * (await slope(index, step / 2)) - (await slope(index, step))) / 3);
  return result;
};

/** Largest |a − b| / (1 + |b|): an absolute error for small numbers, a relative one for large; NaN counts as infinite. */
export const largestError = (a: readonly number[], b: readonly number[]): number =>
  a.length === b.length ? Math.max(0, ...a.map((value, index) => (value === b[index] ? 0 : error(value, b[index])))) : Infinity;

const error = (a: number, b: number): number => {
  const size = Math.abs(a - b) / (1 + Math.abs(b));
  return Number.isNaN(size) ? Infinity : size;
};
