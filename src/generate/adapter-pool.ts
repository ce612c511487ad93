/** @file Factors of many adapters of one form, behind each other with the backend, so that rows choose theirs by number. It knows nothing about which adapters they are. */
import { input, type Tensor } from "../graph/index.ts";
import type { FactorForm, RowFactors } from "../lora/index.ts";
import type { Backend, Resident } from "../runtime/index.ts";

export interface AdapterPool {
  readonly form: FactorForm;
  /** Tells pools apart in programs, which differ by the pools that they read and not by what these hold. */
  readonly name: string;
  readonly feeds: Readonly<Record<string, Resident>>;
  /** New inputs for one program, by the names of the form: (S, …). */
  stacks(): Map<string, Tensor>;
  /** Whether it has been disposed of. */
  readonly isGone: boolean;
  /** Slots that hold an adapter. */
  readonly used: number;
  /** Whether a free slot has held an adapter before, so that the next one takes no more memory. */
  readonly hasSpare: boolean;
  /** Of the slots that hold an adapter or have held one. */
  readonly bytes: number;
  /** Writes an adapter's factors into a free slot, of which there is one, and returns its number. */
  put(factors: RowFactors): Promise<number>;
  /** Makes a slot free; what it holds stays until it is written over. */
  free(slot: number): void;
  dispose(): Promise<void>;
}

/** The slot of no adapter: zeros. */
export const emptySlot = 0;

/** A pool for `count` adapters; its memory is taken slot by slot as adapters come. */
export const adapterPool = async (backend: Backend, form: FactorForm, name: string, count: number): Promise<AdapterPool> => {
  const slots = count + 1;
  const nameOf = (factor: string): string => `${name}.${factor}`;
  const feeds: Record<string, Resident> = {};
  for (const [factor, shape] of form.shapes) feeds[nameOf(factor)] = await backend.allocate([slots, ...shape]);
  const spare: number[] = [];
  let touched = 0; // the slots behind the empty one that have been written to
  let isGone = false;
  const free = (slot: number): void => void spare.push(slot);
  return {
    form,
    name,
    feeds,
    get isGone() {
      return isGone;
    },
    get used() {
      return touched - spare.length;
    },
    get hasSpare() {
      return spare.length > 0;
    },
    get bytes() {
      return touched * form.bytes;
    },
    stacks: () => new Map([...form.shapes].map(([factor, shape]) => [factor, input(nameOf(factor), [slots, ...shape])])),
    put: async ({ tensors }) => {
      const slot = spare.pop() ?? ++touched;
      try {
        // One is made while the backend copies those before it.
        await Promise.all(Array.from(tensors, ([factor, tensor]) => backend.write(feeds[nameOf(factor)], slot, tensor)));
      } catch (error) {
        free(slot);
        throw error;
      }
      return slot;
    },
    free,
    dispose: async () => {
      isGone = true;
      for (const resident of Object.values(feeds)) await backend.release(resident);
    },
  };
};
