/** @file Where each tensor lives in one flat float32 vector, as training steps take and return them, and what it is to its layer. It knows no layer. */
import { sizeOf } from "../util/index.ts";

/** What a tensor is to its layer: a factor on either side of the rank, a vector beside them, rows of a table, or a tensor of the model itself, trained whole. */
export type ParameterRole = "lora_A" | "lora_B" | "embedding" | "vector" | "rows" | "weight" | "bias";

/** What is asked about a role. */
export interface RoleFacts {
  /** Whether the tensor takes the place of the base's tensor of its name. */
  readonly whole: boolean;
  /** Which learning rate of LoRA+ it gets; what has one dimension gets that of B. */
  readonly rate: "A" | "B" | "embedding";
}

export const roles: Readonly<Record<ParameterRole, RoleFacts>> = {
  lora_A: { whole: false, rate: "A" },
  lora_B: { whole: false, rate: "B" },
  embedding: { whole: false, rate: "embedding" },
  vector: { whole: false, rate: "A" },
  rows: { whole: false, rate: "A" },
  weight: { whole: true, rate: "A" },
  bias: { whole: true, rate: "A" },
};

/** One tensor: its elements are `flat[offset … offset + size)`, row-major. */
export interface ParameterSlot {
  readonly name: string;
  readonly role: ParameterRole;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
}

export interface ParameterLayout {
  readonly slots: readonly ParameterSlot[];
  /** Length of the flat vector. */
  readonly size: number;
}

/** A tensor that has no place yet. */
export type Parameter = Pick<ParameterSlot, "name" | "role" | "shape">;

/** Lays tensors out one after another, in the order given. */
export const layoutOf = (parameters: readonly Parameter[]): ParameterLayout => {
  let size = 0;
  const slots = parameters.map(({ name, role, shape }) => {
    const slot = { name, role, shape, offset: size, size: sizeOf(shape) };
    size += slot.size;
    return slot;
  });
  return { slots, size };
};

/** The part of a flat vector that belongs to a slot; a view, not a copy. */
export const viewOf = (flat: Float32Array, slot: ParameterSlot): Float32Array => flat.subarray(slot.offset, slot.offset + slot.size);
